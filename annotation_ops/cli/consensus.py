"""`annotation-ops consensus`: one answer a task from several judgements, and which tasks need a person."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import click

from annotation_ops.cli.agreement import FILE
from annotation_ops.domain.project.contract import TaskType
from annotation_ops.domain.project.criteria import ConsensusMethod
from annotation_ops.domain.quality.agreement.measure import AnyJudgements
from annotation_ops.domain.quality.agreement.report import CATEGORICAL
from annotation_ops.domain.quality.consensus.answers import consensus_answers
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.judgements import FloatArray, Judgements
from annotation_ops.domain.quality.statistic import rounded
from annotation_ops.domain.records import JsonObject
from annotation_ops.services.gold_files import write_gold
from annotation_ops.services.judgement_files import categories_of, read_class_probabilities, read_judgements

WITH_A_MODEL = ("model_assisted", "crowdlab")
METHODS = tuple(name.replace("_", "-") for name in get_args(ConsensusMethod))


@click.command()
@click.argument("file", type=FILE)
@click.option("--task-type", type=click.Choice(get_args(TaskType)), required=True, help="What an answer looks like.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    required=True,
    help="Shapes, spans and texts are fused by equal votes: majority.",
)
@click.option("--taxonomy", type=FILE, help="taxonomy.yaml: the categories, in order.")
@click.option("--categories", "named", metavar="A,B", help="The categories, in order, instead of a taxonomy.")
@click.option(
    "--predictions", type=FILE, help="Out-of-fold class probabilities: sample_id (the task id), p_<category>."
)
@click.option(
    "--min-confidence",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="Answers less sure than this go to a person.",
)
@click.option("--out", type=FILE, required=True, help="Gold answers to write: .parquet, .csv or .jsonl.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def consensus(
    file: Path,
    task_type: TaskType,
    method: str,
    taxonomy: Path | None,
    named: str | None,
    predictions: Path | None,
    min_confidence: float,
    out: Path,
    as_json: bool,
) -> None:
    """Settle the judgements in FILE (.parquet, .csv or .jsonl) into one gold answer a task, with its confidence.

    Ties get no label; they and what is less sure than --min-confidence have needs_human set.

    Example: annotation-ops consensus judgements.csv --task-type classification --method weighted-vote --out gold.csv
    """
    chosen = _method(method, task_type, predictions)
    table = read_judgements(file, task_type=task_type)
    categories = categories_of(table, taxonomy=taxonomy, named=named)
    judgements = table.judgements(categories=categories.names)
    settled = consensus_answers(judgements, method=chosen, predictions=_probabilities(predictions, judgements))
    answers = [replace(one, needs_human=one.needs_human or one.confidence < min_confidence) for one in settled]
    write_gold(answers, out, task_type=task_type, method=chosen)
    told = _counts(answers, task_type, chosen, out)
    told["categories"] = {"names": list(categories.names), "source": categories.source}
    click.echo(json.dumps(told) if as_json else _summary(told, min_confidence))


def _method(name: str, task_type: TaskType, predictions: Path | None) -> ConsensusMethod:
    chosen: ConsensusMethod = next(one for one in get_args(ConsensusMethod) if one == name.replace("-", "_"))
    if task_type not in CATEGORICAL and chosen != "majority":
        raise click.UsageError(
            f"--method: found {name} for {task_type}, expected majority: only labels have the other methods."
        )
    if chosen in WITH_A_MODEL and predictions is None:
        raise click.UsageError(f"--method: found {name} without --predictions, expected a file of class probabilities.")
    if predictions is not None and chosen not in WITH_A_MODEL:
        raise click.UsageError(f"--predictions: found {name}, which uses none, expected model-assisted or crowdlab.")
    return chosen


def _probabilities(path: Path | None, judgements: AnyJudgements) -> FloatArray | None:
    return read_class_probabilities(path, judgements) if path and isinstance(judgements, Judgements) else None


def _counts(answers: Sequence[FusedAnswer], task_type: TaskType, method: str, out: Path) -> JsonObject:
    ties = sum(answer.value is None for answer in answers)
    mean = sum(sorted(answer.confidence for answer in answers)) / len(answers)
    single = sum(answer.n_annotators == 1 for answer in answers)
    return {
        "task_type": task_type,
        "method": method,
        "n_tasks": len(answers),
        "settled": sum(not answer.needs_human for answer in answers),
        "needs_human": sum(answer.needs_human for answer in answers),
        "ties": ties,
        "single_judgement": single,
        "mean_confidence": rounded(mean),
        "out": str(out),
    }


def _summary(told: JsonObject, min_confidence: float) -> str:
    rest = told["needs_human"] - told["ties"]
    return "\n".join(
        [
            f"{told['n_tasks']:,} tasks by {told['method']} into {told['out']}, mean confidence {told['mean_confidence']:.3f}",
            f"{told['settled']:,} settled; {told['needs_human']:,} for a person: {told['ties']:,} tied, {rest:,} less sure than "
            f"{min_confidence:g} or otherwise unsettled",
            f"{told['single_judgement']:,} tasks rest on a single judgement",
        ]
    )
