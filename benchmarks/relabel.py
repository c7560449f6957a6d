"""Does the relabel loop help? Accuracy on a degraded slice before and after, against the same labels spent at random.

Run: .venv/bin/python benchmarks/relabel.py [--seeds 8]
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from annotation_ops.adapters.project_folder import load_project
from annotation_ops.adapters.storage.delta_lake import DeltaLake
from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.demo import digits, training
from annotation_ops.demo.runner import example_project
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import Incident, IncidentState
from annotation_ops.domain.tables import PREDICTIONS, RAW_SAMPLES, TableSpec
from annotation_ops.services.rank import rank_relabel

DAY = date(2026, 1, 14)
BROKEN = "c"
LABELLED, DELIVERED = 220, 500
"""Labels before the degradation, and images delivered on the day of it."""


@dataclass(frozen=True)
class Outcome:
    before: float
    relabelled: float
    random_slice: float
    random_pool: float
    elsewhere_before: float
    elsewhere_after: float


def run(seed: int, project: AnnotationProject) -> Outcome:
    """One seed: train, break a scanner, choose by the product's own relabel ranking and at random, train again."""
    world = digits.load(seed=seed)
    known = [*world.seed_set, *world.pool[: LABELLED - len(world.seed_set)]]
    arrived = list(world.pool[LABELLED : LABELLED + DELIVERED])
    seen = {
        i: digits.faded(world.pixels[i : i + 1])[0] if world.scanner(i) == BROKEN else world.pixels[i] for i in arrived
    }
    base_x, base_y = world.pixels[known], [world.labels[i] for i in known]
    model = training.fit(base_x, base_y)
    test = [i for i in world.held_out if world.scanner(i) == BROKEN]
    others = [i for i in world.held_out if world.scanner(i) != BROKEN]

    def score(chosen: list[int], *, on: list[int], broken: bool) -> float:
        fitted = model
        if chosen:
            x = np.vstack([base_x, *[seen[i] for i in chosen]])
            fitted = training.fit(x, [*base_y, *[world.labels[i] for i in chosen]])
        pixels = digits.faded(world.pixels[on]) if broken else world.pixels[on]
        return float(fitted.score(pixels, [world.labels[i] for i in on]))

    with tempfile.TemporaryDirectory() as folder:
        picked = relabel_choice(project, world, arrived, seen, model.predict_proba, folder=Path(folder), seed=seed)
    rng = np.random.default_rng(seed)
    in_slice = [i for i in arrived if world.scanner(i) == BROKEN]
    size = len(picked)
    return Outcome(
        before=score([], on=test, broken=True),
        relabelled=score(picked, on=test, broken=True),
        random_slice=score([int(i) for i in rng.choice(in_slice, size, replace=False)], on=test, broken=True),
        random_pool=score([int(i) for i in rng.choice(arrived, size, replace=False)], on=test, broken=True),
        elsewhere_before=score([], on=others, broken=False),
        elsewhere_after=score(picked, on=others, broken=False),
    )


def relabel_choice(project, world, arrived, seen, predict, *, folder: Path, seed: int) -> list[int]:  # type: ignore[no-untyped-def]
    """The relabel batch that the product plans for an incident on the broken scanner."""
    lake = DeltaLake(str(folder / "lake"))
    ledger = SqlLedger(f"sqlite:///{folder / 'ledger.sqlite'}")
    ledger.initialise()
    partition = {"project": project.name, "day": DAY.isoformat()}
    probabilities = predict(np.stack([seen[i] for i in arrived]))
    raw = [
        {**partition, "sample_id": f"digit-{i:04d}", "digest": "d", "uri": f"file:///{i}", "object_key": str(i),
         "slices": json.dumps({"scanner": world.scanner(i)}), "metadata": "{}"}
        for i in arrived
    ]  # fmt: skip
    predicted = [
        {
            **partition,
            "sample_id": f"digit-{i:04d}",
            "digest": "d",
            "model_version": "1",
            "probabilities": list(p),
            "embedding": seen[i],
        }
        for i, p in zip(arrived, probabilities, strict=True)
    ]
    for table, rows in ((RAW_SAMPLES, raw), (PREDICTIONS, predicted)):
        lake.overwrite_partition(table, as_table(table, rows), partition=partition)
    opened = datetime(2026, 1, 15, tzinfo=UTC)
    incident = Incident(
        "0" * 12, project.name, "m", "1", "accuracy", (f"scanner:{BROKEN}",), IncidentState.OPEN, opened, {}, None
    )
    rows = rank_relabel(project, incident=incident, lake=lake, ledger=ledger, seed=seed)
    ledger.close()
    return [int(row["sample_id"].removeprefix("digit-")) for row in rows]


def as_table(table: TableSpec, rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=table.schema)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    seeds = parser.parse_args().seeds
    project = load_project(example_project("digits"))
    outcomes = [run(seed, project) for seed in range(seeds)]
    print(f"accuracy on scanner {BROKEN}, {project.monitor.relabel_budget} labels spent, {seeds} seeds")  # type: ignore[union-attr]
    print("| | mean | worst | best |\n|---|---|---|---|")
    for name in Outcome.__annotations__:
        values = [getattr(outcome, name) for outcome in outcomes]
        print(f"| {name.replace('_', ' ')} | {statistics.mean(values):.3f} | {min(values):.3f} | {max(values):.3f} |")
    wins = sum(o.relabelled > o.random_pool for o in outcomes)
    print(f"\nrelabelling beats the same labels at random in {wins} of {seeds} seeds")


if __name__ == "__main__":
    main()
