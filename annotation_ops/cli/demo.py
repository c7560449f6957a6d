"""`annotation-ops demo`: the closed loop on real images, with simulated people."""

import json
from pathlib import Path

import click


@click.command()
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    default=Path(".annotation_ops"),
    show_default=True,
    help="Where its state goes.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed tells the same story."
)
@click.option(
    "--platform",
    type=click.Choice(["simulated", "label-studio"]),
    default="simulated",
    show_default=True,
    help="Where the simulated people work; label-studio is a real server on this machine, installed the first time.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, progress on stderr.")
def demo(home: Path, seed: int, platform: str, as_json: bool) -> None:
    """Run the whole loop on 1,797 real scanned digits: rank, ask, judge, reject, publish, watch, relabel.

    Needs no server, no account and, on the simulated platform, no network. Ends with a summary and HOME/summary.json.

    Example: annotation-ops demo --home /tmp/loop --seed 1
    """
    from annotation_ops.demo import runner, summary

    result = runner.run(
        home.absolute(),
        seed=seed,
        say=lambda line: click.echo(line, err=as_json),
        platform=platform.replace("-", "_"),
    )
    if as_json:
        click.echo(json.dumps(result))
        return
    for line in summary.lines(result):
        click.echo(line)
    click.echo(f"\nEverything is in {home}. Open the Dagster UI on it: make ui")
