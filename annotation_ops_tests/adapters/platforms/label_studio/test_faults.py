"""What goes wrong between us and a real server, and that nothing is lost, doubled or believed wrongly afterwards."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from annotation_ops.adapters.platforms.label_studio.answers import result_of
from annotation_ops.adapters.platforms.label_studio.client import LabelStudioClient
from annotation_ops.adapters.platforms.label_studio.local_server import LocalServer, RunningServer
from annotation_ops.adapters.platforms.label_studio.platform import COPY, KEY, WITHDRAWN, LabelStudio
from annotation_ops.adapters.platforms.label_studio.queues import read_queues, rows_of
from annotation_ops.demo.annotators import SignedInAnnotator
from annotation_ops.domain.audit import verify
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import TransientError
from annotation_ops.domain.records import AssignmentState, JsonObject
from annotation_ops.ports.annotation_platform import TaskSpec
from annotation_ops.services.collect import CollectReport, collect
from annotation_ops.services.placement import platform_spec
from annotation_ops_tests.adapters.platforms.label_studio.bench import CONNECTION, server_in
from annotation_ops_tests.services.workshop import FIRST, PEOPLE, Workshop, truth

pytestmark = pytest.mark.slow

TASKS, ANSWERS = 6, 18


class Floor:
    """The digits project, dispatched to a real server, and its twelve people."""

    def __init__(self, home: Path, local: LocalServer, server: RunningServer) -> None:
        accounts = local.accounts(CONNECTION.sign_in(person) for person in PEOPLE)
        self.crew = {p: SignedInAnnotator(server.url, p, accounts[CONNECTION.sign_in(p)]) for p in PEOPLE}
        self.url, self.token = server.url, server.admin.token
        self.client = LabelStudioClient(server.url, server.admin.token)
        self.shop = Workshop.build(home, samples=TASKS)
        self.shop.platform = LabelStudio(self.client, CONNECTION)  # type: ignore[assignment]

    def close(self) -> None:
        for row in self.client.pages("/api/projects/", include="id"):
            self.client.delete(f"/api/projects/{row['id']}/")
        for person in self.crew.values():
            person.close()
        self.client.close()

    def work(self, *, most: int = 1_000) -> int:
        return sum(person.work(right, most=most) for person in self.crew.values())

    def live(self) -> list[tuple[str, str, JsonObject]]:
        """(task key, person, row) of every Label Studio task that was not withdrawn."""
        include = "id,data,annotations,completed_by,result,updated_by"
        return [
            (row["data"][KEY], queue.mark.annotator, row)
            for queue in read_queues(self.client)
            if queue.mark.annotator is not None
            for row in rows_of(self.client, queue, filters=(), include=include, limit=1000)
            if WITHDRAWN not in row["data"]
        ]

    def asked(self) -> Counter[tuple[str, str]]:
        return Counter((key, person) for key, person, _ in self.live())

    def expected(self) -> Counter[tuple[str, str]]:
        return Counter((one.task_key, one.annotator_id) for one in self.shop.assignments())

    def sweep(self) -> CollectReport:
        """What the daily sweep does."""
        shop = self.shop
        shop.clock.advance(timedelta(seconds=1))
        return collect(
            shop.project,
            ledger=shop.ledger,
            lake=shop.lake,
            platform=shop.platform,
            now=shop.clock.now(),
            sweep_every=timedelta(0),
        )

    def state(self) -> BatchState:
        (attempt,) = self.shop.ledger.attempts(self.shop.project.name)
        return attempt.state

    def quarantined(self) -> list[str]:
        return [item.reason_code for item in self.shop.ledger.quarantined(self.shop.project.name)]

    def check(self) -> None:
        """Nothing lost, nothing double, every answer that of the right sample, the audit chain whole."""
        shop = self.shop
        samples = {task.task_key: int(task.sample_id.removeprefix("s")) for task in shop.tasks()}
        stored = shop.annotations()
        assert len(stored) == len({(one.task_key, one.annotator_id) for one in stored}) == ANSWERS
        assert all(one.value == {"label": truth(samples[one.task_key])} for one in stored)
        assert verify(shop.ledger.audit_entries()) is None


def right(data: JsonObject) -> JsonObject:
    number = int(data["image"].removeprefix("mem://s").removesuffix(".png"))
    return body(truth(number))


def body(label: str, **more: Any) -> JsonObject:
    return {"result": result_of({"label": label}, task_type="classification"), "lead_time": 3.0, **more}


@pytest.fixture
def floor(server: tuple[LocalServer, RunningServer], tmp_path: Path) -> Iterator[Floor]:
    one = Floor(tmp_path / "home", *server)
    yield one
    one.close()


class Unreliable(httpx.BaseTransport):
    """The network, with one import cut off: before the server saw it, or after the server carried it out."""

    def __init__(self, *, cut: int, arrives: bool) -> None:
        self._inner = httpx.HTTPTransport()
        self._left = cut
        self._arrives = arrives

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/import"):
            self._left -= 1
            if self._left == 0:
                if self._arrives:
                    self._inner.handle_request(request).read()
                raise httpx.ReadError("connection reset", request=request)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize("arrives", [False, True])
@pytest.mark.parametrize("cut", [1, 2, 5])
def test_after_an_import_that_was_cut_off_everybody_is_asked_once(floor: Floor, cut: int, arrives: bool) -> None:
    shop, good = floor.shop, floor.shop.platform
    shop.plan()
    client = LabelStudioClient(floor.url, floor.token, transport=Unreliable(cut=cut, arrives=arrives))
    shop.platform = LabelStudio(client, CONNECTION)  # type: ignore[assignment]
    with pytest.raises(TransientError, match="connection reset"):
        shop.dispatch()
    client.close()
    shop.platform = good

    shop.dispatch()

    assert floor.asked() == floor.expected()
    floor.work()
    assert floor.sweep().completed == (FIRST,)
    floor.check()


def test_tasks_that_somebody_deleted_are_asked_again_by_the_sweep(floor: Floor) -> None:
    floor.shop.send()
    floor.work(most=1)
    rows = [row for _, _, row in floor.live()]
    unanswered = [row["id"] for row in rows if not row["annotations"]]
    for number in unanswered:
        floor.client.delete(f"/api/tasks/{number}/")

    report = floor.sweep()
    assert report.completed == ()
    assert floor.asked() == floor.expected()
    floor.work()

    assert floor.sweep().completed == (FIRST,)
    floor.check()


def test_a_second_copy_that_a_dead_run_left_is_withdrawn_by_the_sweep(floor: Floor) -> None:
    floor.shop.send()
    project_id = floor.shop.platform_project()
    first = floor.live()[0][2]["data"]
    queue = next(q for q in read_queues(floor.client) if q.mark.annotator is not None)
    floor.client.post(f"/api/projects/{queue.number}/import", [{"data": {**first, "ao_copy": "zombie"}}])
    assert len(floor.shop.platform.find_tasks(project_id, [first[KEY]])[first[KEY]]) == 2

    assert (healed := floor.sweep().healed) is not None
    assert healed.withdrawn == 1
    assert floor.asked() == floor.expected()
    floor.work()
    floor.sweep()
    floor.check()


def test_when_the_recorded_copy_is_deleted_the_other_one_is_taken_over(floor: Floor) -> None:
    floor.shop.send()
    project_id = floor.shop.platform_project()
    key = floor.live()[0][0]
    floor.shop.platform.create_tasks(
        project_id,
        [TaskSpec(key, floor.live()[0][2]["data"], tuple(sorted({p for k, p, _ in floor.live() if k == key})))],
    )
    recorded, other = floor.shop.platform.find_tasks(project_id, [key])[key]
    for _, _, row in floor.live():
        if f"{row['data'][KEY]}.{row['data'][COPY]}" == recorded:
            floor.client.delete(f"/api/tasks/{row['id']}/")

    floor.sweep()

    assert floor.shop.ledger.tasks_by_key([key])[key].platform_task_id == other
    assert floor.asked() == floor.expected()
    floor.work()
    floor.sweep()
    floor.check()


def test_when_the_newer_of_two_answers_is_deleted_the_older_one_counts_again(floor: Floor) -> None:
    floor.shop.send()
    floor.work()
    key, person, row = floor.live()[0]
    floor.shop.collect()
    crew = floor.crew[person]
    wrong = next(label for label in "0123456789" if label != row["annotations"][0]["result"][0]["value"]["choices"][0])
    newer = crew.call("POST", f"/api/tasks/{row['id']}/annotations/", body(wrong))
    floor.shop.collect()
    assert {"label": wrong} in [one.value for one in floor.shop.annotations()]
    crew.call("DELETE", f"/api/annotations/{newer['id']}/")

    for _ in range(2):
        floor.shop.collect()
        floor.check()
    history = [one for one in floor.shop.ledger.annotation_history(key) if one.annotator_id == person]
    assert [(one.revision, one.deleted) for one in history] == [(1, False), (2, False), (3, False)]


def test_a_deleted_answer_is_waited_for_again(floor: Floor) -> None:
    floor.shop.send()
    floor.work()
    key, person, row = floor.live()[0]
    floor.crew[person].call("DELETE", f"/api/annotations/{row['annotations'][0]['id']}/")

    assert floor.shop.collect().completed == ()
    waiting = [
        (one.task_key, one.annotator_id) for one in floor.shop.assignments() if one.state is AssignmentState.OPEN
    ]
    assert waiting == [(key, person)]
    floor.work()
    assert floor.shop.collect().completed == (FIRST,)
    floor.check()


def test_an_answer_deleted_after_it_was_collected_is_known_to_be_gone(floor: Floor) -> None:
    floor.shop.send()
    floor.work(most=1)
    floor.shop.collect()
    key, person, row = next(one for one in floor.live() if one[2]["annotations"])
    floor.crew[person].call("DELETE", f"/api/annotations/{row['annotations'][0]['id']}/")

    for _ in range(2):
        floor.shop.collect()
        history = [one for one in floor.shop.ledger.annotation_history(key) if one.annotator_id == person]
        assert [(one.revision, one.deleted) for one in history] == [(1, False), (2, True)]
    floor.work()
    assert floor.shop.collect().completed == (FIRST,)
    floor.check()


def test_an_answer_in_the_name_of_another_is_kept_aside(floor: Floor) -> None:
    floor.shop.send()
    _, person, row = floor.live()[0]
    victim = floor.crew[person].call("GET", "/api/current-user/whoami")["id"]
    intruder = next(one for name, one in floor.crew.items() if name != person)
    intruder.call("POST", f"/api/tasks/{row['id']}/annotations/", body("3", completed_by=victim))

    floor.shop.collect()

    assert floor.quarantined() == ["spoofed_author"]
    assert floor.shop.annotations() == ()


def test_an_answer_that_another_changed_stays_as_its_author_gave_it(floor: Floor) -> None:
    floor.shop.send()
    floor.work()
    floor.shop.collect()
    _, person, row = floor.live()[0]
    intruder = next(one for name, one in floor.crew.items() if name != person)
    intruder.call("PATCH", f"/api/annotations/{row['annotations'][0]['id']}/", body("3"))

    floor.shop.collect()

    assert floor.quarantined() == ["spoofed_author"]
    floor.check()


def test_somebody_who_was_not_asked_is_not_believed(floor: Floor) -> None:
    floor.shop.send()
    _, person, row = floor.live()[0]
    guest = next(one for name, one in floor.crew.items() if name != person)
    guest.call("POST", f"/api/tasks/{row['id']}/annotations/", body("3"))
    floor.work()
    floor.shop.collect()

    assert floor.quarantined() == ["not_assigned"]


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (result_of({"label": "banana"}, task_type="classification"), "unknown_label"),
        ([], "unreadable_answer"),
        ([{"from_name": "x", "to_name": "y", "type": "choices", "value": {"choices": ["1"]}}], "unreadable_answer"),
    ],
)
def test_an_answer_outside_of_the_contract_is_kept_aside_until_its_author_mends_it(
    floor: Floor, result: list[JsonObject], code: str
) -> None:
    floor.shop.send()
    key, person, row = floor.live()[0]
    sent = floor.crew[person].call("POST", f"/api/tasks/{row['id']}/annotations/", {"result": result, "lead_time": -5})
    floor.work()
    assert floor.shop.collect().completed == ()
    assert floor.quarantined() == [code]

    floor.crew[person].call("PATCH", f"/api/annotations/{sent['id']}/", right(row["data"]))
    assert floor.shop.collect().completed == (FIRST,)
    floor.check()
    assert {one.lead_time_seconds for one in floor.shop.ledger.annotation_history(key)} <= {3.0, None}


def test_an_interface_changed_by_hand_is_put_back_and_written_down(floor: Floor) -> None:
    floor.shop.send()
    queue = next(q for q in read_queues(floor.client) if q.mark.annotator is not None)
    other = queue.label_config.replace('"7"', '"banana"')
    floor.client.patch(f"/api/projects/{queue.number}/", {"label_config": other})

    floor.shop.collect()

    assert not any(q.changed_by_hand for q in read_queues(floor.client))
    mended = [e.body for e in floor.shop.ledger.audit_entries() if '"platform.mended"' in e.body]
    assert len(mended) == 1
    assert f"Label Studio project {queue.number}" in mended[0]


def test_spans_in_a_text_of_the_object_store_come_back_in_characters(floor: Floor) -> None:
    letters = {"s3://raw/a.txt": "😀 from Zoë"}
    platform = LabelStudio(floor.client, replace(CONNECTION, read_text=letters.__getitem__))
    spec = replace(platform_spec(floor.shop.project), name="letters", media="text", task_type="spans", labels=("who",))
    project_id = platform.ensure_project(spec).project_id
    platform.create_tasks(project_id, [TaskSpec("key", {"text": "s3://raw/a.txt"}, PEOPLE[:1])])
    found = {"spans": [{"label": "who", "start": 7, "end": 10}]}

    floor.crew[PEOPLE[0]].work(
        lambda data: {"result": result_of(found, task_type="spans", text=data["text"]), "lead_time": 1}
    )

    (item,) = platform.fetch_annotations(project_id, cursor=None, limit=5).items
    assert (item.value, item.raw["result"][0]["value"]["text"]) == (found, "Zoë")


def test_a_server_killed_in_the_middle_of_a_batch_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    with server_in(tmp_path / "server") as (local, server):
        floor = Floor(tmp_path / "home", local, server)
        floor.shop.send()
        assert floor.work(most=1) >= TASKS // 2
        os.killpg(server.pid, signal.SIGKILL)
        with pytest.raises(TransientError, match="no answer from Label Studio"):
            floor.shop.collect()

        again = local.start(port=int(server.url.rpartition(":")[2]))
        assert again.url == server.url
        floor.work()

        assert floor.sweep().completed == (FIRST,)
        floor.check()
        floor.close()
