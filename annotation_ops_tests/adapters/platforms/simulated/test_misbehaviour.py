"""What real platforms do wrong, on demand, and that the port's recipes survive it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from annotation_ops.adapters.platforms.simulated.crowd import FOREIGN_LABEL, STRANGERS
from annotation_ops.adapters.platforms.simulated.simulation import Misbehaviour
from annotation_ops.domain.errors import TransientError
from annotation_ops_tests.adapters.platforms.simulated.bench import SimulatedBench
from annotation_ops_tests.contracts.annotation_platform import create_exactly_once, items_from, newest, pages_from

Build = Callable[[Misbehaviour], SimulatedBench]

HARSH = {
    "rate_limit": 0.2,
    "lost_reply": 0.5,
    "partial_create": 0.5,
    "duplicate_items": 0.3,
    "shuffled_pages": 0.5,
    "repeated_pages": 0.3,
}


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def make(misbehave: Misbehaviour) -> SimulatedBench:
        return SimulatedBench(tmp_path / f"{misbehave.seed}.db", misbehave=misbehave)

    return make


@pytest.mark.parametrize("seed", range(12))
def test_find_create_missing_find_recovers_exactly_under_every_fault(build: Build, seed: int) -> None:
    bench = build(Misbehaviour(seed=seed, **HARSH))
    project_id = bench.platform.ensure_project(bench.spec).project_id
    tasks = bench.tasks(10)
    kept = create_exactly_once(bench.platform, project_id, tasks)
    bench.let_people_work()
    items = newest(items_from(bench.platform, project_id, limit=3)).values()

    assert sorted((item.task_key, item.annotator_id) for item in items) == sorted(
        (task.task_key, person) for task in tasks for person in task.assignees
    )
    assert {item.platform_task_id for item in items} == set(kept.values())


def test_after_a_lost_reply_the_tasks_are_there(build: Build) -> None:
    bench = build(Misbehaviour(lost_reply=1.0))
    project_id = bench.platform.ensure_project(bench.spec).project_id
    with pytest.raises(TransientError, match="500"):
        bench.platform.create_tasks(project_id, bench.tasks(3))

    assert set(bench.platform.find_tasks(project_id, ["key-00", "key-01", "key-02"])) == {"key-00", "key-01", "key-02"}


def test_a_partial_create_leaves_the_first_half(build: Build) -> None:
    bench = build(Misbehaviour(partial_create=1.0))
    project_id = bench.platform.ensure_project(bench.spec).project_id
    with pytest.raises(TransientError, match="middle"):
        bench.platform.create_tasks(project_id, bench.tasks(4))

    assert set(bench.platform.find_tasks(project_id, [task.task_key for task in bench.tasks(4)])) == {
        "key-00",
        "key-01",
    }


def test_a_rate_limit_refuses_before_anything_is_done(build: Build) -> None:
    bench = build(Misbehaviour(seed=1, rate_limit=0.5))
    project_id = bench.platform.ensure_project(bench.spec).project_id
    refused = 0
    for task in bench.tasks(12):
        try:
            bench.platform.create_tasks(project_id, [task])
        except TransientError:
            refused += 1
    while True:
        try:
            found = bench.platform.find_tasks(project_id, [task.task_key for task in bench.tasks(12)])
            break
        except TransientError:
            continue

    assert 0 < refused < 12
    assert len(found) == 12 - refused


def test_a_repeated_page_comes_with_the_cursor_that_was_given(build: Build) -> None:
    bench = build(Misbehaviour(repeated_pages=1.0))
    project_id = bench.platform.ensure_project(bench.spec).project_id
    bench.platform.create_tasks(project_id, bench.tasks(3))
    bench.let_people_work()
    first = bench.platform.fetch_annotations(project_id, cursor=None, limit=2)
    again = bench.platform.fetch_annotations(project_id, cursor=first.next_cursor, limit=2)

    assert again.items == first.items
    assert (again.next_cursor, again.more) == (first.next_cursor, True)


def test_pages_with_items_twice_and_in_disorder_still_hold_everything(build: Build) -> None:
    bench = build(Misbehaviour(duplicate_items=0.5, shuffled_pages=1.0))
    project_id = bench.platform.ensure_project(bench.spec).project_id
    bench.platform.create_tasks(project_id, bench.tasks(10))
    bench.let_people_work()
    items = items_from(bench.platform, project_id, limit=7)
    times = [item.updated_at for item in items]

    assert len(items) > len(newest(items)) == 20
    assert times != sorted(times)


def test_strangers_answer_beside_the_people_who_were_asked(build: Build) -> None:
    bench = build(Misbehaviour(strangers=0.5))
    project_id = bench.platform.ensure_project(bench.spec).project_id
    bench.platform.create_tasks(project_id, bench.tasks(10))
    bench.let_people_work()
    items = items_from(bench.platform, project_id)
    strangers = [item for item in items if item.annotator_id in STRANGERS]

    assert strangers
    assert len(items) - len(strangers) == 20


def test_some_labels_lie_outside_the_taxonomy(build: Build) -> None:
    bench = build(Misbehaviour(foreign_labels=0.5))
    project_id = bench.platform.ensure_project(bench.spec).project_id
    bench.platform.create_tasks(project_id, bench.tasks(10))
    bench.let_people_work()
    foreign = [item for item in items_from(bench.platform, project_id) if item.value["label"] == FOREIGN_LABEL]

    assert 0 < len(foreign) < 20


def test_when_the_server_clock_steps_back_the_cursor_misses_what_only_the_sweep_sees(build: Build) -> None:
    bench = build(Misbehaviour(clock_back=0.3, clock_back_seconds=3600))
    project_id = bench.platform.ensure_project(bench.spec).project_id
    bench.platform.create_tasks(project_id, bench.tasks(12))
    cursor, polled = None, []
    for _ in range(200):
        bench.clock.advance(seconds=1)
        pages = pages_from(bench.platform, project_id, cursor=cursor)
        cursor = pages[-1].next_cursor
        polled += [item.platform_annotation_id for page in pages for item in page.items]

    assert len(set(polled)) < 24
    assert len(newest(items_from(bench.platform, project_id))) == 24


def test_misbehaviour_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    def history(folder: Path) -> list[str]:
        bench = SimulatedBench(folder / "p.db", misbehave=Misbehaviour(seed=3, **HARSH))
        project_id = bench.platform.ensure_project(bench.spec).project_id
        create_exactly_once(bench.platform, project_id, bench.tasks(5))
        bench.let_people_work()
        return [item.platform_annotation_id for item in items_from(bench.platform, project_id)]

    assert history(tmp_path / "one") == history(tmp_path / "two")
