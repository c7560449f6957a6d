import itertools
import multiprocessing
import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from annotation_ops.adapters.platforms.simulated.platform import SimulatedPlatform
from annotation_ops.adapters.platforms.simulated.simulation import SimulatedPerson, Simulation, Truth
from annotation_ops.domain.errors import InvalidInput, NotFound, Unsupported
from annotation_ops.ports.annotation_platform import PlatformAnnotation, TaskSpec
from annotation_ops_tests.adapters.platforms.simulated.bench import (
    SPEC,
    SimulatedBench,
    crowd_of,
    three_people,
    truth_of,
    uri,
)
from annotation_ops_tests.contracts.annotation_platform import items_from, newest, pages_from
from annotation_ops_tests.fakes.clock import MONDAY_NOON, ManualClock


def ask(bench: SimulatedBench, count: int, *people: str, prefix: str = "key") -> str:
    """Puts the first `count` samples to these people; returns the project id."""
    project_id = bench.platform.ensure_project(bench.spec).project_id
    bench.platform.create_tasks(
        project_id, [TaskSpec(f"{prefix}-{number:03d}", {"image": uri(number)}, people) for number in range(count)]
    )
    return project_id


def labels(items: list[PlatformAnnotation]) -> dict[tuple[str, str], str]:
    return {(item.task_key[-3:], item.annotator_id): item.value["label"] for item in items}


def test_a_recreated_task_in_another_database_gets_the_same_answers(tmp_path: Path) -> None:
    answers = []
    for attempt in ("one", "two"):
        bench = SimulatedBench(tmp_path / f"{attempt}.db", people=three_people(accuracy=0.5))
        project_id = ask(bench, 12, "ann", "bob", prefix=attempt)
        bench.let_people_work()
        answers.append(labels(items_from(bench.platform, project_id)))

    assert answers[0] == answers[1]
    assert len(answers[0]) == 24


def test_a_tired_person_asked_again_about_a_sample_repeats_the_first_answer(tmp_path: Path) -> None:
    tiring = crowd_of(SimulatedPerson("ann", accuracy=1.0, fatigue=1.0))
    bench = SimulatedBench(tmp_path / "p.db", people=tiring, samples=60)
    project_id = ask(bench, 60, "ann", prefix="first")
    ask(bench, 60, "ann", prefix="again")
    bench.let_people_work()
    items = items_from(bench.platform, project_id)
    first = {item.task_key[-3:]: item.value for item in items if item.task_key.startswith("first")}
    again = {item.task_key[-3:]: item.value for item in items if item.task_key.startswith("again")}

    assert first == again
    assert len(first) == 60


def test_answers_do_not_depend_on_how_often_the_platform_is_asked(tmp_path: Path) -> None:
    people = three_people(accuracy=0.6, fatigue=0.3, late_edit=0.3, deletes=0.1, skips=0.1, dropout=0.1)
    seen = []
    for polls in (1, 400):
        bench = SimulatedBench(tmp_path / f"{polls}.db", people=people)
        project_id = ask(bench, 12, "ann", "bob", "cem")
        start = bench.clock.now()
        for number in range(polls):
            bench.clock.set(start + timedelta(hours=12) * (number + 1) / polls)
            bench.platform.fetch_annotations(project_id, cursor=None, limit=10)
        seen.append(items_from(bench.platform, project_id))

    assert seen[0] == seen[1]


def test_polling_every_second_sees_every_version_that_a_sweep_sees_at_the_end(tmp_path: Path) -> None:
    people = three_people(late_edit=0.5, late_edit_seconds=60.0, deletes=0.2)
    bench = SimulatedBench(tmp_path / "p.db", people=people)
    project_id = ask(bench, 12, "ann", "bob", "cem")
    cursor, polled = None, []
    for _ in range(600):
        bench.clock.advance(seconds=1)
        pages = pages_from(bench.platform, project_id, cursor=cursor, limit=2)
        cursor = pages[-1].next_cursor
        polled += [item for page in pages for item in page.items]
    sweep = newest(items_from(bench.platform, project_id))

    assert newest(polled) == sweep
    assert {item.state for item in sweep.values()} == {"submitted", "deleted"}
    assert len(polled) > len(sweep)


