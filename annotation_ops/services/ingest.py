"""Raw objects become samples: each registered once, each refused one kept with its reason."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256

import pyarrow as pa

from annotation_ops.domain.errors import InvalidInput, NotFound, UnsafeInput
from annotation_ops.domain.ingestion import (
    RawObject,
    Refusal,
    admit,
    canonical_json,
    listing_digest,
    media_refusal,
    name_refusal,
    shown,
)
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.contract import Contract
from annotation_ops.domain.records import SYSTEM_ACTOR, Quarantined, Sample
from annotation_ops.domain.tables import RAW_SAMPLES
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.ports.media import MediaDecoder
from annotation_ops.ports.object_store import ObjectInfo, ObjectStore

FLUSH_ROWS = 5_000
"""Rows of one lake commit: about 5 MB in memory."""
READERS = 4
"""Objects read at once: a bucket answers in tens of milliseconds, which one reader would spend waiting."""
READ_AHEAD = 64 << 20
"""Bytes of objects read but not yet decoded, at most (one object may exceed it: its limit is the contract's)."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one run over one day found. listed = new + changed + unchanged + refused (now or earlier) + vanished."""

    day: date
    listed: int
    new: int
    changed: int
    """Overwritten objects: another digest under a known key."""
    unchanged: int
    quarantined: Mapping[str, int]
    """Refused in this run, by reason code."""
    refused_before: int
    """Refused by an earlier run under the same contract; not read again."""
    vanished: int
    """Deleted between the listing and the read."""
    bytes_read: int
    by_slice: Mapping[str, int]
    """`scanner:b` -> samples registered in this run."""
    registered: int
    """Objects of the day that are samples, over all runs."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    info: ObjectInfo
    metadata: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class _Day:
    """The state of one run; `current` holds (modified_at, etag, digest) of the newest version of every key."""

    current: dict[str, tuple[datetime, str, str]]
    refused_before: frozenset[tuple[str, str]]
    counts: Counter[str] = field(default_factory=Counter)
    slices: Counter[str] = field(default_factory=Counter)
    rows: list[dict[str, object]] = field(default_factory=list)
    refused: list[tuple[ObjectInfo, Refusal]] = field(default_factory=list)


def ingest_day(
    project: AnnotationProject,
    *,
    day: date,
    store: ObjectStore,
    lake: Lake,
    ledger: Ledger,
    decoder: MediaDecoder,
    now: datetime,
    run_id: str,
    flush_rows: int = FLUSH_ROWS,
) -> IngestReport:
    """Registers the day's objects in RAW_SAMPLES and quarantines those that break the contract.

    Rows are upserted by (sample_id, digest) and the ledger is written last, in one transaction: after a crash
    anywhere, running the day again ends in the same state. Objects whose key and etag are known are not read again.
    Errors: TransientError from the store, the lake or the decoder; nothing already registered is lost by it.
    """
    state = _known(project, day, lake=lake, ledger=ledger)
    for fetched in _read_ahead(_unseen(project, day, store, state), store, project.contract):
        _consider(project, day, fetched, state, store=store, decoder=decoder)
        if len(state.rows) >= flush_rows:
            _flush(project, day, state, lake)
    _flush(project, day, state, lake)
    report = _report(day, state)
    _record(project, report, state, ledger=ledger, now=now, run_id=run_id)
    return report


def day_objects(project: AnnotationProject, day: date, store: ObjectStore) -> Iterator[ObjectInfo]:
    """The objects of one daily partition in key order: by the declared prefix, or by modification day (UTC)."""
    pattern = project.sources.raw.day_prefix
    if pattern:
        yield from store.list(day.strftime(pattern))
    else:
        yield from (info for info in store.list() if info.modified_at.astimezone(UTC).date() == day)


def _known(project: AnnotationProject, day: date, *, lake: Lake, ledger: Ledger) -> _Day:
    columns = ["object_key", "modified_at", "etag", "digest"]
    current: dict[str, tuple[datetime, str, str]] = {}
    for batch in lake.scan(RAW_SAMPLES, partition=_partition(project, day), columns=columns):
        for row in batch.to_pylist():
            version = (row["modified_at"], row["etag"], row["digest"])
            current[row["object_key"]] = max(version, current.get(row["object_key"], version))
    contract = project.pinned("contract")
    refused = frozenset(
        (item.key, str(item.body.get("etag")))
        for item in ledger.quarantined(project.name, "sample")
        if item.body.get("contract") == contract and item.body.get("day") == day.isoformat()
    )
    return _Day(current, refused)


def _unseen(project: AnnotationProject, day: date, store: ObjectStore, state: _Day) -> Iterator[ObjectInfo]:
    for info in day_objects(project, day, store):
        state.counts["listed"] += 1
        known = state.current.get(info.key)
        if (shown(info.key, limit=1_024), info.etag) in state.refused_before:
            state.counts["refused_before"] += 1
        elif known is not None and known[1] == info.etag:
            state.counts["unchanged"] += 1
        else:
            yield info


def _read_ahead(
    infos: Iterator[ObjectInfo], store: ObjectStore, contract: Contract
) -> Iterator[_Fetched | tuple[ObjectInfo, Refusal | None]]:
    """Fetches objects some steps ahead, in order, within READ_AHEAD bytes."""
    pending: deque[tuple[int, Future[_Fetched | tuple[ObjectInfo, Refusal | None]]]] = deque()
    ahead = 0
    with ThreadPoolExecutor(READERS, thread_name_prefix="ingest") as pool:
        for info in infos:
            cost = min(info.size, contract.max_bytes)
            while pending and (len(pending) >= 4 * READERS or ahead + cost > READ_AHEAD):
                size, future = pending.popleft()
                ahead -= size
                yield future.result()
            pending.append((cost, pool.submit(_fetch, info, store, contract)))
            ahead += cost
        while pending:
            yield pending.popleft()[1].result()


def _fetch(info: ObjectInfo, store: ObjectStore, contract: Contract) -> _Fetched | tuple[ObjectInfo, Refusal | None]:
    """The object, or why it cannot be used (None: it is gone). The etag is taken before the bytes, so an object that
    is overwritten meanwhile is seen as changed by the next run."""
    if refusal := name_refusal(info.key) or _size_refusal(info, contract):
        return info, refusal
    try:
        found, metadata = store.head(info.key)
    except NotFound:
        return info, None
    except UnsafeInput as error:
        return info, Refusal("unsafe", shown(str(error), limit=300))
    except InvalidInput as error:
        return info, Refusal("bad_sidecar", shown(str(error), limit=300))
    try:
        return _Fetched(found, metadata, store.read(info.key, max_bytes=contract.max_bytes))
    except NotFound:
        return info, None
    except UnsafeInput:
        return found, _size_refusal(found, contract) or Refusal("too_large", "the object grew while it was read")


def _size_refusal(info: ObjectInfo, contract: Contract) -> Refusal | None:
    if info.size <= contract.max_bytes:
        return None
    return Refusal("too_large", f"found {info.size} bytes, expected at most {contract.max_bytes}")


def _consider(
    project: AnnotationProject,
    day: date,
    fetched: _Fetched | tuple[ObjectInfo, Refusal | None],
    state: _Day,
    *,
    store: ObjectStore,
    decoder: MediaDecoder,
) -> None:
    if not isinstance(fetched, _Fetched):
        info, refusal = fetched
        if refusal is None:
            state.counts["vanished"] += 1
        else:
            state.refused.append((info, refusal))
        return
    state.counts["bytes_read"] += len(fetched.body)
    outcome = _sample(project, day, fetched, store=store, decoder=decoder)
    if isinstance(outcome, Refusal):
        state.refused.append((fetched.info, outcome))
    else:
        _register(project, fetched.info, outcome, state)


def _sample(
    project: AnnotationProject, day: date, fetched: _Fetched, *, store: ObjectStore, decoder: MediaDecoder
) -> Sample | Refusal:
    contract = project.contract
    try:
        media = decoder.probe(fetched.body, media=contract.media)
    except UnsafeInput as error:
        return Refusal("unsafe", shown(str(error), limit=300))
    except InvalidInput as error:
        return Refusal("undecodable", shown(str(error), limit=300))
    refusal = media_refusal(
        contract,
        media_type=media.media_type,
        width=media.width,
        height=media.height,
        characters=media.characters,
    )
    if refusal is not None:
        return refusal
    item = RawObject(
        key=fetched.info.key,
        uri=store.uri(fetched.info.key),
        digest=sha256(fetched.body).hexdigest(),
        size=len(fetched.body),
        media_type=media.media_type,
        metadata=fetched.metadata,
    )
    return admit(contract, item, project=project.name, day=day)


def _register(project: AnnotationProject, info: ObjectInfo, sample: Sample, state: _Day) -> None:
    known = state.current.get(info.key)
    state.counts["new" if known is None else "unchanged" if known[2] == sample.digest else "changed"] += 1
    state.slices.update(f"{name}:{value}" for name, value in sample.slices.items())
    state.current[info.key] = (info.modified_at, info.etag, sample.digest)
    state.rows.append(
        {
            "project": sample.project,
            "day": sample.day.isoformat(),
            "sample_id": sample.sample_id,
            "digest": sample.digest,
            "uri": sample.uri,
            "object_key": info.key,
            "etag": info.etag,
            "size": sample.size,
            "media_type": sample.media_type,
            "captured_at": sample.captured_at,
            "region": sample.region,
            "subject": sample.subject,
            "slices": canonical_json(sample.slices),
            "metadata": canonical_json(sample.metadata),
            "contract_version": project.pinned("contract"),
            "modified_at": info.modified_at,
        }
    )


def _flush(project: AnnotationProject, day: date, state: _Day, lake: Lake) -> None:
    if state.rows:
        rows = pa.Table.from_pylist(state.rows, schema=RAW_SAMPLES.schema)
        lake.upsert(RAW_SAMPLES, rows, partition=_partition(project, day))
        state.rows.clear()


def _report(day: date, state: _Day) -> IngestReport:
    counts = state.counts
    return IngestReport(
        day=day,
        listed=counts["listed"],
        new=counts["new"],
        changed=counts["changed"],
        unchanged=counts["unchanged"],
        quarantined=dict(sorted(Counter(refusal.code for _, refusal in state.refused).items())),
        refused_before=counts["refused_before"],
        vanished=counts["vanished"],
        bytes_read=counts["bytes_read"],
        by_slice=dict(sorted(state.slices.items())),
        registered=len(state.current),
    )


def _record(
    project: AnnotationProject, report: IngestReport, state: _Day, *, ledger: Ledger, now: datetime, run_id: str
) -> None:
    """Quarantine, audit entry and cursor in one transaction; none when the ledger already knows this manifest."""
    subject = f"{project.name}/{report.day.isoformat()}"
    cursor = f"ingested:{subject}"
    manifest = listing_digest((key, etag, digest) for key, (_, etag, digest) in sorted(state.current.items()))
    if not state.refused and (not state.current or ledger.cursor(cursor) == manifest):
        return
    # The run may have taken minutes; the audit chain refuses times before its newest entry.
    at = max(now, ledger.last_recorded_at() or now)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=at) as transaction:
        for info, refusal in state.refused:
            transaction.quarantine(_quarantined(project, report.day, info, refusal, at=now))
        transaction.audit(
            "samples.ingested",
            subject,
            {
                "run_id": run_id,
                "manifest": manifest,
                "listed": report.listed,
                "new": report.new,
                "changed": report.changed,
                "registered": report.registered,
                "quarantined": dict(report.quarantined),
            },
        )
        transaction.set_cursor(cursor, manifest)


def _quarantined(
    project: AnnotationProject, day: date, info: ObjectInfo, refusal: Refusal, *, at: datetime
) -> Quarantined:
    """Holds no metadata values: the ledger is not where a data subject's traces can be erased."""
    return Quarantined(
        kind="sample",
        key=shown(info.key, limit=1_024),
        project=project.name,
        reason_code=refusal.code,
        reason=refusal.reason,
        body={
            "etag": info.etag,
            "size": info.size,
            "day": day.isoformat(),
            "contract": project.pinned("contract"),
        },
        at=at,
    )


def _partition(project: AnnotationProject, day: date) -> dict[str, str]:
    return {"project": project.name, "day": day.isoformat()}
