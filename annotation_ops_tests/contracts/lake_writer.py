"""A process that writes to a lake and says on standard output what was acknowledged; races and kills are made of it."""

import json
import sys

import pyarrow as pa

from annotation_ops.adapters.storage.delta_lake import DeltaLake
from annotation_ops.domain.tables import MODEL_PERFORMANCE, PREDICTIONS

PARTITION = {"project": "digits", "day": "2026-11-23"}


def predictions(ids: list[str], *, project: str = "digits", day: str = "2026-11-23", model: str = "1") -> pa.Table:
    rows = [
        {"project": project, "day": day, "sample_id": name, "digest": f"d-{name}", "model_version": model}
        for name in ids
    ]
    return pa.Table.from_pylist(rows, schema=PREDICTIONS.schema)


def metrics(run_id: str, *, project: str = "digits") -> pa.Table:
    rows = [{"project": project, "metric": "accuracy", "slice": "", "value": 0.5, "run_id": run_id, "observed_at": 0}]
    return pa.Table.from_pylist(rows, schema=MODEL_PERFORMANCE.schema)


def main() -> None:
    """Acts once for every line of standard input: `append N` or `upsert N`; answers `N true|false`."""
    root, options, me = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
    lake = DeltaLake(root, options or None)
    print("ready", flush=True)
    for line in sys.stdin:
        action, number = line.split()
        if action == "append":
            wrote = lake.append_once(
                MODEL_PERFORMANCE,
                metrics(f"run-{number}"),
                partition={"project": "digits"},
                writer="metrics",
                sequence=int(number),
                note={"by": me},
            )
        else:
            ids = [f"s{number}-{at}" for at in range(3)]
            lake.upsert(PREDICTIONS, predictions(ids, model=me), partition=PARTITION)
            wrote = True
        print(number, json.dumps(wrote), flush=True)


if __name__ == "__main__":
    main()