def test_people_work_one_task_after_the_other_in_the_order_they_were_asked(tmp_path: Path) -> None:
    bench = SimulatedBench(tmp_path / "p.db")
    project_id = ask(bench, 6, "ann")
    bench.let_people_work()
    items = items_from(bench.platform, project_id)
    gaps = [(later.submitted_at - earlier.submitted_at).total_seconds() for earlier, later in itertools.pairwise(items)]

    assert [item.task_key for item in items] == [f"key-{number:03d}" for number in range(6)]
    assert gaps == pytest.approx([item.lead_time_seconds for item in items[1:]], abs=1e-5)


def test_nothing_is_answered_before_its_time(tmp_path: Path) -> None:
    people = crowd_of(SimulatedPerson("ann", median_seconds=10, sigma=0.0))
    bench = SimulatedBench(tmp_path / "p.db", people=people)
    project_id = ask(bench, 3, "ann")
    counts = []
    for _ in range(4):
        bench.clock.advance(seconds=9)
        counts.append(len(items_from(bench.platform, project_id)))

    assert counts == [0, 1, 2, 3]


def test_speed_up_shortens_the_wait_and_not_the_reported_lead_time(tmp_path: Path) -> None:
    simulation = Simulation(
        crowd_of(SimulatedPerson("ann", median_seconds=10, sigma=0.0)), truth_of(2), speed_up=1000.0
    )
    clock = ManualClock()
    platform = SimulatedPlatform(tmp_path / "p.db", simulation=simulation, clock=clock)
    project_id = platform.ensure_project(SPEC).project_id
    platform.create_tasks(project_id, [TaskSpec(f"k{n}", {"image": uri(n)}, ("ann",)) for n in range(2)])
    clock.advance(seconds=0.021)
    items = items_from(platform, project_id)

    assert [item.lead_time_seconds for item in items] == [10.0, 10.0]


def test_somebody_who_drops_out_never_answers_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    people = crowd_of(SimulatedPerson("gone", dropout=1.0), SimulatedPerson("ann"))
    bench = SimulatedBench(tmp_path / "p.db", people=people)
    project_id = ask(bench, 5, "gone", "ann")
    bench.let_people_work()

    assert {item.annotator_id for item in items_from(bench.platform, project_id)} == {"ann"}


def test_after_a_task_is_withdrawn_the_next_one_is_begun_at_once_and_not_in_the_past(tmp_path: Path) -> None:
    people = crowd_of(SimulatedPerson("ann", median_seconds=100, sigma=0.0))
    bench = SimulatedBench(tmp_path / "p.db", people=people)
    project_id = ask(bench, 2, "ann")
    bench.clock.advance(seconds=60)
    [[first]] = [bench.platform.find_tasks(project_id, ["key-000"])["key-000"]]
    bench.platform.withdraw_tasks(project_id, [first])
    bench.clock.advance(seconds=99)
    early = items_from(bench.platform, project_id)
    bench.clock.advance(seconds=2)
    [item] = items_from(bench.platform, project_id)

    assert early == []
    assert item.submitted_at - MONDAY_NOON == pytest.approx(timedelta(seconds=160), abs=timedelta(milliseconds=1))


def test_a_sample_without_a_known_truth_is_flagged(tmp_path: Path) -> None:
    bench = SimulatedBench(tmp_path / "p.db")
    project_id = bench.platform.ensure_project(bench.spec).project_id
    bench.platform.create_tasks(
        project_id,
        [
            TaskSpec("known", {"image": f"{uri(3)}?X-Amz-Signature=abc"}, ("ann",)),
            TaskSpec("unknown", {"image": "s3://raw/elsewhere.jpg"}, ("ann",)),
        ],
    )
    bench.let_people_work()
    raw = {item.task_key: item.raw for item in items_from(bench.platform, project_id)}

    assert raw["known"] == {"simulated": True, "truth": "known"}
    assert raw["unknown"] == {"simulated": True, "truth": "unknown"}


