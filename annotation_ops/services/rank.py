"""Ranking: which samples people should look at next, from the day's predictions or from a file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from annotation_ops.domain.conductor import Ranking as NewestRanking
from annotation_ops.domain.errors import Conflict, InvalidInput
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.workflow import Strategy
from annotation_ops.domain.records import SYSTEM_ACTOR, Incident, JsonObject
from annotation_ops.domain.selection.exclusion import ExclusionIndex
from annotation_ops.domain.selection.ranking import COLD_START, UNCERTAIN, rank_pool
from annotation_ops.domain.selection.request import PoolColumns, RankReport, RankRequest
from annotation_ops.domain.tables import PREDICTIONS, RANKED_SAMPLES
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.manifest import newest_samples, slice_values
from annotation_ops.services.prediction_files import LIST, PREFIX, RowFile, open_rows, write_rows

_SLICE = "slice_value"
_FAR_FUTURE = date(9999, 12, 31)


def ranking_cursor(project: str) -> str:
    """Name of the ledger cursor that holds the newest ranking of a project."""
    return f"ranking/{project}"


def rank_day(
    project: AnnotationProject, *, day: date, seed: int, lake: Lake, ledger: Ledger, now: datetime | None = None
) -> RankReport:
    """Ranks the pool of `day` deep enough for every batch that may be open, and replaces the day's ranking.

    Reads the day's predictions; without any, the raw manifest of the day (a cold start by uniform draw). Samples in a
    batch of an earlier day are left out in that version of the object. The same inputs give the same rows. With `now`,
    the ledger remembers the newest ranking, so that the conductor plans from it. Raises Conflict when predictions name
    samples that the raw manifest does not hold.
    """
    name, workflow = project.name, project.workflow
    manifest = newest_samples(name, until=day, lake=lake)
    pool = _day_pool(project, manifest, day=day.isoformat(), lake=lake)
    request = RankRequest(
        budget=workflow.batch_size * workflow.max_open_batches,
        window=workflow.batch_size,
        strategy=workflow.strategy,
        random_share=workflow.random_share,
        seed=f"{seed}/{name}/{day.isoformat()}",
    )
    excluded = _excluded(ledger.batched_samples(name, before_day=day.isoformat()))
    ranking = rank_pool(pool.scan, columns=pool.columns, request=request, excluded=excluded)
    partition = {"project": name, "day": day.isoformat()}
    rows = _with_manifest(ranking.rows, manifest, partition=partition)
    lake.overwrite_partition(RANKED_SAMPLES, rows, partition=partition)
    if now is not None:
        _remember(name, NewestRanking(day.isoformat(), rows.num_rows), ledger=ledger, now=now)
    return ranking.report


def rank_relabel(
    project: AnnotationProject, *, incident: Incident, lake: Lake, ledger: Ledger, seed: int
) -> list[JsonObject]:
    """The samples of one relabel batch, best first: of the incident's slices (any of them; of the whole pool when it names
    none), in no batch yet, at most the monitor's budget.

    Rows have the columns of `ranked_samples`; the reason names the slice: `relabel:scanner:b`. Scores are those of the
    newest prediction day. Raises InvalidInput when the project declares no monitor.
    """
    if project.monitor is None:
        raise InvalidInput(f"project {project.name}: found no monitor, expected one with a relabel budget.")
    manifest = newest_samples(project.name, until=_FAR_FUTURE, lake=lake)
    reasons = _relabel_reasons(manifest, incident)
    manifest = manifest.append_column("reason", reasons).filter(reasons.is_valid())
    newest = max(_prediction_days(project.name, lake=lake), default=None)
    pool = _day_pool(project, manifest.drop_columns("reason"), day=newest, lake=lake, restricted=True)
    request = RankRequest(
        budget=project.monitor.relabel_budget,
        window=project.monitor.relabel_budget,
        strategy=project.workflow.strategy,
        random_share=project.workflow.random_share,
        # Not the incident id: it names a tracker run, and the same story must pick the same samples.
        seed=f"{seed}/{project.name}/{incident.opened_at.date().isoformat()}/{','.join(incident.slices)}",
    )
    excluded = _excluded(ledger.batched_samples(project.name))
    ranking = rank_pool(pool.scan, columns=pool.columns, request=request, excluded=excluded)
    partition = {"project": project.name, "day": incident.opened_at.date().isoformat()}
    rows: list[JsonObject] = _with_manifest(ranking.rows, manifest, partition=partition).to_pylist()
    why = dict(zip(manifest.column("sample_id").to_pylist(), manifest.column("reason").to_pylist(), strict=True))
    picked = (UNCERTAIN, COLD_START)
    return [
        {**row, "selection_reason": why[row["sample_id"]]} if row["selection_reason"] in picked else row for row in rows
    ]


def rank_files(
    predictions: Path,
    *,
    budget: int,
    strategy: Strategy,
    exclude: Path | None,
    slice_column: str | None,
    random_share: float,
    seed: int,
    out: Path,
) -> RankReport:
    """Ranks a prediction file as one batch and writes the ranking, whole or not at all.

    Columns written: rank (0 first), sample_id, the slice column, uncertainty, selection_reason, inclusion_probability,
    strategy. Raises NotFound, InvalidInput (naming file and column or sample), UnsafeInput; nothing is written then.
    """
    request = RankRequest(budget=budget, window=budget, strategy=strategy, random_share=random_share, seed=str(seed))
    file = open_rows(predictions, text=[slice_column] if slice_column else [])
    columns = _file_columns(file, slice_column, strategy)
    ranking = rank_pool(file.scan, columns=columns, request=request, excluded=_excluded_file(exclude))
    write_rows(out, ranking.rows)
    return ranking.report


@dataclass(frozen=True, slots=True)
class _Pool:
    """What one ranking reads: a scan over rows that all are in the manifest, and its columns."""

    columns: PoolColumns
    batches: pa.Table | None
    """Rows in memory (cold start); None = read from the lake."""
    lake: Lake
    partition: Mapping[str, str]
    known: Mapping[str, tuple[str, str | None]] | None
    """sample_id -> digest and slice value; None when neither a quota nor a restriction needs it."""
    restricted: bool
    """Only samples that are known in the very version that was scored."""

    def scan(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        stored = [name for name in names if name != _SLICE]
        source = (
            self.lake.scan(PREDICTIONS, partition=self.partition, columns=stored)
            if self.batches is None
            else iter(self.batches.select(stored).to_batches())
        )
        for batch in source:
            yield self._with_slices(batch, names) if self.known is not None else batch

    def _with_slices(self, batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
        assert self.known is not None
        found = [self.known.get(sample) for sample in batch.column("sample_id").to_pylist()]
        if _SLICE in names:
            values = pa.array([None if entry is None else entry[1] for entry in found], pa.string())
            batch = batch.append_column(_SLICE, values)
        if not self.restricted:
            return batch
        digests = batch.column("digest").to_pylist() if "digest" in names else None
        keep = [entry is not None and (digests is None or entry[0] == digests[row]) for row, entry in enumerate(found)]
        return batch.filter(pa.array(keep, pa.bool_()))


def _day_pool(
    project: AnnotationProject, manifest: pa.Table, *, day: str | None, lake: Lake, restricted: bool = False
) -> _Pool:
    """The day's predictions, or the manifest itself when there are none."""
    partition = {"project": project.name, "day": day or ""}
    stored = lake.scan(PREDICTIONS, partition=partition) if day is not None else iter(())
    predicted = next((batch for batch in stored if batch.num_rows), None)
    quota = project.workflow.slice_quota
    known = None
    if quota is not None or restricted:
        values = slice_values(manifest.column("slices"), name=quota or "").to_pylist()
        versions = zip(manifest.column("digest").to_pylist(), values, strict=True)
        known = dict(zip(manifest.column("sample_id").to_pylist(), versions, strict=True))
    sliced = None if quota is None else _SLICE
    if predicted is None:
        columns = PoolColumns(slice=sliced, carry=("digest",), digest="digest")
        return _Pool(columns, manifest, lake, partition, known, restricted)
    embedded = predicted.column("embedding").null_count < predicted.num_rows
    columns = PoolColumns(
        probability_list="probabilities",
        embedding="embedding" if embedded else None,
        slice=sliced,
        carry=("digest", "model_version"),
        digest="digest",
    )
    return _Pool(columns, None, lake, partition, known, restricted)


