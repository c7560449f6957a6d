from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from annotation_ops.adapters.storage.delta_lake import DeltaLake
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import Conflict, TransientError
from annotation_ops.domain.tables import GOLD_LABELS, TableSpec
from annotation_ops.services.publish import write_gold
from annotation_ops_tests.services.workshop import FIRST, SECOND, Workshop, digits, sample, truth

SURER = digits(
    (("criteria.yaml", "version: 1.0.0", "version: 1.1.0"), ("criteria.yaml", "confidence: 0.60", "confidence: 1.0"))
)


def gold(workshop: Workshop) -> dict[str, dict[str, object]]:
    rows = workshop.lake.read(GOLD_LABELS, partition={"project": "digits"}).to_pylist()
    return {row["sample_id"]: row for row in rows}


def data_files(workshop: Workshop) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(workshop.home / "lake/label_features").rglob("*.parquet")}


def corrected(workshop: Workshop, *labels: str) -> None:
    """The people of the first sample change their answers an hour later, and the batch is published again."""
    workshop.work(1)
    workshop.relabel(0, *labels)
    workshop.collect()
    workshop.publish()


def of_first(workshop: Workshop) -> list[tuple[object, object, object]]:
    return [
        (row["label_revision"], row["label"], row["is_deleted"])
        for row in workshop.features()
        if row["entity_id"] == sample(0)
    ]


def test_a_passed_batch_reaches_the_feature_table_with_its_lineage(workshop: Workshop) -> None:
    report = workshop.complete()

    assert (report.labels, report.rows_written, report.needs_human) == (6, 6, 0)
    assert workshop.current_labels() == {sample(n): truth(n) for n in range(6)}
    first = workshop.features()[0]
    (commit,) = workshop.ledger.label_commits("digits")
    assert (first["verdict"], first["attempt"], first["label_commit"]) == ("PASS", 1, commit.commit_id)
    assert first["criteria_version"] == workshop.project.versions.criteria
    assert first["guideline_version"] == workshop.project.versions.guideline
    assert first["annotators"] == sorted(item.annotator_id for item in workshop.answers(0))
    assert workshop.attempt().state is BatchState.PUBLISHED


@pytest.mark.parametrize("accuracy", [0.1, None])
def test_a_batch_that_did_not_pass_is_never_published(workshop: Workshop, accuracy: float | None) -> None:
    if accuracy is None:
        workshop.annotate()
    else:
        workshop.reject()

    with pytest.raises(Conflict, match="expected PASS"):
        workshop.publish()

    assert write_gold(workshop.project, FIRST, ledger=workshop.ledger, lake=workshop.lake) == (0, 0)
    assert (workshop.features(), gold(workshop), workshop.ledger.label_commits("digits")) == ([], {}, ())


def test_publishing_twice_writes_nothing_new(workshop: Workshop) -> None:
    first = workshop.complete()
    files, entries = data_files(workshop), workshop.ledger.audit_entries()
    workshop.work(1)

    again = workshop.publish()

    assert replace(again, rows_written=6) == first
    assert again.rows_written == 0
    assert data_files(workshop) == files
    assert workshop.ledger.audit_entries() == entries


def test_a_tracker_that_is_away_leaves_the_batch_to_be_published_again(workshop: Workshop) -> None:
    workshop.annotate()
    workshop.judge()
    workshop.tracking.go_away()
    with pytest.raises(TransientError):
        workshop.publish()
    assert workshop.attempt().state is BatchState.PASSED
    workshop.tracking.come_back()

    report = workshop.publish()

    assert (report.rows_written, report.tracking_run) == (0, "labels-1")
    assert len(workshop.features()) == 6


def test_a_late_correction_adds_a_row_and_the_old_one_stays(workshop: Workshop) -> None:
    workshop.complete()
    before = workshop.features()

    corrected(workshop, "8", "8", "8")

    assert of_first(workshop) == [(1, "0", False), (2, "8", False)]
    assert [row for row in workshop.features() if row["label_revision"] == 1] == before
    assert len(workshop.features()) == 7
    first, second = workshop.ledger.label_commits("digits")
    assert second.parent == first.commit_id
    assert workshop.attempt().state is BatchState.PUBLISHED


def test_a_correction_that_is_taken_back_is_a_third_revision(workshop: Workshop) -> None:
    workshop.complete()
    corrected(workshop, "8", "8", "8")

    corrected(workshop, "0", "0", "0")

    assert of_first(workshop) == [(1, "0", False), (2, "8", False), (3, "0", False)]
    assert workshop.current_labels()[sample(0)] == "0"
    assert len({commit.commit_id for commit in workshop.ledger.label_commits("digits")}) == 3