def test_a_task_for_an_undeclared_person_fails_alone(tmp_path: Path) -> None:
    bench = SimulatedBench(tmp_path / "p.db")
    project_id = bench.platform.ensure_project(bench.spec).project_id
    good, bad = bench.platform.create_tasks(
        project_id,
        [TaskSpec("good", {"image": uri(1)}, ("ann",)), TaskSpec("bad", {"image": uri(2)}, ("ann", "nobody"))],
    )

    assert (good.status, bad.status, bad.platform_task_id) == ("created", "failed", None)
    assert "nobody" in bad.error
    assert set(bench.platform.find_tasks(project_id, ["good", "bad"])) == {"good"}


def test_a_task_without_the_projects_medium_refuses_the_whole_call(tmp_path: Path) -> None:
    bench = SimulatedBench(tmp_path / "p.db")
    project_id = bench.platform.ensure_project(bench.spec).project_id
    with pytest.raises(InvalidInput, match="'image'"):
        bench.platform.create_tasks(
            project_id, [TaskSpec("a", {"image": uri(1)}, ("ann",)), TaskSpec("b", {"text": "seven"}, ("ann",))]
        )

    assert bench.platform.find_tasks(project_id, ["a", "b"]) == {}


def test_a_missing_truth_file_is_said_before_any_task_is_made(tmp_path: Path) -> None:
    simulation = Simulation(three_people(), Truth(file=tmp_path / "truth.jsonl"))
    platform = SimulatedPlatform(tmp_path / "p.db", simulation=simulation, clock=ManualClock())
    project_id = platform.ensure_project(SPEC).project_id
    with pytest.raises(NotFound, match=r"truth\.jsonl"):
        platform.create_tasks(project_id, [TaskSpec("k", {"image": uri(1)}, ("ann",))])

    assert platform.find_tasks(project_id, ["k"]) == {}


def test_a_new_guideline_keeps_the_project_and_boxes_are_not_offered(tmp_path: Path) -> None:
    platform = SimulatedBench(tmp_path / "p.db").platform
    project_id = platform.ensure_project(SPEC).project_id

    assert platform.ensure_project(replace(SPEC, instructions="Look twice.")).project_id == project_id
    with pytest.raises(Unsupported, match="boxes"):
        platform.ensure_project(replace(SPEC, name="boxes", task_type="boxes"))


def test_deleting_twice_or_editing_what_does_not_exist_is_not_found(tmp_path: Path) -> None:
    bench = SimulatedBench(tmp_path / "p.db")
    project_id = ask(bench, 1, "ann")
    bench.let_people_work()
    [item] = items_from(bench.platform, project_id)
    bench.delete(item)
    with pytest.raises(NotFound):
        bench.delete(item)
    with pytest.raises(NotFound):
        bench.platform.edit_annotation("simulated-annotation-000000999", value={"label": "1"})


def test_a_host_clock_that_goes_back_hides_nothing_and_skips_nothing(tmp_path: Path) -> None:
    bench = SimulatedBench(tmp_path / "p.db")
    project_id = ask(bench, 6, "ann")
    bench.let_people_work()
    pages = pages_from(bench.platform, project_id)
    bench.clock.set(MONDAY_NOON - timedelta(days=1))
    ask(bench, 6, "bob", prefix="later")
    before = items_from(bench.platform, project_id)
    bench.clock.set(MONDAY_NOON + timedelta(days=90))
    after = items_from(bench.platform, project_id, cursor=pages[-1].next_cursor)

    assert len(before) == 6
    assert {item.annotator_id for item in after} == {"bob"}
    assert len(after) == 6


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(InvalidInput, match=r"notes\.txt"):
        SimulatedPlatform(path, simulation=Simulation(three_people(), Truth()), clock=ManualClock())


