"""Ranking a pool from Parquet to Parquet: the floor, this package, polars and careful pandas, each in its own process.

    python benchmarks/rank.py [--rows 1000000] [--repeat 3] [--layout plain|dictionary]

The job: 10 class probabilities a sample, margin, the top 10,000 in equal shares of 10 slice values, samples labelled
already (a tenth of the pool, 1,000,000 at most) left out. CPU seconds (user + system, children included) and peak memory.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

CLASSES = [f"p_{index}" for index in range(10)]
BUDGET = 10_000
SLICES = 10
PIECE = 500_000
"""Rows of one row group; also what making the data holds in memory."""


def make(folder: Path, rows: int, layout: str) -> None:
    """Writes pool.parquet and labelled.parquet."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    names = pa.array([f"site-{index}" for index in range(SLICES)])
    dictionary = ["slice"] if layout == "plain" else True
    writer = None
    for start in range(0, rows, PIECE):
        n = min(PIECE, rows - start)
        scores = rng.dirichlet(np.full(len(CLASSES), 0.4), n)
        ids = pa.array([f"sample-{index:010d}" for index in rng.permutation(n) + start])
        columns = {"sample_id": ids, "slice": names.take(pa.array(rng.integers(0, SLICES, n)))}
        table = pa.table({**columns, **{name: scores[:, index] for index, name in enumerate(CLASSES)}})
        if writer is None:
            writer = pq.ParquetWriter(folder / "pool.parquet", table.schema, use_dictionary=dictionary)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    labelled = rng.choice(rows, min(rows // 10, 1_000_000), replace=False)
    ids = pa.table({"sample_id": [f"sample-{index:010d}" for index in labelled]})
    pq.write_table(ids, folder / "labelled.parquet", use_dictionary=layout != "plain")


def floor(folder: Path) -> None:
    """Decodes the needed columns and does nothing."""
    import pyarrow.parquet as pq

    for name, columns in (("labelled", ["sample_id"]), ("pool", ["sample_id", "slice", *CLASSES])):
        with pq.ParquetFile(folder / f"{name}.parquet", pre_buffer=False) as file:
            for _ in file.iter_batches(batch_size=65_536, columns=columns, use_threads=False):
                pass


def ours(folder: Path) -> None:
    from annotation_ops.services.rank import rank_files

    rank_files(
        folder / "pool.parquet",
        budget=BUDGET,
        strategy="margin",
        exclude=folder / "labelled.parquet",
        slice_column="slice",
        random_share=0.0,
        seed=1,
        out=folder / "ours.parquet",
    )


def with_control(folder: Path) -> None:
    """As `ours`, with a tenth drawn at random: what the default really does."""
    from annotation_ops.services.rank import rank_files

    rank_files(
        folder / "pool.parquet",
        budget=BUDGET,
        strategy="margin_kmeans",
        exclude=folder / "labelled.parquet",
        slice_column="slice",
        random_share=0.1,
        seed=1,
        out=folder / "control.parquet",
    )


def polars(folder: Path) -> None:
    import polars as pl

    labelled = pl.scan_parquet(folder / "labelled.parquet").select("sample_id")
    # The second largest: the running pair of maxima, as in this package; sorting lists takes several times as long.
    largest, second = pl.col(CLASSES[0]), pl.lit(0.0)
    for name in CLASSES[1:]:
        second = pl.max_horizontal(second, pl.min_horizontal(largest, name))
        largest = pl.max_horizontal(largest, name)
    (
        pl.scan_parquet(folder / "pool.parquet")
        .with_columns(uncertainty=1 - (largest - second))
        .select("sample_id", "slice", "uncertainty")
        .join(labelled, on="sample_id", how="anti")
        .sort(["uncertainty", "sample_id"], descending=[True, False])
        .group_by("slice", maintain_order=True)
        .head(BUDGET // SLICES)
        .sort(["uncertainty", "sample_id"], descending=[True, False])
        .collect(engine="streaming")
        .write_parquet(folder / "polars.parquet")
    )


def pandas(folder: Path) -> None:
    """Careful: only needed columns, a partition instead of a sort for the margin, nlargest instead of a full sort."""
    import numpy as np
    import pandas as pd

    frame = pd.read_parquet(folder / "pool.parquet", columns=["sample_id", "slice", *CLASSES])
    labelled = pd.read_parquet(folder / "labelled.parquet")
    top = np.partition(frame[CLASSES].to_numpy(), -2, axis=1)
    frame = frame[["sample_id", "slice"]].assign(uncertainty=1 - (top[:, -1] - top[:, -2]))
    frame = frame[~frame["sample_id"].isin(labelled["sample_id"])]
    best = [part.nlargest(BUDGET // SLICES, "uncertainty") for _, part in frame.groupby("slice")]
    pd.concat(best).sort_values("uncertainty", ascending=False).to_parquet(folder / "pandas.parquet")


WAYS: dict[str, Callable[[Path], None]] = {
    "floor": floor,
    "ours": ours,
    "ours, default with control": with_control,
    "polars": polars,
    "pandas": pandas,
}


def measure(way: str, folder: Path) -> tuple[float, float]:
    """CPU seconds of a whole process, imports included, and its peak memory in MB."""
    done = subprocess.run(
        [sys.executable, __file__, "--way", way, "--folder", str(folder)], capture_output=True, text=True, check=True
    )
    seconds, peak = done.stdout.split()
    return float(seconds), float(peak)


def run_way(way: str, folder: Path) -> None:
    WAYS[way](folder)
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in usage)
    print(seconds, max(one.ru_maxrss for one in usage) / 1024)


def agree(folder: Path) -> bool:
    """Whether all ways picked the same samples (the control apart)."""
    import pyarrow.parquet as pq

    names = ("ours", "polars", "pandas")
    picked = [set(pq.read_table(folder / f"{name}.parquet")["sample_id"].to_pylist()) for name in names]
    return all(one == picked[0] for one in picked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--layout", choices=["plain", "dictionary"], default="plain")
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        make(given.make, given.rows, given.layout)
        return
    if given.way:
        run_way(given.way, given.folder)
        return
    with tempfile.TemporaryDirectory(prefix="rank-") as name:
        folder = Path(name)
        # Made in a process of its own: a child's peak memory starts from its parent's.
        maker = [sys.executable, __file__, "--make", name, "--rows", str(given.rows), "--layout", given.layout]
        subprocess.run(maker, check=True)
        results = {way: [measure(way, folder) for _ in range(given.repeat)] for way in WAYS}
        same = agree(folder)
    least = statistics.median(seconds for seconds, _ in results["floor"])
    print(f"{given.rows:,} rows, ids {given.layout}, median of {given.repeat}; same samples picked: {same}\n")
    print("| way | CPU s | x floor | peak MB |\n|---|---|---|---|")
    for way, runs in results.items():
        seconds = statistics.median(one for one, _ in runs)
        print(f"| {way} | {seconds:.2f} | {seconds / least:.2f} | {statistics.median(peak for _, peak in runs):.0f} |")


if __name__ == "__main__":
    main()
