"""10,000 tasks with overlap 2 on a real Label Studio server: created and collected, against the server's own import and export.

The server's share is measured by the bare requests: the same bodies posted to its import, the same queues read by its export.
Answers are put there by an import too, as people would need an hour.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from annotation_ops.adapters.platforms.label_studio.answers import result_of
from annotation_ops.adapters.platforms.label_studio.client import LabelStudioClient
from annotation_ops.adapters.platforms.label_studio.connection import Connection
from annotation_ops.adapters.platforms.label_studio.local_server import LocalServer
from annotation_ops.adapters.platforms.label_studio.platform import COPY, IMPORT_CHUNK, KEY, LabelStudio
from annotation_ops.adapters.platforms.label_studio.queues import read_queues
from annotation_ops.ports.annotation_platform import PlatformProjectSpec, TaskSpec

CACHE = Path(__file__).parents[1] / ".label_studio"
TASKS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
PEOPLE = tuple(f"ann-{number:02d}" for number in range(1, 13))
SPEC = PlatformProjectSpec("digits", "classification", tuple("0123456789"), "", "image", "1.0.0+aaaaaaaaaaaa")
ANSWER = result_of({"label": "7"}, task_type="classification")


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def tasks() -> list[TaskSpec]:
    return [
        TaskSpec(
            f"{number:032x}",
            {"image": f"https://raw.example/{number}.png"},
            (PEOPLE[number % 12], PEOPLE[(number + 5) % 12]),
        )
        for number in range(TASKS)
    ]


def create(platform: LabelStudio, project_id: str, wanted: list[TaskSpec]) -> None:
    """As dispatch does: find, create what is missing, find."""
    platform.find_tasks(project_id, [task.task_key for task in wanted])
    for start in range(0, len(wanted), platform.limits.max_tasks_per_call):
        platform.create_tasks(project_id, wanted[start : start + platform.limits.max_tasks_per_call])
    assert len(platform.find_tasks(project_id, [task.task_key for task in wanted])) == len(wanted)


def bare_import(client: LabelStudioClient, wanted: list[TaskSpec], users: dict[str, int] | None = None) -> None:
    """The same Label Studio tasks in a project a person, without looking anything up; with answers where users are given."""
    for person in PEOPLE:
        body = {"title": f"bare - {person}", "label_config": read_queues(client)[0].label_config}
        number = client.post("/api/projects/", body)["id"]
        post(client, number, person, wanted, users)


def post(
    client: LabelStudioClient, number: int, person: str, wanted: list[TaskSpec], users: dict[str, int] | None
) -> None:
    mine = [task for task in wanted if person in task.assignees]
    for start in range(0, len(mine), IMPORT_CHUNK):
        answers = {} if users is None else {"annotations": [{"result": ANSWER, "completed_by": users[person]}]}
        client.post(
            f"/api/projects/{number}/import",
            [
                {"data": {**task.data, KEY: task.task_key, COPY: "x"}, **answers}
                for task in mine[start : start + IMPORT_CHUNK]
            ],
        )


def collect(platform: LabelStudio, project_id: str) -> int:
    count, cursor, more = 0, None, True
    while more:
        page = platform.fetch_annotations(project_id, cursor=cursor, limit=1000)
        count, cursor, more = count + len(page.items), page.next_cursor, page.more
    return count


def export(client: LabelStudioClient) -> int:
    queues = [queue for queue in read_queues(client) if queue.mark.annotator is not None]
    return sum(len(client.get(f"/api/projects/{queue.number}/export", exportType="JSON")) for queue in queues)


def clear(client: LabelStudioClient) -> None:
    for row in client.pages("/api/projects/", include="id"):
        client.delete(f"/api/projects/{row['id']}/")


def main() -> None:
    wanted = tasks()
    rows: dict[str, list[float]] = {"create": [], "bare import": [], "collect": [], "bare export": []}
    with tempfile.TemporaryDirectory() as home:
        server = LocalServer(Path(home), cache=CACHE)
        running = server.start()
        client = LabelStudioClient(running.url, running.admin.token)
        connection = Connection("{id}@crew.example", {})
        platform = LabelStudio(client, connection)
        try:
            server.accounts(connection.sign_in(person) for person in PEOPLE)
            users = {connection.annotator(one["email"]): one["id"] for one in client.pages("/api/users/")}
            for _ in range(ROUNDS):
                project_id = platform.ensure_project(SPEC).project_id
                rows["create"].append(seconds(lambda p=project_id: create(platform, p, wanted)))
                rows["bare import"].append(seconds(lambda: bare_import(client, wanted)))
                answered = platform.ensure_project(replace(SPEC, name="answered")).project_id
                platform.create_tasks(
                    answered, [replace(wanted[0], task_key=person, assignees=(person,)) for person in PEOPLE]
                )
                for queue in read_queues(client):
                    if queue.mark.project == "answered" and queue.mark.annotator is not None:
                        post(client, queue.number, queue.mark.annotator, wanted, users)
                for queue in read_queues(client):
                    if queue.mark.project == SPEC.name:
                        client.delete(f"/api/projects/{queue.number}/")
                counted: list[int] = []
                rows["collect"].append(seconds(lambda a=answered, c=counted: c.append(collect(platform, a))))
                assert counted == [2 * TASKS], counted
                rows["bare export"].append(seconds(lambda: export(client)))
                clear(client)
        finally:
            client.close()
            server.stop()
    print(f"{TASKS:,} tasks, overlap 2, {len(PEOPLE)} people, median of {ROUNDS}")
    for name, times in rows.items():
        print(f"  {name:12} {statistics.median(times):7.2f} s   {', '.join(f'{one:.2f}' for one in times)}")
    for ours, floor in (("create", "bare import"), ("collect", "bare export")):
        ratio = statistics.median(a / b for a, b in zip(rows[ours], rows[floor], strict=True))
        print(f"  {ours} takes {ratio:.2f} times the {floor}")
    print(f"  memory of this process at its peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