def _create_from_another_process(database: str, worker: int) -> None:
    bench = SimulatedBench(Path(database))
    project_id = bench.platform.ensure_project(bench.spec).project_id
    for number in range(10):
        bench.platform.create_tasks(project_id, [TaskSpec(f"w{worker}-{number}", {"image": uri(number)}, ("ann",))])


def test_several_processes_start_and_write_at_once(tmp_path: Path) -> None:
    database = tmp_path / "p.db"
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_create_from_another_process, args=(str(database), number)) for number in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    bench = SimulatedBench(database)
    project_id = bench.platform.ensure_project(bench.spec).project_id
    keys = [f"w{worker}-{number}" for worker in range(3) for number in range(10)]

    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert {len(found) for found in bench.platform.find_tasks(project_id, keys).values()} == {1}
    assert len(bench.platform.find_tasks(project_id, keys)) == 30


def test_state_survives_in_the_file_and_nothing_is_left_open(tmp_path: Path) -> None:
    bench = SimulatedBench(tmp_path / "p.db")
    project_id = ask(bench, 3, "ann")
    reopened = SimulatedBench(tmp_path / "p.db")
    reopened.let_people_work()
    items = items_from(reopened.platform, project_id)
    connection = sqlite3.connect(tmp_path / "p.db")
    mode = connection.execute("PRAGMA journal_mode").fetchone()
    connection.close()

    assert len(items) == 3
    assert mode == ("wal",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.db"]


def share_right(bench: SimulatedBench, project_id: str, prefix: str) -> float:
    right: list[bool] = [
        item.value["label"] == item.task_key[-1]
        for item in items_from(bench.platform, project_id, limit=1000)
        if item.task_key.startswith(prefix)
    ]
    return sum(right) / len(right)


@pytest.mark.parametrize(("idle_minutes", "rested"), [(31, True), (10, False)])
def test_half_an_hour_of_rest_ends_fatigue_and_less_does_not(tmp_path: Path, idle_minutes: int, rested: bool) -> None:
    tiring = crowd_of(SimulatedPerson("ann", accuracy=1.0, fatigue=1.0, median_seconds=1, sigma=0.0))
    bench = SimulatedBench(tmp_path / "p.db", people=tiring, samples=110)
    project_id = ask(bench, 100, "ann", prefix="before")
    bench.clock.advance(seconds=100 + 60 * idle_minutes)
    bench.platform.create_tasks(
        project_id, [TaskSpec(f"after-{number}", {"image": uri(number)}, ("ann",)) for number in range(100, 110)]
    )
    bench.let_people_work()

    assert (share_right(bench, project_id, "after") > 0.7) is rested


def test_nobody_works_longer_than_four_hours_without_a_break(tmp_path: Path) -> None:
    tiring = crowd_of(SimulatedPerson("ann", accuracy=1.0, fatigue=1.0, median_seconds=144, sigma=0.0))
    bench = SimulatedBench(tmp_path / "p.db", people=tiring, samples=110)
    project_id = ask(bench, 110, "ann")
    bench.let_people_work()

    assert share_right(bench, project_id, "key-09") < 0.3
    assert share_right(bench, project_id, "key-10") > 0.7


def test_an_answer_to_a_withdrawn_task_is_edited_no_more(tmp_path: Path) -> None:
    people = crowd_of(SimulatedPerson("ann", median_seconds=1, sigma=0.0, late_edit=1.0, late_edit_seconds=86_400.0))
    bench = SimulatedBench(tmp_path / "p.db", people=people)
    project_id = ask(bench, 2, "ann")
    bench.clock.advance(seconds=60)
    answered = newest(items_from(bench.platform, project_id))
    withdrawn = next(item for item in answered.values() if item.task_key == "key-000")
    bench.platform.withdraw_tasks(project_id, [withdrawn.platform_task_id])
    bench.let_people_work()
    after = newest(items_from(bench.platform, project_id))

    assert after[withdrawn.platform_annotation_id] == withdrawn
    assert sum(item.updated_at > item.submitted_at for item in after.values()) == 1
