"""The lake's tables: the product that others read. Wide types from day one; columns are only ever added.

Every table is partitioned by `project` first, so that a merge can always name its partition literally.
"""

from dataclasses import dataclass

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A named table: its schema, the columns that partition it, and the key columns that make a row unique."""

    name: str
    schema: pa.Schema
    partition_by: tuple[str, ...]
    key: tuple[str, ...]


RAW_SAMPLES = TableSpec(
    "raw_samples",
    pa.schema(
        [
            ("project", pa.string()),
            ("day", pa.string()),
            ("sample_id", pa.string()),
            ("digest", pa.string()),
            ("uri", pa.string()),
            ("object_key", pa.string()),
            ("etag", pa.string()),
            ("size", pa.int64()),
            ("media_type", pa.string()),
            ("captured_at", TIME),
            ("region", pa.string()),
            ("subject", pa.string()),
            ("slices", pa.string()),  # canonical JSON object
            ("metadata", pa.string()),  # canonical JSON object
            ("contract_version", pa.string()),
            ("modified_at", TIME),  # of this version, by the object store; the newest of a sample is its current one
        ]
    ),
    partition_by=("project", "day"),
    key=("sample_id", "digest"),
)
"""Raw manifest: one row a version of an object."""

PREDICTIONS = TableSpec(
    "predictions",
    pa.schema(
        [
            ("project", pa.string()),
            ("day", pa.string()),
            ("sample_id", pa.string()),
            ("digest", pa.string()),
            ("model_version", pa.string()),
            ("probabilities", pa.list_(pa.float64())),  # in taxonomy order
            ("embedding", pa.list_(pa.float32())),
        ]
    ),
    partition_by=("project", "day"),
    key=("sample_id",),
)
"""Scores of the pool as the current model saw it on `day`."""

RANKED_SAMPLES = TableSpec(
    "ranked_samples",
    pa.schema(
        [
            ("project", pa.string()),
            ("day", pa.string()),
            ("rank", pa.int64()),
            ("sample_id", pa.string()),
            ("digest", pa.string()),
            ("uri", pa.string()),
            ("slices", pa.string()),
            ("uncertainty", pa.float64()),
            ("selection_reason", pa.string()),
            ("inclusion_probability", pa.float64()),
            ("strategy", pa.string()),
            ("model_version", pa.string()),
        ]
    ),
    partition_by=("project", "day"),
    key=("sample_id",),
)
"""What to label next, best first, as decided on `day`."""

ANNOTATIONS = TableSpec(
    "annotations",
    pa.schema(
        [
            ("project", pa.string()),
            ("batch_id", pa.string()),
            ("attempt", pa.int64()),
            ("task_key", pa.string()),
            ("sample_id", pa.string()),
            ("annotator_id", pa.string()),
            ("value", pa.string()),
            ("submitted_at", TIME),
            ("lead_time_seconds", pa.float64()),
            ("revision", pa.int64()),
        ]
    ),
    partition_by=("project", "batch_id"),
    key=("task_key", "annotator_id", "revision"),
)
"""The judgements a verdict was made from, flushed from the ledger once per batch attempt."""

GOLD_LABELS = TableSpec(
    "gold_labels",
    pa.schema(
        [
            ("project", pa.string()),
            ("batch_id", pa.string()),
            ("attempt", pa.int64()),
            ("sample_id", pa.string()),
            ("digest", pa.string()),
            ("task_key", pa.string()),
            ("label", pa.string()),
            ("value", pa.string()),
            ("confidence", pa.float64()),
            ("n_annotators", pa.int64()),
            ("method", pa.string()),
            ("needs_human", pa.bool_()),
        ]
    ),
    partition_by=("project", "batch_id"),
    key=("sample_id",),
)
"""The consensus of a judged batch attempt; only PASS attempts are written."""

LABEL_FEATURES = TableSpec(
    "label_features",
    pa.schema(
        [
            ("project", pa.string()),
            ("entity_id", pa.string()),  # sample_id
            ("event_timestamp", TIME),  # when the label became gold (QA pass)
            ("created_timestamp", TIME),  # when the row was written
            ("sample_timestamp", TIME),
            ("label_revision", pa.int64()),
            ("is_deleted", pa.bool_()),
            ("task_type", pa.string()),
            ("label", pa.string()),
            ("label_json", pa.string()),
            ("confidence", pa.float64()),
            ("agreement", pa.float64()),
            ("n_annotators", pa.int64()),
            ("annotators", pa.list_(pa.string())),
            ("gold_source", pa.string()),
            ("contract_version", pa.string()),
            ("taxonomy_version", pa.string()),
            ("guideline_version", pa.string()),
            ("criteria_version", pa.string()),
            ("batch_id", pa.string()),
            ("attempt", pa.int64()),
            ("verdict", pa.string()),
            ("label_commit", pa.string()),
            ("source_uri", pa.string()),
            ("content_digest", pa.string()),
            ("slices", pa.string()),
            ("model_version", pa.string()),
            ("uncertainty", pa.float64()),
            ("inclusion_probability", pa.float64()),
            ("selection_reason", pa.string()),
            ("split", pa.string()),
            ("code_version", pa.string()),
        ]
    ),
    partition_by=("project",),
    key=("entity_id", "event_timestamp", "label_revision"),
)
"""The bitemporal feature-store table: late corrections add rows, nothing is overwritten."""

MODEL_PERFORMANCE = TableSpec(
    "model_performance",
    pa.schema(
        [
            ("project", pa.string()),
            ("model", pa.string()),
            ("model_version", pa.string()),
            ("metric", pa.string()),
            ("slice", pa.string()),  # "" is overall
            ("value", pa.float64()),
            ("n", pa.int64()),
            ("observed_at", TIME),
            ("run_id", pa.string()),
        ]
    ),
    partition_by=("project",),
    key=("run_id", "metric", "slice", "observed_at"),
)
"""Metric observations read from the model tracker."""

TABLES: tuple[TableSpec, ...] = (
    RAW_SAMPLES,
    PREDICTIONS,
    RANKED_SAMPLES,
    ANNOTATIONS,
    GOLD_LABELS,
    LABEL_FEATURES,
    MODEL_PERFORMANCE,
)
