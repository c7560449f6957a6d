"""Scoring the pool of a day: by the registered model, from a prediction log as it is, or features alone before both."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from annotation_ops.domain.errors import InvalidInput, NotFound, UnsafeInput
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.selection.text_embedding import embed_texts
from annotation_ops.domain.tables import PREDICTIONS
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.ports.media import MediaDecoder
from annotation_ops.ports.model_tracking import ModelTracking, Scorer
from annotation_ops.ports.object_store import ObjectStore
from annotation_ops.services.manifest import newest_samples, without_versions
from annotation_ops.services.prediction_log import read_log

CHUNK = 512
"""Samples decoded and scored at once: 3 MB of 28 x 28 pixels."""

_SCHEMA = pa.schema([field for field in PREDICTIONS.schema if field.name not in PREDICTIONS.partition_by])
_NO_ROWS = _SCHEMA.empty_table()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A sample left out because its object can no longer be read or decoded."""

    sample_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PredictReport:
    """What was scored, and by what."""

    pool: int
    """Samples of the day's pool: ingested until then, in no batch of an earlier day."""
    written: int
    scored: int
    """Rows with probabilities; 0 while there is no model."""
    source: str
    """`model digits-model 3`, `log 2026-11-23.parquet` or `no model yet`."""
    model_version: str | None
    unreadable: tuple[Unreadable, ...]
    unknown: int
    """Log rows of samples outside the pool."""
    missing: int
    """Pool samples that the log does not score; they are written without probabilities."""


def predict_day(
    project: AnnotationProject,
    *,
    day: date,
    lake: Lake,
    ledger: Ledger,
    tracking: ModelTracking | None,
    store: ObjectStore,
    decoder: MediaDecoder,
    logs: ObjectStore | None = None,
) -> PredictReport:
    """Scores the pool of `day` and replaces the day's predictions; the same inputs give the same rows.

    `store` holds the raw objects, `logs` the folder of `log_uri` (needed only when the project declares one). Objects that
    cannot be read or decoded are left out and reported. Raises InvalidInput when the model or the log does not fit the
    taxonomy, UnsafeInput for a log that would cost absurd memory, NotFound when the day has no log, TransientError.
    """
    versions = ledger.batched_samples(project.name, before_day=day.isoformat())
    pool = without_versions(newest_samples(project.name, until=day, lake=lake), versions)
    if project.sources.scoring.log_uri is not None:
        if logs is None:
            raise InvalidInput(f"project {project.name}: found a log_uri but no store for it, expected both.")
        rows, report = _from_log(project, pool, day=day, logs=logs)
    else:
        rows, report = _from_objects(project, pool, tracking=tracking, store=store, decoder=decoder)
    partition = {"project": project.name, "day": day.isoformat()}
    lake.overwrite_partition(PREDICTIONS, _stamped(rows, partition), partition=partition)
    return report


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns objects into features: grey pixels or strings."""

    project: AnnotationProject
    store: ObjectStore
    decoder: MediaDecoder

    @property
    def kind(self) -> str | None:
        """`pixels`, `text`, or None when there is nothing to look at (audio, video)."""
        declared = self.project.sources.scoring.features
        return declared or {"image": "pixels", "text": "text"}.get(self.project.contract.media)

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height; 8 x 8 when a project declares no size, enough to tell images apart."""
        scoring = self.project.sources.scoring
        return scoring.width or 8, scoring.height or 8

    def read(self, object_key: str) -> NDArray[np.float64] | str:
        """Raises NotFound, UnsafeInput, InvalidInput: reasons to leave a sample out."""
        contract = self.project.contract
        body = self.store.read(object_key, max_bytes=contract.max_bytes)
        if self.kind == "pixels":
            width, height = self.shape
            return self.decoder.grey_pixels(body, width=width, height=height)
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{object_key}: {error}; expected UTF-8 text.") from error
        if len(text) > contract.max_characters:
            raise UnsafeInput(
                f"{object_key}: found {len(text)} characters, expected {contract.max_characters} at most."
            )
        return text


def _from_objects(
    project: AnnotationProject,
    pool: pa.Table,
    *,
    tracking: ModelTracking | None,
    store: ObjectStore,
    decoder: MediaDecoder,
) -> tuple[pa.Table, PredictReport]:
    model_name = project.sources.scoring.model
    model = tracking.latest_model(model_name) if tracking is not None and model_name is not None else None
    scorer = tracking.load_scorer(model) if tracking is not None and model is not None else None
    reader = _Reader(project, store, decoder)
    pieces, unreadable = [_NO_ROWS], list[Unreadable]()
    for start in range(0, pool.num_rows, CHUNK):
        chunk = pool.slice(start, CHUNK)
        features, kept = _features(reader, chunk, unreadable)
        if not kept:
            continue
        samples = chunk.take(pa.array(kept, pa.int64()))
        embedding = None if reader.kind is None else _embedding(features)
        probabilities = None
        if scorer is not None:
            width = len(project.taxonomy.labels)
            probabilities = _scores(scorer, features, order=_class_order(scorer, project), width=width)
        pieces.append(_rows(samples, model.version if model else None, probabilities, embedding))
    rows = pa.concat_tables(pieces)
    source = "no model yet" if model is None else f"model {model.name} {model.version}"
    return rows, _report(pool, rows, source=source, unreadable=tuple(unreadable))


