"""What every adapter of the annotation platform port must do, whatever system is behind it.

Subclass `AnnotationPlatformContract` and give it a fixture `bench`: a platform with an empty project space, people who can
be asked and made to work, and samples. Tests of what a platform does not claim in `capabilities` are skipped.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from annotation_ops.domain.errors import Conflict, InvalidInput, NotFound, TransientError
from annotation_ops.ports.annotation_platform import (
    AnnotationPage,
    AnnotationPlatform,
    Capability,
    PlatformAnnotation,
    PlatformProjectSpec,
    TaskSpec,
)

PAGE_LIMIT = 1000
"""No test makes more pages than this: a platform that pages for ever fails instead of hanging."""


class PlatformBench(ABC):
    """One platform under test and the hands of the people on it."""

    platform: AnnotationPlatform
    spec: PlatformProjectSpec
    people: tuple[str, ...]
    """At least three people who can be asked."""
    samples: tuple[Mapping[str, str], ...]
    """At least twelve `TaskSpec.data`, all different."""

    @abstractmethod
    def let_people_work(self) -> None:
        """Every open assignment is answered."""

    @abstractmethod
    def edit(self, annotation: PlatformAnnotation, *, label: str) -> None:
        """The author changes the answer."""

    @abstractmethod
    def delete(self, annotation: PlatformAnnotation) -> None:
        """The author deletes the answer."""

    def tasks(self, count: int, *, overlap: int = 2) -> list[TaskSpec]:
        """Tasks `key-00`, `key-01` ... with `overlap` assignees, who take turns."""
        crowd = self.people * 2
        return [
            TaskSpec(
                task_key=f"key-{number:02d}",
                data=self.samples[number],
                assignees=tuple(crowd[number % len(self.people) + turn] for turn in range(overlap)),
            )
            for number in range(count)
        ]


def pages_from(
    platform: AnnotationPlatform, project_id: str, *, cursor: str | None = None, limit: int = 5
) -> list[AnnotationPage]:
    """Every page from the cursor to the end; a transient fault is tried again."""
    pages: list[AnnotationPage] = []
    for _ in range(PAGE_LIMIT):
        try:
            page = platform.fetch_annotations(project_id, cursor=cursor, limit=limit)
        except TransientError:
            continue
        pages.append(page)
        cursor = page.next_cursor
        if not page.more:
            return pages
    raise AssertionError(f"{PAGE_LIMIT} calls and still more pages: the cursor does not move on")


def items_from(
    platform: AnnotationPlatform, project_id: str, *, cursor: str | None = None, limit: int = 5
) -> list[PlatformAnnotation]:
    return [item for page in pages_from(platform, project_id, cursor=cursor, limit=limit) for item in page.items]


def newest(items: Sequence[PlatformAnnotation]) -> dict[str, PlatformAnnotation]:
    """annotation id -> its newest version among the items."""
    latest: dict[str, PlatformAnnotation] = {}
    for item in items:
        known = latest.get(item.platform_annotation_id)
        if known is None or item.updated_at >= known.updated_at:
            latest[item.platform_annotation_id] = item
    return latest


def create_exactly_once(platform: AnnotationPlatform, project_id: str, tasks: Sequence[TaskSpec]) -> dict[str, str]:
    """find -> create missing -> find, over and over until every key is there; then the younger duplicates are withdrawn."""
    for _ in range(PAGE_LIMIT):
        try:
            found = platform.find_tasks(project_id, [task.task_key for task in tasks])
            missing = [task for task in tasks if task.task_key not in found]
            if missing:
                platform.create_tasks(project_id, missing)
                continue
            platform.withdraw_tasks(project_id, [copy for copies in found.values() for copy in copies[1:]])
            return {key: copies[0] for key, copies in found.items()}
        except TransientError:
            continue
    raise AssertionError(f"{PAGE_LIMIT} rounds and still tasks missing")


class AnnotationPlatformContract:
    """The conformance suite."""

    @pytest.fixture
    def project_id(self, bench: PlatformBench) -> str:
        return bench.platform.ensure_project(bench.spec).project_id

    @staticmethod
    def require(bench: PlatformBench, capability: Capability) -> None:
        if capability not in bench.platform.capabilities:
            pytest.skip(f"{bench.platform.name} does not offer {capability}")

    def test_a_check_reports_a_reachable_platform_with_its_version_and_an_aware_clock(
        self, bench: PlatformBench
    ) -> None:
        health = bench.platform.check()

        assert health.reachable
        assert health.version
        assert health.server_time is None or health.server_time.utcoffset() is not None

    def test_the_same_project_spec_always_gives_the_same_id(self, bench: PlatformBench, project_id: str) -> None:
        assert bench.platform.ensure_project(bench.spec).project_id == project_id
        assert bench.platform.ensure_project(replace(bench.spec, name="another one")).project_id != project_id

    def test_other_labels_under_the_same_project_version_are_a_conflict(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        with pytest.raises(Conflict):
            bench.platform.ensure_project(replace(bench.spec, labels=(*bench.spec.labels, "one more")))

        assert bench.platform.ensure_project(bench.spec).project_id == project_id

    def test_creating_gives_one_receipt_a_task_in_order_and_finding_agrees(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        tasks = bench.tasks(4)
        receipts = bench.platform.create_tasks(project_id, tasks)
        found = bench.platform.find_tasks(project_id, [task.task_key for task in tasks])

        assert [receipt.task_key for receipt in receipts] == [task.task_key for task in tasks]
        assert {receipt.status for receipt in receipts} == {"created"}
        assert found == {receipt.task_key: (receipt.platform_task_id,) for receipt in receipts}
        assert len({receipt.platform_task_id for receipt in receipts}) == 4

    def test_keys_that_were_never_sent_are_absent(self, bench: PlatformBench, project_id: str) -> None:
        bench.platform.create_tasks(project_id, bench.tasks(1))

        assert set(bench.platform.find_tasks(project_id, ["key-00", "never-sent", "key-0", "%"])) == {"key-00"}
        assert bench.platform.find_tasks(project_id, []) == {}

    def test_a_repeated_create_is_either_adopted_or_shown_as_two_tasks_oldest_first(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        [first] = bench.platform.create_tasks(project_id, bench.tasks(1))
        [second] = bench.platform.create_tasks(project_id, bench.tasks(1))
        found = bench.platform.find_tasks(project_id, ["key-00"])

        if Capability.NATIVE_IDEMPOTENCY in bench.platform.capabilities:
            assert second.status == "existing"
            assert found == {"key-00": (first.platform_task_id,)}
        else:
            assert found == {"key-00": (first.platform_task_id, second.platform_task_id)}

    def test_a_withdrawn_task_is_no_longer_found_and_withdrawing_again_changes_nothing(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        receipts = bench.platform.create_tasks(project_id, bench.tasks(2))
        gone, kept = (receipt.platform_task_id or "" for receipt in receipts)
        for _ in range(2):
            bench.platform.withdraw_tasks(project_id, [gone, "no such task"])

        assert bench.platform.find_tasks(project_id, ["key-00", "key-01"]) == {"key-01": (kept,)}

    def test_nobody_answers_a_withdrawn_task_but_given_answers_stay_readable(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        first, second = bench.tasks(2)
        [answered] = bench.platform.create_tasks(project_id, [first])
        bench.let_people_work()
        [open_] = bench.platform.create_tasks(project_id, [second])
        bench.platform.withdraw_tasks(project_id, [answered.platform_task_id or "", open_.platform_task_id or ""])
        bench.let_people_work()

        assert {item.task_key for item in items_from(bench.platform, project_id)} == {first.task_key}

    def test_exactly_the_people_who_were_asked_answer_each_once(self, bench: PlatformBench, project_id: str) -> None:
        self.require(bench, Capability.ASSIGN_USER)
        tasks = bench.tasks(6)
        bench.platform.create_tasks(project_id, tasks)
        bench.let_people_work()
        items = items_from(bench.platform, project_id)

        assert sorted((item.task_key, item.annotator_id) for item in items) == sorted(
            (task.task_key, person) for task in tasks for person in task.assignees
        )

    def test_an_annotation_carries_key_task_times_and_a_label_of_the_project(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        [receipt] = bench.platform.create_tasks(project_id, bench.tasks(1, overlap=1))
        bench.let_people_work()
        [item] = items_from(bench.platform, project_id)

        assert (item.task_key, item.platform_task_id) == (receipt.task_key, receipt.platform_task_id)
        assert item.state == "submitted"
        assert item.value["label"] in bench.spec.labels
        assert item.submitted_at.utcoffset() is not None
        assert item.updated_at >= item.submitted_at
        assert item.lead_time_seconds is None or item.lead_time_seconds >= 0

    def test_assigning_asks_further_people_and_repeating_it_changes_nothing(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        self.require(bench, Capability.ASSIGN_USER)
        [receipt] = bench.platform.create_tasks(project_id, bench.tasks(1, overlap=1))
        wanted = {receipt.platform_task_id or "": bench.people[:3]}
        for _ in range(2):
            bench.platform.assign(project_id, wanted)
        bench.let_people_work()
        bench.platform.assign(project_id, wanted)
        bench.let_people_work()

        assert sorted(item.annotator_id for item in items_from(bench.platform, project_id)) == sorted(bench.people[:3])

    def test_the_same_annotator_twice_on_one_task_is_refused(self, bench: PlatformBench, project_id: str) -> None:
        twice = replace(bench.tasks(1)[0], assignees=(bench.people[0], bench.people[0]))
        with pytest.raises(InvalidInput):
            bench.platform.create_tasks(project_id, [twice])

        assert bench.platform.find_tasks(project_id, [twice.task_key]) == {}

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    def test_no_page_size_skips_or_repeats_an_item(self, bench: PlatformBench, project_id: str, limit: int) -> None:
        bench.platform.create_tasks(project_id, bench.tasks(7))
        bench.let_people_work()
        pages = pages_from(bench.platform, project_id, limit=limit)
        seen = [item.platform_annotation_id for page in pages for item in page.items]

        assert len(seen) == len(set(seen)) == 14
        assert all(len(page.items) <= limit for page in pages)

    def test_the_items_of_a_person_come_oldest_change_first(self, bench: PlatformBench, project_id: str) -> None:
        bench.platform.create_tasks(project_id, bench.tasks(7))
        bench.let_people_work()
        items = items_from(bench.platform, project_id)

        for person in bench.people:
            times = [item.updated_at for item in items if item.annotator_id == person]
            assert times == sorted(times)

    def test_what_arrives_between_two_pages_is_not_skipped(self, bench: PlatformBench, project_id: str) -> None:
        tasks = bench.tasks(6)
        bench.platform.create_tasks(project_id, tasks[:3])
        bench.let_people_work()
        first = bench.platform.fetch_annotations(project_id, cursor=None, limit=2)
        bench.platform.create_tasks(project_id, tasks[3:])
        bench.let_people_work()
        rest = items_from(bench.platform, project_id, cursor=first.next_cursor)

        assert len(newest([*first.items, *rest])) == 12

    def test_reading_again_from_an_old_cursor_gives_everything_since(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        bench.platform.create_tasks(project_id, bench.tasks(4))
        bench.let_people_work()
        pages = pages_from(bench.platform, project_id, limit=3)
        old = pages[0].next_cursor
        since = {item.platform_annotation_id for page in pages[1:] for item in page.items}

        assert {item.platform_annotation_id for item in items_from(bench.platform, project_id, cursor=old)} >= since

    def test_a_quiet_platform_gives_an_empty_page_and_a_cursor_that_still_works(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        quiet = bench.platform.fetch_annotations(project_id, cursor=None, limit=5)
        bench.platform.create_tasks(project_id, bench.tasks(1))
        bench.let_people_work()
        items = items_from(bench.platform, project_id, cursor=quiet.next_cursor)

        assert (quiet.items, quiet.more) == ((), False)
        assert len(items) == 2

    def test_no_cursor_is_the_full_sweep_however_much_was_read_before(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        bench.platform.create_tasks(project_id, bench.tasks(3))
        bench.let_people_work()
        first = items_from(bench.platform, project_id)

        assert len(first) == 6
        assert items_from(bench.platform, project_id, limit=2) == first

    def test_an_edit_is_seen_after_the_cursor_as_the_same_annotation(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        bench.platform.create_tasks(project_id, bench.tasks(3))
        bench.let_people_work()
        pages = pages_from(bench.platform, project_id)
        edited = pages[0].items[0]
        label = next(label for label in bench.spec.labels if label != edited.value["label"])
        bench.edit(edited, label=label)
        after = newest(items_from(bench.platform, project_id, cursor=pages[-1].next_cursor))
        seen = after[edited.platform_annotation_id]

        assert seen.value == {"label": label}
        assert seen.updated_at > edited.updated_at
        assert seen.submitted_at == edited.submitted_at
        assert newest(items_from(bench.platform, project_id))[edited.platform_annotation_id] == seen

    def test_a_deleted_annotation_is_seen_as_deleted(self, bench: PlatformBench, project_id: str) -> None:
        self.require(bench, Capability.DELETE_SEEN)
        bench.platform.create_tasks(project_id, bench.tasks(3))
        bench.let_people_work()
        pages = pages_from(bench.platform, project_id)
        deleted = pages[0].items[0]
        bench.delete(deleted)
        answer = (deleted.task_key, deleted.annotator_id)

        for cursor in (pages[-1].next_cursor, None):
            after = pages_from(bench.platform, project_id, cursor=cursor)
            items = newest([item for page in after for item in page.items])
            gone = {(item.task_key, item.annotator_id) for item in items.values() if item.state == "deleted"}
            gone.update(
                (one.task_key, one.annotator_id)
                for page in after
                for one in page.standing
                if deleted.platform_annotation_id.startswith(one.place)
                and deleted.platform_annotation_id not in one.platform_annotation_ids
            )
            assert gone == {answer}
            assert answer not in {(i.task_key, i.annotator_id) for i in items.values() if i.state != "deleted"}

    def test_a_prelabel_is_no_answer_and_changes_none(self, bench: PlatformBench, project_id: str) -> None:
        self.require(bench, Capability.PRELABELS)
        plain, shown = bench.tasks(2, overlap=1)
        bench.platform.create_tasks(project_id, [plain, replace(shown, prelabel={"label": bench.spec.labels[0]})])
        assert items_from(bench.platform, project_id) == []
        bench.let_people_work()

        assert sorted(item.task_key for item in items_from(bench.platform, project_id)) == ["key-00", "key-01"]

    def test_somebody_asked_later_about_a_task_with_a_prelabel_is_asked_once(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        self.require(bench, Capability.PRELABELS)
        [task] = bench.tasks(1, overlap=1)
        prelabelled = replace(task, prelabel={"label": bench.spec.labels[0]})
        [receipt] = bench.platform.create_tasks(project_id, [prelabelled])
        for _ in range(2):
            bench.platform.assign(project_id, {receipt.platform_task_id or "": bench.people[:2]})
        bench.let_people_work()

        assert sorted(item.annotator_id for item in items_from(bench.platform, project_id)) == sorted(bench.people[:2])

    def test_projects_do_not_see_each_other(self, bench: PlatformBench, project_id: str) -> None:
        other = bench.platform.ensure_project(replace(bench.spec, name="another one")).project_id
        bench.platform.create_tasks(project_id, bench.tasks(2))
        bench.let_people_work()

        assert bench.platform.find_tasks(other, ["key-00", "key-01"]) == {}
        assert items_from(bench.platform, other) == []

    def test_more_tasks_than_the_limit_are_refused_and_none_is_created(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        [pattern] = bench.tasks(1)
        many = [
            replace(pattern, task_key=f"many-{number}")
            for number in range(bench.platform.limits.max_tasks_per_call + 1)
        ]
        with pytest.raises(InvalidInput):
            bench.platform.create_tasks(project_id, many)

        assert bench.platform.find_tasks(project_id, ["many-0", "many-1"]) == {}

    def test_page_sizes_outside_the_limit_are_refused(self, bench: PlatformBench, project_id: str) -> None:
        for limit in (0, -1, bench.platform.limits.max_page_size + 1):
            with pytest.raises(InvalidInput):
                bench.platform.fetch_annotations(project_id, cursor=None, limit=limit)

    @pytest.mark.parametrize("cursor", ["", "nonsense", "1.", "²1.2", "1.2.3", "-5.1", "9" * 40 + ".1"])
    def test_a_cursor_of_somebody_else_is_refused(self, bench: PlatformBench, project_id: str, cursor: str) -> None:
        with pytest.raises(InvalidInput):
            bench.platform.fetch_annotations(project_id, cursor=cursor, limit=5)

    def test_an_unknown_project_is_not_found(self, bench: PlatformBench, project_id: str) -> None:
        unknown = f"{project_id}0000"
        with pytest.raises(NotFound):
            bench.platform.create_tasks(unknown, bench.tasks(1))
        with pytest.raises(NotFound):
            bench.platform.find_tasks(unknown, ["key-00"])
        with pytest.raises(NotFound):
            bench.platform.fetch_annotations(unknown, cursor=None, limit=5)

    def test_assigning_an_unknown_task_or_an_unknown_person_is_not_found(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        self.require(bench, Capability.ASSIGN_USER)
        [receipt] = bench.platform.create_tasks(project_id, bench.tasks(1))
        with pytest.raises(NotFound):
            bench.platform.assign(project_id, {"no such task": bench.people[:1]})
        with pytest.raises(NotFound):
            bench.platform.assign(project_id, {receipt.platform_task_id or "": ["nobody we know"]})

    def test_find_create_missing_find_ends_with_one_live_task_a_key(
        self, bench: PlatformBench, project_id: str
    ) -> None:
        tasks = bench.tasks(6)
        bench.platform.create_tasks(project_id, tasks[:2])
        bench.platform.create_tasks(project_id, tasks[1:3])
        kept = create_exactly_once(bench.platform, project_id, tasks)
        found = bench.platform.find_tasks(project_id, [task.task_key for task in tasks])

        assert found == {key: (task_id,) for key, task_id in kept.items()}
        assert set(found) == {task.task_key for task in tasks}
