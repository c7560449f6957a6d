"""A project over a folder, and ports that fail when told to."""

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from annotation_ops.adapters.media_decoder import ChildDecoder
from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.adapters.storage.local_folder import LocalFolder
from annotation_ops.domain.errors import TransientError
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.contract import MetadataField
from annotation_ops.domain.tables import RAW_SAMPLES, TableSpec
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import LedgerTransaction
from annotation_ops.ports.object_store import ObjectInfo, ObjectStore
from annotation_ops.services.ingest import IngestReport, ingest_day
from annotation_ops_tests.domain.project.examples import parse, texts
from annotation_ops_tests.fakes.lake import MemoryLake

DAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


FIELDS = (
    MetadataField("writer", required=True, pattern="w[0-9]+", allowed=(), slice=False),
    MetadataField("scanner", required=True, pattern=None, allowed=("a", "b", "c"), slice=True),
)


def png(value: int, *, side: int = 8) -> bytes:
    """A grey PNG; values 0 to 65,535 give different bytes."""
    image = Image.new("L", (side, side), value % 256)
    image.putpixel((0, 0), value // 256)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def example() -> AnnotationProject:
    """The example project with a contract that its edits do not change."""
    project = parse(texts("digits"))
    contract = replace(
        project.contract,
        media="image",
        media_types=("image/png",),
        max_bytes=262_144,
        max_pixels=65_536,
        metadata=FIELDS,
        region_field=None,
        subject_field="writer",
    )
    raw = replace(project.sources.raw, day_prefix="%Y-%m-%d/")
    return replace(project, contract=contract, sources=replace(project.sources, raw=raw))


def metadata(number: int) -> dict[str, str]:
    return {"writer": f"w{number % 7}", "scanner": "abc"[number % 3], "captured_at": "2026-11-23T08:00:00Z"}


class Interrupted(TransientError):
    """The process ended here."""


@dataclass
class Fuse:
    """Counts effects by kind (`read`, `lake`, `ledger`) and ends the run at the one it is set to: before it, or right
    after it took effect."""

    kind: str = ""
    at: int = 0
    after: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def effect(self, kind: str) -> Iterator[None]:
        self.counts[kind] += 1
        hit = kind == self.kind and self.counts[kind] == self.at
        if hit and not self.after:
            raise Interrupted("before")
        yield
        if hit:
            raise Interrupted("after")


class FusedLake(MemoryLake):
    def __init__(self, fuse: Fuse) -> None:
        super().__init__()
        self.fuse = fuse

    def upsert(self, table: TableSpec, rows: pa.Table, *, partition: Mapping[str, str]) -> None:
        with self.fuse.effect("lake"):
            super().upsert(table, rows, partition=partition)


class FusedLedger(SqlLedger):
    def __init__(self, url: str, fuse: Fuse) -> None:
        super().__init__(url)
        self.fuse = fuse

    @contextmanager
    def _fused(self, opened: AbstractContextManager[LedgerTransaction]) -> Iterator[LedgerTransaction]:
        with self.fuse.effect("ledger"), opened as transaction:
            yield transaction

    def transaction(self, *, actor: str, at: datetime) -> AbstractContextManager[LedgerTransaction]:
        return self._fused(super().transaction(actor=actor, at=at))


class WatchedFolder(LocalFolder):
    """Remembers which keys were read and which prefixes were listed; `reads` fail by the fuse."""

    def __init__(self, root: Path, fuse: Fuse) -> None:
        super().__init__(root)
        self.fuse = fuse
        self.read_keys: list[str] = []
        self.prefixes: list[str] = []
        self.before_read: Callable[[str], None] = lambda _: None

    def list(self, prefix: str = "", *, start_after: str | None = None) -> Iterator[ObjectInfo]:
        self.prefixes.append(prefix)
        return super().list(prefix, start_after=start_after)

    def read(self, key: str, *, max_bytes: int) -> bytes:
        with self.fuse.effect("read"):
            self.before_read(key)
            self.read_keys.append(key)
            return super().read(key, max_bytes=max_bytes)


@dataclass
class Bench:
    root: Path
    decoder: ChildDecoder
    fuse: Fuse = field(default_factory=Fuse)
    project: AnnotationProject = field(default_factory=example)
    raw: Path | None = None
    """Another bench's objects."""
    empty_ledger: Path | None = None
    """A migrated ledger file to start from; migrating takes 0.3 s."""

    def __post_init__(self) -> None:
        (self.root / "raw").mkdir(parents=True)
        self.store = WatchedFolder(self.raw or self.root / "raw", self.fuse)
        self.lake: Lake = FusedLake(self.fuse)
        self.ledger = FusedLedger(f"sqlite:///{self.root}/ledger.sqlite", self.fuse)
        if self.empty_ledger is None:
            self.ledger.initialise()
        else:
            shutil.copy(self.empty_ledger, self.root / "ledger.sqlite")

    def with_contract(self, **changes: Any) -> None:
        self.project = replace(self.project, contract=replace(self.project.contract, **changes))

    def fill(self, count: int) -> None:
        for number in range(count):
            self.put(f"{DAY}/{number:04d}.png", png(number), metadata(number))

    def put(self, key: str, body: bytes, facts: Mapping[str, str] | None = None) -> None:
        """Written straight to disk: the files of a test need no fsync."""
        path = self.root / "raw" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if facts is not None:
            Path(f"{path}.json").write_text(json.dumps(dict(facts)))
        path.write_bytes(body)

    def ingest(self, *, store: ObjectStore | None = None, now: datetime = NOW, flush_rows: int = 5_000) -> IngestReport:
        return ingest_day(
            self.project,
            day=DAY,
            store=store or self.store,
            lake=self.lake,
            ledger=self.ledger,
            decoder=self.decoder,
            now=now,
            run_id="run-1",
            flush_rows=flush_rows,
        )

    def rows(self) -> list[dict[str, Any]]:
        found = self.lake.read(RAW_SAMPLES, partition={"project": "digits", "day": DAY.isoformat()}).to_pylist()
        return sorted(found, key=lambda row: (row["object_key"], row["modified_at"]))

    def refused(self) -> dict[str, str]:
        """Object key -> reason code."""
        return {item.key: item.reason_code for item in self.ledger.quarantined("digits", "sample")}

    def entries(self) -> list[dict[str, Any]]:
        """Details of every `samples.ingested` audit entry."""
        bodies = [json.loads(entry.body) for entry in self.ledger.audit_entries()]
        return [body["details"] for body in bodies if body["event"] == "samples.ingested"]
