"""`annotation-ops rank`: picks what to label next from a file of predictions."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click

from annotation_ops.domain.project.workflow import Strategy
from annotation_ops.domain.selection.request import RankReport
from annotation_ops.services.rank import rank_files

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("predictions", type=_FILE)
@click.option("--budget", type=click.IntRange(min=1), required=True, help="How many samples to rank.")
@click.option(
    "--strategy",
    type=click.Choice(get_args(Strategy)),
    default="margin_kmeans",
    show_default=True,
    help="margin_kmeans spreads uncertain samples over their embeddings, or over the predicted classes without them.",
)
@click.option("--exclude", type=_FILE, help="File with a sample_id column: what is labelled already.")
@click.option("--slice-column", metavar="COLUMN", help="Its values get equal shares of the budget.")
@click.option(
    "--random-share",
    type=click.FloatRange(0.0, 1.0),
    default=0.1,
    show_default=True,
    help="Share drawn uniformly from the whole pool, with its inclusion probability: the unbiased control.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Same seed, same ranking; change it for every batch."
)
@click.option("--out", type=_FILE, required=True, help="Ranking to write: .parquet, .csv or .jsonl.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def rank(
    predictions: Path,
    budget: int,
    strategy: Strategy,
    exclude: Path | None,
    slice_column: str | None,
    random_share: float,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Pick what to label next from PREDICTIONS (.parquet, .csv or .jsonl): sample_id, then one column p_<class> a class.

    Files of any size take the same memory. Samples whose probabilities are no distribution are counted as unscorable and
    only the random control may hold them.

    Example: annotation-ops rank predictions.parquet --budget 500 --exclude labelled.csv --slice-column scanner --out next.csv
    """
    report = rank_files(
        predictions,
        budget=budget,
        strategy=strategy,
        exclude=exclude,
        slice_column=slice_column,
        random_share=random_share,
        seed=seed,
        out=out,
    )
    click.echo(json.dumps({**asdict(report), "out": str(out)}) if as_json else _summary(report, out))


def _summary(report: RankReport, out: Path) -> str:
    lines = [
        f"{report.ranked} of {report.pool} samples ranked into {out}, {report.random} of them by uniform draw",
        f"strategy {report.strategy}: {report.strategy_reason}",
        f"left out: {report.excluded} excluded, {report.unscorable} unscorable",
    ]
    if report.ranked < report.requested:
        lines.append(f"the pool is {report.requested - report.ranked} short of the budget of {report.requested}")
    lines += [
        f"slice {share.value or '(none)'}: {share.ranked} ranked of {share.eligible} eligible"
        + (f", {share.shortfall} short of its share" if share.shortfall else "")
        for share in report.slices
    ]
    return "\n".join(lines)
