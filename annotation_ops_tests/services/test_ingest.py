import os
import shutil
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from annotation_ops.adapters.media_decoder import ChildDecoder
from annotation_ops.adapters.storage.delta_lake import DeltaLake
from annotation_ops.adapters.storage.s3 import S3Bucket
from annotation_ops.domain.records import SYSTEM_ACTOR
from annotation_ops_tests.adapters.test_media_decoder import bomb
from annotation_ops_tests.s3 import s3_server
from annotation_ops_tests.services.ingest_bench import DAY, NOW, Bench, Fuse, Interrupted, metadata, png


@pytest.fixture(scope="module")
def decoder() -> Iterator[ChildDecoder]:
    decoder = ChildDecoder(timeout=30)
    yield decoder
    decoder.close()


@pytest.fixture
def bench(tmp_path: Path, decoder: ChildDecoder) -> Iterator[Bench]:
    bench = Bench(tmp_path, decoder)
    yield bench
    bench.ledger.close()


def test_an_object_becomes_a_sample_with_everything_the_contract_names(bench: Bench) -> None:
    body = png(7)
    bench.put(f"{DAY}/w07_0001.png", body, {"writer": "w07", "scanner": "b", "captured_at": "2026-11-22T08:00:00Z"})

    report = bench.ingest()

    (row,) = bench.rows()
    assert row["sample_id"].startswith("2026-11-23.w07_0001-")
    assert row["digest"] == sha256(body).hexdigest()
    assert row["uri"] == bench.store.uri(f"{DAY}/w07_0001.png")
    assert (row["size"], row["media_type"], row["subject"]) == (len(body), "image/png", "w07")
    assert (row["slices"], row["captured_at"]) == ('{"scanner":"b"}', datetime(2026, 11, 22, 8, tzinfo=UTC))
    assert row["contract_version"] == bench.project.pinned("contract")
    assert (report.listed, report.new, report.registered, report.bytes_read) == (1, 1, 1, len(body))
    assert report.by_slice == {"scanner:b": 1}


def test_running_a_day_again_reads_nothing_and_changes_nothing(bench: Bench) -> None:
    bench.fill(20)
    bench.put(f"{DAY}/bad.png", b"junk", metadata(1))
    bench.ingest()
    before = (bench.rows(), bench.ledger.quarantined("digits"), bench.ledger.audit_entries())
    bench.store.read_keys.clear()

    report = bench.ingest(now=NOW + timedelta(hours=1))

    assert bench.store.read_keys == []
    assert (report.listed, report.unchanged, report.refused_before, report.new) == (21, 20, 1, 0)
    assert (bench.rows(), bench.ledger.quarantined("digits"), bench.ledger.audit_entries()) == before


def test_an_overwritten_object_is_a_new_version_of_the_same_sample(bench: Bench) -> None:
    key = f"{DAY}/a.png"
    bench.put(key, png(1), metadata(1))
    bench.ingest()
    bench.put(key, png(2))

    report = bench.ingest()

    first, second = bench.rows()
    assert (report.changed, report.new, report.registered) == (1, 0, 1)
    assert first["sample_id"] == second["sample_id"]
    assert [first["digest"], second["digest"]] == [sha256(png(value)).hexdigest() for value in (1, 2)]
    assert first["modified_at"] < second["modified_at"]


def test_a_version_that_comes_back_is_the_newest_again(bench: Bench) -> None:
    key = f"{DAY}/a.png"
    for value in (1, 2, 1):
        bench.put(key, png(value), metadata(1))
        bench.ingest()

    assert [row["digest"] for row in bench.rows()] == [sha256(png(value)).hexdigest() for value in (2, 1)]
    assert bench.ingest().unchanged == 1


def test_a_touched_object_is_read_once_and_stays_the_same_version(bench: Bench) -> None:
    bench.put(f"{DAY}/a.png", png(1), metadata(1))
    bench.ingest()
    os.utime(bench.root / f"raw/{DAY}/a.png", (2e9, 2e9))

    assert (bench.ingest().unchanged, len(bench.rows())) == (1, 1)
    bench.store.read_keys.clear()
    bench.ingest()
    assert bench.store.read_keys == []