def _prediction_days(project: str, *, lake: Lake) -> Iterator[str]:
    for batch in lake.scan(PREDICTIONS, partition={"project": project}, columns=["day"]):
        yield from batch.column("day").unique().to_pylist()


def _excluded(versions: frozenset[tuple[str, str]]) -> ExclusionIndex | None:
    if not versions:
        return None
    ordered = sorted(versions)
    ids = pa.array([sample for sample, _ in ordered], pa.string())
    return ExclusionIndex(ids, digests=pa.array([digest for _, digest in ordered], pa.string()))


def _with_manifest(ranked: pa.Table, manifest: pa.Table, *, partition: Mapping[str, str]) -> pa.Table:
    """Ranked rows in the schema of `ranked_samples`, with uri and slices of the very version that was ranked."""
    if ranked.num_rows == 0:
        return RANKED_SAMPLES.schema.empty_table()
    at = pc.index_in(ranked.column("sample_id").cast(pa.string()), value_set=manifest.column("sample_id"))
    found = manifest.take(at)
    same = pc.equal(found.column("digest"), ranked.column("digest")).fill_null(False)
    if not pc.all(same).as_py():
        lost = ranked.column("sample_id").filter(pc.invert(same))[0].as_py()
        raise Conflict(
            f"sample {lost}: its predictions of {partition['day']} are of a version that raw_samples does not hold; it was "
            "changed or erased since. Materialize the predictions of the day again."
        )
    columns = {name: pa.array([value] * ranked.num_rows, pa.string()) for name, value in partition.items()}
    columns |= {name: ranked.column(name) for name in ranked.column_names}
    columns |= {name: found.column(name) for name in ("uri", "slices")}
    columns.setdefault("model_version", pa.nulls(ranked.num_rows, pa.string()))
    return pa.table([columns[name] for name in RANKED_SAMPLES.schema.names], RANKED_SAMPLES.schema.names).cast(
        RANKED_SAMPLES.schema
    )


