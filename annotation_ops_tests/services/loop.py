"""What the tests of ranking and predicting share: a small project, its raw manifest, and the ledger they read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta

import pyarrow as pa

from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.contract import Contract
from annotation_ops.domain.project.criteria import Criteria
from annotation_ops.domain.project.guideline import Guideline
from annotation_ops.domain.project.routing import Routing
from annotation_ops.domain.project.sources import RawSource, Scoring, Sources
from annotation_ops.domain.project.taxonomy import Label, Taxonomy
from annotation_ops.domain.project.workflow import Workflow
from annotation_ops.domain.project.workforce import Workforce
from annotation_ops.domain.tables import RAW_SAMPLES
from annotation_ops_tests.fakes.lake import MemoryLake

DAY = date(2026, 11, 23)
LABELS = ("cat", "dog", "owl")


class BatchedSamples:
    """The part of a ledger that ranking reads: what is in a batch, by day, and its cursors."""

    def __init__(self, batched: Mapping[str, Sequence[tuple[str, str]]] | None = None) -> None:
        self._batched = dict(batched or {})
        self.cursors: dict[str, str] = {}
        self.audited: list[str] = []

    def batched_samples(self, project: str, *, before_day: str | None = None) -> frozenset[tuple[str, str]]:
        days = [day for day in self._batched if before_day is None or day < before_day]
        return frozenset(version for day in days for version in self._batched[day])

    def cursor(self, name: str) -> str | None:
        return self.cursors.get(name)

    @contextmanager
    def transaction(self, *, actor: str, at: datetime) -> Iterator["BatchedSamples"]:
        before = len(self.audited)
        yield self
        assert len(self.audited) > before, "a change without an audit entry"

    def set_cursor(self, name: str, value: str) -> None:
        self.cursors[name] = value

    def audit(self, event: str, subject: str, details: Mapping[str, object]) -> None:
        self.audited.append(event)


def project_of(
    *,
    strategy: str = "margin_kmeans",
    batch_size: int = 10,
    max_open_batches: int = 2,
    random_share: float = 0.1,
    slice_quota: str | None = None,
    media: str = "image",
    scoring: Scoring | None = None,
) -> AnnotationProject:
    contract = Contract(
        version="1.0.0",
        project="pets",
        task_type="classification",
        media=media,
        media_types=("image/png",),
        max_bytes=1000,
        max_pixels=10_000,
        max_characters=100,
        metadata=(),
        region_field=None,
        allowed_regions=(),
        subject_field=None,
        sla=timedelta(hours=24),
        owner="team:pets",
    )
    criteria = Criteria("1.0.0", "fleiss_kappa", 0.8, "point", 0.0, 0.95, 0.2, 0.5, 0.5, 0.5, "weighted_vote", 10)
    labels = tuple(Label(name=name, description="", critical=False) for name in LABELS)
    workflow = Workflow(
        version="1.0.0",
        batch_size=batch_size,
        overlap=2,
        max_attempts=3,
        strategy=strategy,
        random_share=random_share,
        slice_quota=slice_quota,
        max_open_batches=max_open_batches,
        platform="simulated",
    )
    default = Scoring(model="pets-model", features="pixels", width=2, height=2, log_uri=None)
    sources = Sources("1.0.0", RawSource("raw", DAY, ""), scoring or default)
    return AnnotationProject(
        name="pets",
        contract=contract,
        taxonomy=Taxonomy(version="1.0.0", labels=labels, ordered=False),
        guideline=Guideline(version="1.0.0", taxonomy_version="1.0.0", text=""),
        criteria=criteria,
        workforce=Workforce(version="1.0.0", annotators=()),
        workflow=workflow,
        routing=Routing(version="1.0.0", rules=(), distinct_cohorts=False, exclude_earlier_attempts=False),
        sources=sources,
        monitor=None,
        documents=(),
    )


def with_scoring(project: AnnotationProject, scoring: Scoring) -> AnnotationProject:
    return replace(project, sources=replace(project.sources, scoring=scoring))


def raw(sample_id: str, *, digest: str = "d1", day: date = DAY, scanner: str | None = None) -> dict[str, object]:
    """One manifest row."""
    row: dict[str, object] = dict.fromkeys(RAW_SAMPLES.schema.names)
    row |= {"project": "pets", "day": day.isoformat(), "sample_id": sample_id, "digest": digest}
    row |= {"uri": f"mem://{sample_id}.{digest}", "object_key": f"{sample_id}.{digest}", "size": 1}
    return row | {"slices": "{}" if scanner is None else f'{{"scanner":"{scanner}"}}', "metadata": "{}"}


def ingest(lake: MemoryLake, rows: Sequence[dict[str, object]]) -> None:
    lake.upsert(RAW_SAMPLES, pa.Table.from_pylist(list(rows), RAW_SAMPLES.schema), partition={"project": "pets"})