def test_an_overwritten_object_that_breaks_the_contract_leaves_the_old_version(bench: Bench) -> None:
    key = f"{DAY}/a.png"
    bench.put(key, png(1), metadata(1))
    bench.ingest()
    bench.put(key, b"junk")

    bench.ingest()

    assert [row["digest"] for row in bench.rows()] == [sha256(png(1)).hexdigest()]
    assert bench.refused() == {key: "media_type"}


def test_a_sidecar_that_comes_late_mends_its_object(bench: Bench) -> None:
    bench.put(f"{DAY}/a.png", png(1))
    first = bench.ingest()
    bench.put(f"{DAY}/a.png", png(1), metadata(1))

    second = bench.ingest()

    assert first.quarantined == {"missing_metadata": 1}
    assert (second.new, len(bench.rows())) == (1, 1)


def test_every_contract_breaker_is_quarantined_with_its_reason_and_the_rest_goes_on(bench: Bench) -> None:
    breakers: dict[str, tuple[bytes, Any, str]] = {
        "bomb.png": (bomb(20_000), metadata(1), "too_large"),
        "corrupt.png": (png(1)[:-20], metadata(1), "undecodable"),
        "zero.png": (b"", metadata(1), "undecodable"),
        "jpeg.png": (b"\xff\xd8\xff\xe0" + b"x" * 50, metadata(1), "undecodable"),
        "text.png": (b"hello", metadata(1), "media_type"),
        "large.png": (b"\x89PNG\r\n\x1a\n" + b"x" * 300_000, metadata(1), "too_large"),
        "wide.png": (png(1, side=300), metadata(1), "too_many_pixels"),
        "bare.png": (png(1), None, "missing_metadata"),
        "scanner.png": (png(1), metadata(1) | {"scanner": "z"}, "bad_metadata"),
        "writer.png": (png(1), metadata(1) | {"writer": "Jane Doe"}, "bad_metadata"),
        "when.png": (png(1), metadata(1) | {"captured_at": "soon"}, "bad_metadata"),
        "turned\u202egnp.png": (png(1), metadata(1), "bad_name"),
    }
    for name, (body, facts, _) in breakers.items():
        bench.put(f"{DAY}/{name}", body, facts)
    for name, sidecar in {
        "twice.png": b'{"writer": "w1", "writer": "w2"}',
        "nan.png": b'{"writer": NaN}',
        "deep.png": b"[" * 60_000,
        "latin.png": b'{"writer": "\xff"}',
        "huge.png": b" " * 70_000,
    }.items():
        bench.put(f"{DAY}/{name}", png(1))
        (bench.root / f"raw/{DAY}/{name}.json").write_bytes(sidecar)
    (bench.root / f"raw/{DAY}/link.png").symlink_to("/etc/hostname")
    os.mkfifo(bench.root / f"raw/{DAY}/pipe.png")
    bench.fill(5)

    report = bench.ingest()

    expected = {f"{DAY}/{name}": reason for name, (_, _, reason) in breakers.items() if reason != "bad_name"}
    expected |= {f"{DAY}/{name}.png": "bad_sidecar" for name in ("twice", "nan", "deep", "latin", "huge")}
    expected |= {f"{DAY}/{name}.png": "unsafe" for name in ("link", "pipe")}
    expected |= {f"{DAY}/turned\\u202egnp.png": "bad_name"}
    assert bench.refused() == expected
    assert report.new == 5
    assert sum(report.quarantined.values()) == len(expected)
    assert not any("Jane" in item.reason + str(item.body) for item in bench.ledger.quarantined("digits"))


def test_a_bomb_within_the_byte_limit_is_refused_by_its_header(bench: Bench) -> None:
    bench.with_contract(max_bytes=10_000_000, max_pixels=10**9)
    bench.put(f"{DAY}/bomb.png", bomb(20_000), metadata(1))

    assert bench.ingest().quarantined == {"unsafe": 1}