def _remember(project: str, ranking: NewestRanking, *, ledger: Ledger, now: datetime) -> None:
    """Moves the cursor forward only: a backfill of an old day asks nobody for work."""
    name = ranking_cursor(project)
    stored = ledger.cursor(name)
    if stored == ranking.as_cursor() or (stored and NewestRanking.from_cursor(stored).day > ranking.day):
        return
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        tx.set_cursor(name, ranking.as_cursor())
        tx.audit("ranking.made", f"{project}/{ranking.day}", {"n_ranked": ranking.n_ranked})


def _relabel_reasons(manifest: pa.Table, incident: Incident) -> pa.Array:
    """`relabel:<slice>:<value>` for samples of the incident's slices (the first that matches), null for others."""
    if not incident.slices:
        return pa.array(["relabel"] * manifest.num_rows, pa.string())
    reasons = pa.nulls(manifest.num_rows, pa.string())
    for slice_ in reversed(incident.slices):
        name, _, value = slice_.partition(":")
        matches = pc.equal(slice_values(manifest.column("slices"), name=name), value).fill_null(False)
        reasons = pc.if_else(matches, f"relabel:{slice_}", reasons)
    return reasons


def _file_columns(file: RowFile, slice_column: str | None, strategy: Strategy) -> PoolColumns:
    if slice_column is not None and slice_column not in file.names:
        raise InvalidInput(
            f"{file.path}: found columns {', '.join(file.names[:20])}, expected the slice column {slice_column}."
        )
    wide = tuple(name for name in file.names if name.startswith(PREFIX) and name != slice_column)
    lists = file.path.suffix != ".csv"
    listed = LIST if lists and LIST in file.names and not wide else None
    if not wide and listed is None and strategy not in ("random", "margin_kmeans"):
        raise InvalidInput(
            f"{file.path}: found columns {', '.join(file.names[:20])}, expected class probabilities: "
            f"one column {PREFIX}<class> a class, or one list column {LIST}."
        )
    if strategy == "random":
        wide, listed = (), None
    embedding = "embedding" if lists and "embedding" in file.names else None
    return PoolColumns(probabilities=wide, probability_list=listed, slice=slice_column, embedding=embedding)


def _excluded_file(path: Path | None) -> ExclusionIndex | None:
    if path is None:
        return None
    ids = [batch.column("sample_id") for batch in open_rows(path).scan(["sample_id"])]
    present = pa.chunked_array(ids).combine_chunks() if ids else pa.array([], pa.string())
    return ExclusionIndex(present.drop_null())