class Overtaken(DeltaLake):
    """A lake whose first read of the named table takes so long that a correction is collected and published meanwhile."""

    def __init__(self, workshop: Workshop, at: str) -> None:
        super().__init__(str(workshop.home / "lake"))
        self._workshop, self._at = workshop, at

    def _pause(self, table: TableSpec) -> None:
        if table.name == self._at:
            self._at = ""
            corrected(self._workshop, "8", "8", "8")

    def scan(self, table: TableSpec, **asked: Any) -> Iterator[pa.RecordBatch]:
        self._pause(table)
        return super().scan(table, **asked)

    def overwrite_partition(self, table: TableSpec, rows: pa.Table, *, partition: Mapping[str, str]) -> None:
        self._pause(table)
        super().overwrite_partition(table, rows, partition=partition)


@pytest.mark.parametrize("at", ["gold_labels", "raw_samples"])
def test_a_run_that_a_correction_overtook_does_not_bring_old_answers_back(workshop: Workshop, at: str) -> None:
    """Held up before it reads the answers, or between reading them and writing its commit."""
    workshop.complete()
    overtaken = replace(workshop, lake=Overtaken(workshop, at))

    overtaken.publish()

    assert of_first(workshop) == [(1, "0", False), (2, "8", False)]
    assert len(workshop.ledger.label_commits("digits")) == 2


def test_a_late_edit_that_leaves_the_consensus_adds_no_row(workshop: Workshop) -> None:
    workshop.complete()

    corrected(workshop, "8")

    assert of_first(workshop) == [(1, "0", False)]
    assert workshop.attempt().state is BatchState.PUBLISHED


def test_a_label_whose_answers_are_all_deleted_is_marked_deleted(workshop: Workshop) -> None:
    workshop.complete()
    workshop.work(1)
    for item in workshop.answers(0):
        workshop.platform.delete_annotation(item.platform_annotation_id)
    workshop.collect()

    workshop.publish()

    assert of_first(workshop) == [(1, "0", False), (2, "0", True)]
    assert sample(0) not in workshop.current_labels()
    assert gold(workshop)[sample(0)]["needs_human"]


def test_a_tie_is_not_published_and_waits_for_a_person(dozen: Workshop) -> None:
    dozen.annotate()
    dozen.relabel(0, "0", "1", "2")
    dozen.collect()
    dozen.judge()

    report = dozen.publish()

    assert (report.labels, report.needs_human) == (11, 1)
    assert sample(0) not in dozen.current_labels()
    assert gold(dozen)[sample(0)]["needs_human"]


def test_a_label_less_sure_than_the_criteria_ask_is_not_published(dozen: Workshop) -> None:
    dozen.project = SURER
    dozen.annotate()
    dozen.relabel(0, "0", "0", "2")
    dozen.collect()
    dozen.judge()

    report = dozen.publish()

    assert report.needs_human >= 1
    assert sample(0) not in dozen.current_labels()
    assert gold(dozen)[sample(0)]["label"] == "0"


def test_a_task_without_an_answer_is_not_forgotten(workshop: Workshop) -> None:
    workshop.annotate()
    for item in workshop.answers(0):
        workshop.platform.delete_annotation(item.platform_annotation_id)
    workshop.collect()
    workshop.judge()

    report = workshop.publish()

    assert (report.labels, report.needs_human) == (5, 1)
    row = gold(workshop)[sample(0)]
    assert (row["label"], row["n_annotators"], row["needs_human"]) == (None, 0, True)


def test_changed_criteria_do_not_change_what_was_judged_before(workshop: Workshop) -> None:
    workshop.complete()
    before = workshop.features()
    workshop.project = SURER

    report = workshop.publish()

    assert report.rows_written == 0
    assert workshop.features() == before
    assert len(workshop.ledger.label_commits("digits")) == 1


def test_two_batches_without_any_sure_label_are_two_commits(workshop: Workshop) -> None:
    small = replace(SURER, workflow=replace(SURER.workflow, batch_size=3))
    workshop.project = small
    second = FIRST.replace("01.a1", "02.a1")
    workshop.complete(FIRST)

    report = workshop.complete(second)

    assert (report.labels, report.needs_human) == (0, 3)
    assert len({commit.commit_id for commit in workshop.ledger.label_commits("digits")}) == 2
    assert workshop.attempt(second).state is BatchState.PUBLISHED


def test_the_second_attempt_replaces_the_first_in_the_gold_labels(workshop: Workshop) -> None:
    workshop.reject()
    workshop.staff()

    workshop.complete(SECOND)

    assert {row["attempt"] for row in gold(workshop).values()} == {2}
    assert workshop.current_labels() == {sample(n): truth(n) for n in range(6)}