def test_residency_keeps_foreign_items_out(bench: Bench) -> None:
    bench.with_contract(region_field="region", allowed_regions=("eu",))
    bench.put(f"{DAY}/eu.png", png(1), metadata(1) | {"region": "eu"})
    bench.put(f"{DAY}/us.png", png(2), metadata(2) | {"region": "us"})
    bench.put(f"{DAY}/unknown.png", png(3), metadata(3))

    report = bench.ingest()

    assert report.quarantined == {"region": 2}
    assert [row["region"] for row in bench.rows()] == ["eu"]


def test_text_is_ingested_whole_or_refused(bench: Bench) -> None:
    bench.with_contract(media="text", media_types=("text/plain",), max_characters=20)
    bench.put(f"{DAY}/a.txt", "größer".encode(), metadata(1))
    bench.put(f"{DAY}/latin1.txt", b"gr\xf6\xdfer", metadata(1))
    bench.put(f"{DAY}/long.txt", b"x" * 21, metadata(1))

    assert bench.ingest().quarantined == {"too_many_characters": 1, "undecodable": 1}
    assert [row["media_type"] for row in bench.rows()] == ["text/plain"]


def test_audio_stays_opaque_with_its_metadata(bench: Bench) -> None:
    bench.with_contract(media="audio", media_types=("audio/wav",))
    bench.put(f"{DAY}/a.wav", b"RIFF\x04\x00\x00\x00WAVEfmt ", metadata(1))

    bench.ingest()

    assert [row["media_type"] for row in bench.rows()] == ["audio/wav"]


def test_a_refused_object_is_considered_again_under_a_new_contract(bench: Bench) -> None:
    bench.put(f"{DAY}/a.png", png(1), metadata(1) | {"scanner": "d"})
    bench.ingest()
    contract = next(document for document in bench.project.documents if document.kind == "contract")
    others = tuple(document for document in bench.project.documents if document.kind != "contract")
    bench.project = replace(bench.project, documents=(*others, replace(contract, version="1.1.0")))
    fields = tuple(replace(field, allowed=()) for field in bench.project.contract.metadata)
    bench.with_contract(metadata=fields)

    assert bench.ingest().new == 1


def test_the_audit_entry_holds_counts_and_no_names(bench: Bench) -> None:
    bench.fill(3)
    bench.put(f"{DAY}/bad.png", b"junk", metadata(1))

    bench.ingest()

    (entry,) = bench.entries()
    assert (entry["listed"], entry["new"], entry["registered"], entry["quarantined"]) == (4, 3, 3, {"media_type": 1})
    assert "w1" not in str(entry)


def test_a_run_that_lasted_long_is_recorded_after_what_happened_meanwhile(bench: Bench) -> None:
    bench.fill(1)
    with bench.ledger.transaction(actor=SYSTEM_ACTOR, at=NOW + timedelta(minutes=5)) as transaction:
        transaction.audit("other.event", "x", {})

    bench.ingest(now=NOW)

    assert len(bench.entries()) == 1


def test_an_object_deleted_after_the_listing_is_counted_as_vanished(bench: Bench) -> None:
    bench.fill(2)
    bench.store.before_read = lambda key: (bench.root / "raw" / key).unlink() if key.endswith("0.png") else None

    report = bench.ingest()

    assert (report.vanished, report.new, sum(report.quarantined.values())) == (1, 1, 0)


def test_an_object_overwritten_during_the_run_is_seen_as_changed_by_the_next(bench: Bench) -> None:
    key = f"{DAY}/0000.png"
    bench.fill(1)
    bench.store.before_read = lambda _: bench.put(key, png(200))
    bench.ingest()
    bench.store.before_read = lambda _: None
    bench.store.read_keys.clear()

    bench.ingest()

    assert bench.store.read_keys == [key]
    assert [row["digest"] for row in bench.rows()] == [sha256(png(200)).hexdigest()]


