"""`annotation-ops judge`: the verdict on one batch from a file of judgements."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import click
import numpy as np

from annotation_ops.domain.errors import InvalidDocument, InvalidInput
from annotation_ops.domain.project.contract import TaskType
from annotation_ops.domain.project.criteria import Criteria, GoldCriteria, MixCriteria, parse_criteria
from annotation_ops.domain.project.taxonomy import Label, Taxonomy, parse_taxonomy
from annotation_ops.domain.quality.agreement.measure import AnyJudgements
from annotation_ops.domain.quality.consensus.methods import consensus
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.domain.quality.verdict.evidence import Evidence, gold_score
from annotation_ops.domain.quality.verdict.gates import Outcome
from annotation_ops.domain.quality.verdict.judge import judge as verdict_of
from annotation_ops.domain.quality.verdict.label_mix import MixTest, compare_mix
from annotation_ops.domain.quality.verdict.verdict import Verdict
from annotation_ops.services.gold_files import read_gold, read_mix
from annotation_ops.services.judgement_files import JudgementTable, categories_of, read_judgements, read_text

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--criteria", "criteria_file", type=_FILE, required=True, help="criteria.yaml: what the batch must show.")
@click.option(
    "--task-type",
    type=click.Choice(get_args(TaskType)),
    default="classification",
    show_default=True,
    help="What an answer looks like.",
)
@click.option("--taxonomy", "taxonomy_file", type=_FILE, help="taxonomy.yaml: the labels, their order, critical ones.")
@click.option("--categories", "named", metavar="A,B", help="The labels, in order, instead of a taxonomy.")
@click.option("--gold", type=_FILE, help="Gold file: tasks whose answer is known, as `consensus --out` writes it.")
@click.option("--expected-mix", type=_FILE, help="YAML, JSON or CSV of label and share: the mix the batch should have.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same verdict bit for bit.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def judge(
    file: Path,
    criteria_file: Path,
    task_type: TaskType,
    taxonomy_file: Path | None,
    named: str | None,
    gold: Path | None,
    expected_mix: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Give the verdict on the batch in FILE (.parquet, .csv or .jsonl): PASS, FAIL or INSUFFICIENT, with reasons.

    Exit code 0 for PASS, 1 for FAIL and INSUFFICIENT.

    Example: annotation-ops judge judgements.csv --criteria criteria.yaml --categories cat,dog --gold gold.csv
    """
    criteria = _criteria(criteria_file, gold=gold is not None, mix=expected_mix)
    table = read_judgements(file, task_type=task_type)
    names = categories_of(table, taxonomy=taxonomy_file, named=named).names
    judgements = table.judgements(categories=names)
    evidence = Evidence(
        gold=None if gold is None else _gold(table, gold, names, criteria, seed=seed),
        label_mix=None if criteria.label_mix is None else _mix(judgements, criteria.label_mix, seed=seed),
    )
    taxonomy = _taxonomy(taxonomy_file, names, ordered=task_type == "ordinal")
    verdict = verdict_of(judgements, criteria=criteria, taxonomy=taxonomy, seed=seed, evidence=evidence)
    click.echo(json.dumps(verdict.document()) if as_json else _summary(verdict))
    sys.exit(0 if verdict.outcome is Outcome.PASS else 1)


def _criteria(path: Path, *, gold: bool, mix: Path | None) -> Criteria:
    """The criteria; evidence given on the command line is judged by the usual bounds where the document has none."""
    parsed = parse_criteria(read_text(path), file=str(path))
    if parsed.record is None:
        raise InvalidDocument(parsed.faults)
    criteria = parsed.record
    if gold and criteria.gold is None:
        criteria = replace(criteria, gold=GoldCriteria(min_score=0.9, min_tasks=20))
    if mix is None:
        declared = criteria.label_mix is not None and criteria.label_mix.expected
        return criteria if declared else replace(criteria, label_mix=None)
    expected = tuple(sorted(read_mix(mix).items()))
    bounds = criteria.label_mix or MixCriteria((), alpha=0.01, min_effect=0.1)
    return replace(criteria, label_mix=replace(bounds, expected=expected))


def _taxonomy(path: Path | None, names: tuple[str, ...], *, ordered: bool) -> Taxonomy:
    if path is None:
        return Taxonomy("0.0.0", tuple(Label(name, "", critical=False) for name in names), ordered)
    parsed = parse_taxonomy(read_text(path), file=str(path))
    if parsed.record is None:
        raise InvalidDocument(parsed.faults)
    return parsed.record


def _gold(table: JudgementTable, path: Path, names: tuple[str, ...], criteria: Criteria, *, seed: int) -> Statistic:
    gold = read_gold(path, task_type=table.task_type)
    return gold_score(
        table.answers(gold),
        gold=gold,
        task_type=table.task_type,
        categories=names,
        confidence=criteria.confidence,
        seed=seed,
    )


def _mix(labelled: AnyJudgements, criteria: MixCriteria, *, seed: int) -> MixTest:
    """The mix of the majority labels; tasks without one are left out."""
    if not isinstance(labelled, Judgements):
        raise InvalidInput(
            f"--expected-mix: found {labelled.task_type} judgements, expected one label a task. Leave it out."
        )
    shares = dict(criteria.expected)
    strangers = sorted(shares.keys() - set(labelled.categories))
    if strangers:
        raise InvalidInput(
            f"expected mix: found label {strangers[0]!r}, expected labels of {', '.join(labelled.categories)}. "
            "Correct the name or add it to the categories."
        )
    position = {name: at for at, name in enumerate(labelled.categories)}
    settled = [one.label for one in consensus(labelled, method="majority") if one.label is not None]
    return compare_mix(
        np.array([position[label] for label in settled], dtype=np.int64),
        expected=np.array([shares.get(name, 0.0) for name in labelled.categories]),
        alpha=criteria.alpha,
        min_effect=criteria.min_effect,
        seed=seed,
    )


def _summary(verdict: Verdict) -> str:
    lines = [f"{verdict.outcome.value} by criteria {verdict.criteria.version} (mode {verdict.criteria.mode})"]
    lines += [f"  {reason.code}: {reason.text}" for reason in verdict.reasons]
    if verdict.tasks_below:
        shown = ", ".join(verdict.tasks_below[:10])
        more = f" and {len(verdict.tasks_below) - 10} more" if len(verdict.tasks_below) > 10 else ""
        lines.append(f"  tasks below {verdict.criteria.task_threshold:g}: {shown}{more}")
    return "\n".join(lines)