def _features(
    reader: _Reader, chunk: pa.Table, unreadable: list[Unreadable]
) -> tuple[NDArray[np.float64] | list[str], list[int]]:
    """Features of the rows that can be read, and which rows these are; the others are noted."""
    values: list[NDArray[np.float64] | str] = []
    kept: list[int] = []
    if reader.kind is None:
        return [], list(range(chunk.num_rows))
    names = zip(chunk.column("sample_id").to_pylist(), chunk.column("object_key").to_pylist(), strict=True)
    for row, (sample, object_key) in enumerate(names):
        try:
            values.append(reader.read(object_key))
        except (NotFound, UnsafeInput, InvalidInput) as error:
            unreadable.append(Unreadable(sample, str(error)))
            continue
        kept.append(row)
    texts = [value for value in values if isinstance(value, str)]
    pixels = [value for value in values if not isinstance(value, str)]
    return (np.stack(pixels) if pixels else texts), kept


def _class_order(scorer: Scorer, project: AnnotationProject) -> NDArray[np.int64]:
    """Taxonomy position of each class of the model; a label the model does not know gets probability 0."""
    names = project.taxonomy.names
    unknown = sorted(set(scorer.classes) - set(names))
    if unknown:
        raise InvalidInput(
            f"model {project.sources.scoring.model}: found classes {', '.join(unknown)}, expected labels of the taxonomy: "
            f"{', '.join(names)}. Train it on this taxonomy, or add the labels."
        )
    return np.array([names.index(name) for name in scorer.classes], dtype=np.int64)


def _scores(
    scorer: Scorer, features: NDArray[np.float64] | list[str], *, order: NDArray[np.int64], width: int
) -> NDArray[np.float64]:
    """Probabilities in taxonomy order, shape (n, width)."""
    given = np.asarray(scorer.predict_proba(features), dtype=np.float64)
    if given.shape != (len(features), len(order)):
        raise InvalidInput(f"the model gave an array of shape {given.shape}, expected {(len(features), len(order))}.")
    scores = np.zeros((len(features), width))
    scores[:, order] = given
    return scores


def _embedding(features: NDArray[np.float64] | list[str]) -> NDArray[np.float32]:
    return embed_texts(features) if isinstance(features, list) else features.astype(np.float32)


def _rows(
    samples: pa.Table,
    model_version: str | None,
    probabilities: NDArray[np.float64] | None,
    embedding: NDArray[np.float32] | None,
) -> pa.Table:
    n = samples.num_rows
    columns = [
        samples.column("sample_id"),
        samples.column("digest"),
        pa.array([model_version] * n, pa.string()),
        pa.nulls(n, pa.list_(pa.float64())) if probabilities is None else _lists(probabilities, pa.float64()),
        pa.nulls(n, pa.list_(pa.float32())) if embedding is None else _lists(embedding, pa.float32()),
    ]
    return pa.table(columns, schema=_SCHEMA)


def _lists(matrix: NDArray[np.floating], kind: pa.DataType) -> pa.Array:
    """A matrix as a list column, one list a row."""
    offsets = pa.array(np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1], pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.reshape(-1), kind))


def _stamped(rows: pa.Table, partition: Mapping[str, str]) -> pa.Table:
    """Rows by sample_id with their partition columns."""
    ordered = rows.sort_by("sample_id")
    stamps = [pa.array([value] * rows.num_rows, pa.string()) for value in partition.values()]
    return pa.table([*stamps, *ordered.columns], schema=PREDICTIONS.schema)


def _report(
    pool: pa.Table,
    rows: pa.Table,
    *,
    source: str,
    unreadable: tuple[Unreadable, ...] = (),
    unknown: int = 0,
    missing: int = 0,
) -> PredictReport:
    versions = rows.column("model_version").drop_null().unique().to_pylist()
    scores = rows.column("probabilities")
    return PredictReport(
        pool=pool.num_rows,
        written=rows.num_rows,
        scored=len(scores) - scores.null_count,
        source=source,
        model_version=versions[0] if len(versions) == 1 else None,
        unreadable=unreadable,
        unknown=unknown,
        missing=missing,
    )


def _from_log(
    project: AnnotationProject, pool: pa.Table, *, day: date, logs: ObjectStore
) -> tuple[pa.Table, PredictReport]:
    """The rows of `<day>.parquet` whose samples are in the pool, and the pool's other samples without probabilities."""
    ids = pool.column("sample_id").combine_chunks()
    log = read_log(logs, f"{day.isoformat()}.parquet", labels=project.taxonomy.names)
    place = pc.index_in(log.column("sample_id"), value_set=ids)
    unknown = int(place.null_count)
    log = log.filter(place.is_valid())
    digests = pool.column("digest").take(place.drop_null())
    known = log.append_column("digest", digests).select(_SCHEMA.names).cast(_SCHEMA)
    unseen = pool.filter(pc.invert(pc.is_in(ids, value_set=log.column("sample_id").combine_chunks())))
    rows = pa.concat_tables([known, _rows(unseen, None, None, None)])
    source = f"log {day.isoformat()}.parquet"
    return rows, _report(pool, rows, source=source, unknown=unknown, missing=unseen.num_rows)