def test_without_dated_prefixes_a_day_is_what_was_modified_on_it(bench: Bench) -> None:
    bench.project = replace(
        bench.project, sources=replace(bench.project.sources, raw=replace(bench.project.sources.raw, day_prefix=""))
    )
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    for name, moment in {
        "a": noon,
        "b": noon + timedelta(hours=13),
        "c": noon - timedelta(hours=11, minutes=59),
    }.items():
        bench.put(f"{name}.png", png(1), metadata(1))
        os.utime(bench.root / f"raw/{name}.png", (moment.timestamp(), moment.timestamp()))

    bench.ingest()

    assert [row["object_key"] for row in bench.rows()] == ["a.png", "c.png"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, decoder: ChildDecoder) -> Iterator[Bench]:
    """300 good objects and 4 bad ones, ingested without a crash in lake commits of 100 rows."""
    root = tmp_path_factory.mktemp("undisturbed")
    bench = Bench(root, decoder)
    bench.ledger.close()
    shutil.copy(root / "ledger.sqlite", root / "empty.sqlite")
    bench.fill(300)
    for number in range(4):
        bench.put(f"{DAY}/junk{number}.png", b"junk", metadata(number))
    bench.ingest(flush_rows=100)
    yield bench
    bench.ledger.close()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "effect", [("lake", 1), ("lake", 2), ("lake", 3), ("ledger", 1), ("read", 1), ("read", 150), ("read", 304)]
)
def test_objects_are_registered_exactly_once_whatever_effect_the_process_dies_at(
    undisturbed: Bench, tmp_path: Path, effect: tuple[str, int], after: bool
) -> None:
    assert undisturbed.fuse.counts == {"read": 304, "lake": 3, "ledger": 1}, "an effect without a crash test"
    fuse = Fuse(*effect, after=after)
    empty = undisturbed.root / "empty.sqlite"
    bench = Bench(tmp_path, undisturbed.decoder, fuse=fuse, raw=undisturbed.root / "raw", empty_ledger=empty)

    with pytest.raises(Interrupted):
        bench.ingest(flush_rows=100)
    bench.ingest(flush_rows=100)

    assert (bench.rows(), bench.refused()) == (undisturbed.rows(), undisturbed.refused())
    assert len(bench.ledger.quarantined("digits")) == 4
    assert [entry["registered"] for entry in bench.entries()] == [300]
    bench.ledger.close()


def test_runs_of_one_day_at_the_same_time_register_each_object_once(tmp_path: Path, undisturbed: Bench) -> None:
    first, second = (
        Bench(
            tmp_path / name,
            undisturbed.decoder,
            raw=undisturbed.root / "raw",
            empty_ledger=undisturbed.root / "empty.sqlite",
        )
        for name in ("first", "second")
    )
    second.ledger.close()
    second.lake, second.ledger = first.lake, first.ledger
    lake = DeltaLake(str(tmp_path / "lake"))
    first.lake = second.lake = lake

    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda bench: bench.ingest(flush_rows=100), (first, second)))

    assert [report.registered for report in reports] == [300, 300]
    assert [(row["sample_id"], row["digest"]) for row in first.rows()] == [
        (row["sample_id"], row["digest"]) for row in undisturbed.rows()
    ]
    assert len(first.ledger.quarantined("digits")) == 4
    first.ledger.close()


def test_memory_does_not_grow_with_the_bytes_of_a_day(bench: Bench) -> None:
    bench.with_contract(media="audio", media_types=("audio/wav",), max_bytes=4 << 20)
    for number in range(60):
        bench.put(
            f"{DAY}/{number:03d}.wav", b"RIFF\x04\x00\x00\x00WAVE" + bytes([number]) * (3 << 20), metadata(number)
        )

    tracemalloc.start()
    report = bench.ingest()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert report.bytes_read > 180 << 20
    assert peak < 96 << 20


def test_a_day_is_ingested_from_a_bucket_into_a_lake_in_a_bucket(bench: Bench) -> None:
    with s3_server() as server:
        store = S3Bucket(server.client(), server.bucket(), "raw")
        for number in range(5):
            store.put(f"{DAY}/{number}.png", png(number), metadata=metadata(number))
        store.put(f"{DAY}/junk.png", b"junk", metadata=metadata(1))
        bench.lake = DeltaLake(f"s3://{server.bucket()}/lake", server.storage_options)

        first = bench.ingest(store=store)
        second = bench.ingest(store=store)

        assert (first.new, first.quarantined) == (5, {"media_type": 1})
        assert (second.new, second.unchanged, second.refused_before) == (0, 5, 1)
        assert [row["object_key"] for row in bench.rows()] == [f"{DAY}/{number}.png" for number in range(5)]
