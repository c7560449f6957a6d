"""`annotation-ops agreement`: how far annotators agree, how sure that is, and who and what stands out."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import click

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.contract import TaskType
from annotation_ops.domain.quality.agreement.cohorts import agreement_by_cohort
from annotation_ops.domain.quality.agreement.measure import AnyJudgements, measure
from annotation_ops.domain.quality.agreement.reliability import FEW_MINORITY_TASKS
from annotation_ops.domain.quality.agreement.report import AgreementReport, AnnotatorAgreement, PairAgreement
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.statistic import Statistic, documents
from annotation_ops.domain.records import JsonObject
from annotation_ops.services.judgement_files import (
    Categories,
    JudgementTable,
    categories_of,
    read_cohorts,
    read_judgements,
)

FILE = click.Path(path_type=Path, dir_okay=False)

WIDTH, COHORT_WIDTH = 28, 48
SHOWN = 20
"""Classes, pairs and annotators listed on a terminal; --json has them all."""

WORDS = {
    "no_judgements": "there are no judgements",
    "no_overlap": "no task was judged by two annotators",
    "not_two_annotators": "it needs exactly two annotators",
    "single_category": "everybody used one and the same label",
    "class_unused": "nobody used it on a shared task",
    "nothing_annotated": "nobody marked anything",
    "no_matches": "no two shapes match",
}


@click.command()
@click.argument("file", type=FILE)
@click.option("--task-type", type=click.Choice(get_args(TaskType)), required=True, help="What an answer looks like.")
@click.option("--taxonomy", type=FILE, help="taxonomy.yaml: the categories, in order.")
@click.option("--categories", "named", metavar="A,B", help="The categories, in order, instead of a taxonomy.")
@click.option(
    "--confidence", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95, show_default=True,
    help="Of the intervals.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same intervals.")
@click.option("--cohorts", type=FILE, help="CSV of annotator_id and cohort: agreement within and between cohorts too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def agreement(
    file: Path,
    task_type: TaskType,
    taxonomy: Path | None,
    named: str | None,
    confidence: float,
    seed: int,
    cohorts: Path | None,
    as_json: bool,
) -> None:
    """Measure agreement in FILE (.parquet, .csv or .jsonl): task_id, annotator_id, and the columns of the task type.

    Without --taxonomy or --categories the categories are the labels found; a category nobody used then does not count,
    which raises gwet_ac1's agreement by chance.

    Example: annotation-ops agreement judgements.csv --task-type classification --categories cat,dog
    """
    table = read_judgements(file, task_type=task_type)
    categories = categories_of(table, taxonomy=taxonomy, named=named)
    judgements = table.judgements(categories=categories.names)
    report = measure(judgements, confidence=confidence, seed=seed, ordered=task_type == "ordinal")
    groups = _by_cohort(table, judgements, categories, cohorts, confidence=confidence, seed=seed) if cohorts else None
    if as_json:
        document = report.document()
        document["categories"] = {"names": list(categories.names), "source": categories.source}
        click.echo(json.dumps(document if groups is None else {**document, "cohorts": groups}))
        return
    click.echo("\n".join([*_summary(report, categories, confidence), *(_cohort_lines(groups) if groups else ())]))


def _by_cohort(
    table: JudgementTable,
    judgements: AnyJudgements,
    categories: Categories,
    path: Path,
    *,
    confidence: float,
    seed: int,
) -> list[JsonObject]:
    """Labels: every two cohorts; everything else: each cohort by itself."""
    cohorts = read_cohorts(path)
    if isinstance(judgements, Judgements):
        found = agreement_by_cohort(judgements, cohorts=cohorts, confidence=confidence)
        return [one.document() for one in found]
    missing = sorted(set(judgements.annotators) - set(cohorts))
    if missing:
        raise InvalidInput(
            f"{path}: found no cohort for annotator {missing[0]!r} ({len(missing)} such), expected one for everybody who judged."
        )
    documents_of = []
    for name in sorted({cohorts[annotator] for annotator in judgements.annotators}):
        mine = table.of_annotators([annotator for annotator in judgements.annotators if cohorts[annotator] == name])
        report = measure(mine.judgements(categories=categories.names), confidence=confidence, seed=seed)
        documents_of.append({"cohorts": [name, name], **documents(report.statistics.items())})
    return documents_of


def _summary(report: AgreementReport, categories: Categories, confidence: float) -> Iterator[str]:
    yield (
        f"{report.n_judgements:,} judgements by {_many(report.n_annotators, 'annotator')} on {_many(report.n_tasks, 'task')}, "
        f"{report.n_overlap_tasks:,} of them judged twice or more"
    )
    if categories.names:
        yield f"{_many(len(categories.names), 'label')} ({categories.source}): {_listed(categories.names)}"
    yield f"\n{'statistic':<{WIDTH}} {'value':>7}  {confidence:.0%} interval    tasks"
    yield from (_row(name, statistic) for name, statistic in report.statistics.items())
    if report.doubt is not None:
        yield (
            "the intervals of kappas and alphas cannot be relied on: fewer than "
            f"{FEW_MINORITY_TASKS:g} tasks' worth of answers are outside the commonest label"
        )
    if report.classes:
        yield f"\n{'class':<{WIDTH}} agreement"
        yield from _limited([_row(item.label, item.agreement) for item in report.classes], "classes")
    pairs = _worst_pairs(report.pairs)
    if pairs:
        yield "\nannotators who agree least with each other"
        yield from _limited(pairs, "pairs", total=len(report.pairs))
    people = sorted(report.annotators, key=_least)
    if people:
        yield "\nannotators who agree least with the others"
        yield from _limited([_row(item.annotator_id, item.agreement) for item in people], "annotators")


def _worst_pairs(pairs: Sequence[PairAgreement]) -> list[str]:
    """The lowest by the first statistic of the task type; error rates, which come second, never lead."""
    measured = [(pair, next(iter(pair.statistics.values()))) for pair in pairs]
    measured = [(pair, statistic) for pair, statistic in measured if statistic.value is not None]
    measured.sort(key=lambda both: (both[1].value, -both[1].n, both[0].annotators))
    return [_row(" / ".join(pair.annotators), statistic) for pair, statistic in measured[:SHOWN]]


def _least(item: AnnotatorAgreement) -> tuple[bool, float, str]:
    value = item.agreement.value
    return value is None, value or 0.0, item.annotator_id


def _cohort_lines(groups: Sequence[JsonObject]) -> Iterator[str]:
    yield "\ncohorts"
    for group in groups:
        one, other = group["cohorts"]
        name = f"within {one}" if one == other else f"{one} / {other}"
        for key, found in group.items():
            if key != "cohorts":
                yield _row(f"{name}: {key}", Statistic(**found), width=COHORT_WIDTH)


def _row(name: str, statistic: Statistic, *, width: int = WIDTH) -> str:
    if statistic.value is None or statistic.low is None or statistic.high is None:
        return f"{name:<{width}} undefined: {WORDS.get(statistic.reason or '', statistic.reason)}"
    interval = f"{statistic.low:.3f} to {statistic.high:.3f}"
    return f"{name:<{width}} {statistic.value:>7.3f}  {interval:<16} {statistic.n:>6,}"


def _limited(rows: Sequence[str], what: str, *, total: int | None = None) -> Iterator[str]:
    yield from rows[:SHOWN]
    left = (len(rows) if total is None else total) - min(len(rows), SHOWN)
    if left:
        yield f"... and {left:,} more {what}; --json lists them all"


def _many(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" ... and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
