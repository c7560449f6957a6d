"""Label Studio as an annotation platform: its open-source edition, with the assignment and blindness that it lacks."""

import math
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeAlias

from annotation_ops.adapters.platforms.label_studio.answers import result_of, value_of
from annotation_ops.adapters.platforms.label_studio.client import LabelStudioClient
from annotation_ops.adapters.platforms.label_studio.connection import Connection
from annotation_ops.adapters.platforms.label_studio.cursor import BEGINNING, Cursor, Position
from annotation_ops.adapters.platforms.label_studio.media import connect_buckets, connect_folders
from annotation_ops.adapters.platforms.label_studio.queues import (
    PRELABELS,
    ProjectQueues,
    Queue,
    QueueMark,
    ensure_home,
    filtered,
    open_queue,
    project_queues,
    rows_of,
)
from annotation_ops.adapters.platforms.label_studio.webhooks import ensure_webhooks
from annotation_ops.domain.errors import AnnotationOpsError, InvalidInput, NotFound, TransientError, Unsupported
from annotation_ops.domain.records import JsonObject
from annotation_ops.ports.annotation_platform import (
    AnnotationPage,
    AnnotationPlatform,
    Capability,
    PlatformAnnotation,
    PlatformHealth,
    PlatformLimits,
    PlatformProject,
    PlatformProjectSpec,
    StandingAnswers,
    TaskReceipt,
    TaskSpec,
)

KEY = "ao_task"
"""Field of a task's data: our task key. Label Studio's own ids are given again after a deletion."""
COPY = "ao_copy"
"""Field of a task's data: which create call it comes from, so that a repeated one shows as a second task."""
WITHDRAWN = "ao_withdrawn"
"""Field of a task's data: set when it was taken back."""

IMPORT_CHUNK = 500
"""Tasks an import request: well under the limits of any proxy, and a lost reply leaves few to find again."""

KEYS_A_QUERY = 150
"""Keys a lookup: the URL stays under 8 KB, nginx's limit."""

LISTED = 1000
"""Tasks a page when a whole queue is listed."""

LISTING_PAYS = 40
"""A lookup of KEYS_A_QUERY keys takes as long as listing about this many tasks."""


_Kind: TypeAlias = tuple[str, bool]
"""A person, and whether the tasks show an answer to begin with: together the queue."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One live task of Label Studio."""

    queue: Queue
    number: int
    data: JsonObject
    created_at: str

    @property
    def name(self) -> str:
        return f"{self.data[KEY]}.{self.data.get(COPY, '')}"


class LabelStudio(AnnotationPlatform):
    """One task of ours is one Label Studio task in the queue of everybody who is asked (queues.py).

    A platform task id is `<task key>.<copy>`: the Label Studio tasks that one create call made for one key. Creating is not
    idempotent there, so a repeated call is a second copy, to be found and withdrawn.
    """

    name = "label_studio"
    capabilities = (
        Capability.BULK_CREATE
        | Capability.ASSIGN_USER
        | Capability.PRELABELS
        | Capability.INCREMENTAL_FETCH
        | Capability.DELETE_SEEN
    )
    limits = PlatformLimits(max_tasks_per_call=10_000, max_page_size=1000)

    def __init__(self, client: LabelStudioClient, connection: Connection) -> None:
        self._client = client
        self._connection = connection

    def check(self) -> PlatformHealth:
        try:
            version = str(self._client.get("/api/version")["release"])
            who = self._client.get("/api/current-user/whoami")["email"]
        except AnnotationOpsError as error:
            return PlatformHealth(False, "", self._client.server_time, str(error))
        return PlatformHealth(True, f"Label Studio {version}", self._client.server_time, f"signed in as {who}")

    def ensure_project(self, spec: PlatformProjectSpec) -> PlatformProject:
        """Raises Unsupported for masks, Conflict for other labels under the same taxonomy version."""
        if not spec.labels and spec.task_type != "text":
            raise InvalidInput(f"project {spec.name!r}: found no labels, expected at least one")
        home, mended = ensure_home(self._client, spec)
        queues = project_queues(self._client, str(home.number)).queues
        numbers = [queue.number for queue in queues if queue.mark.taxonomy == spec.version]
        rung = ensure_webhooks(self._client, numbers, spec.name, self._connection.inbox)
        return PlatformProject(str(home.number), (*mended, *rung))

    def create_tasks(self, project_id: str, tasks: Sequence[TaskSpec]) -> tuple[TaskReceipt, ...]:
        """A task for somebody without a Label Studio account fails by itself; one without its medium refuses the call."""
        if len(tasks) > self.limits.max_tasks_per_call:
            raise InvalidInput(f"found {len(tasks)} tasks, expected at most {self.limits.max_tasks_per_call} a call")
        queues = project_queues(self._client, project_id)
        media = queues.home.mark.media
        for task in tasks:
            if len(set(task.assignees)) != len(task.assignees) or not task.assignees:
                raise InvalidInput(
                    f"task {task.task_key}: found assignees {task.assignees}, expected people, each once"
                )
            if not task.data.get(media):
                raise InvalidInput(
                    f"task {task.task_key}: found data {sorted(task.data)}, expected {media!r} among them"
                )
        unknown = self._unknown({person for task in tasks for person in task.assignees})
        copy = secrets.token_hex(4)
        wanted: defaultdict[_Kind, list[JsonObject]] = defaultdict(list)
        receipts = []
        for task in tasks:
            if strangers := sorted(unknown.intersection(task.assignees)):
                receipts.append(TaskReceipt(task.task_key, None, "failed", self._no_account(strangers)))
                continue
            shown = self._connection.shown(task.data[media], media=media)
            row: JsonObject = {"data": {media: shown, KEY: task.task_key, COPY: copy}}
            if task.prelabel is not None:
                row["predictions"] = [self._prediction(queues.home.mark, task, shown)]
            for person in task.assignees:
                wanted[person, task.prelabel is not None].append(row)
            receipts.append(TaskReceipt(task.task_key, f"{task.task_key}.{copy}", "created"))
        self._import(queues, wanted)
        return tuple(receipts)

    def find_tasks(self, project_id: str, task_keys: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        first: dict[str, tuple[str, int]] = {}
        key_of: dict[str, str] = {}
        for row in self._rows(project_queues(self._client, project_id), task_keys):
            key_of[row.name] = row.data[KEY]
            seen = (row.created_at, row.number)
            first[row.name] = min(first.get(row.name, seen), seen)
        found: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(first, key=first.__getitem__):
            found[key_of[name]].append(name)
        return {key: tuple(names) for key, names in found.items()}

    def assign(self, project_id: str, assignees: Mapping[str, Collection[str]]) -> None:
        """Raises NotFound for unknown or withdrawn tasks and for people without an account."""
        if strangers := sorted(self._unknown({person for people in assignees.values() for person in people})):
            raise NotFound(self._no_account(strangers))
        queues = project_queues(self._client, project_id)
        known: defaultdict[str, list[_Row]] = defaultdict(list)
        for row in self._rows(queues, {_key(name) for name in assignees}):
            known[row.name].append(row)
        if missing := sorted(set(assignees) - set(known)):
            raise NotFound(f"found no live task {missing[0]!r} in project {queues.home.mark.project!r}")
        wanted: defaultdict[_Kind, list[JsonObject]] = defaultdict(list)
        for name, people in assignees.items():
            further = sorted(set(people) - {row.queue.mark.annotator for row in known[name]})
            if further:
                prelabels = known[name][0].queue.mark.prelabels
                copied = self._copied(known[name][0])
                for person in further:
                    wanted[person, prelabels].append(copied)
        self._import(queues, wanted)

    def fetch_annotations(self, project_id: str, *, cursor: str | None, limit: int) -> AnnotationPage:
        """Queue after queue, in each the oldest change first. A task with several answers may make a page longer than `limit`."""
        if not 1 <= limit <= self.limits.max_page_size:
            raise InvalidInput(f"found a page size of {limit}, expected 1..{self.limits.max_page_size}")
        position = Cursor.parse(cursor)
        queues = project_queues(self._client, project_id)
        emails = {number: email for email, number in self._accounts().items()}
        if position.sweep_began_at is None:
            position = replace(position, sweep_began_at=self._client.server_time or datetime.now(UTC))
        items: list[PlatformAnnotation] = []
        standing: list[StandingAnswers] = []
        order = [queue for queue in queues.queues if position.reading is None or queue.number >= position.reading]
        for queue in order:
            while len(items) < limit:
                start, size = position.start(queue.number), limit - len(items)
                rows = [] if queue.tasks == 0 and start == BEGINNING else self._changed(queue, start, size)
                for row in rows:
                    answers = list(self._annotations(queue, row, emails))
                    owner = queue.mark.annotator or ""
                    own = frozenset(one.platform_annotation_id for one in answers if one.annotator_id == owner)
                    standing.append(StandingAnswers(str(row["data"].get(KEY, "")), owner, _place(row), own))
                    items += answers
                position = position.moved(queue.number, _after(start, rows))
                if len(rows) < size:
                    break
            if len(items) >= limit:
                return AnnotationPage(tuple(items), position.text(), True, tuple(standing))
        done = replace(
            position, reading=None, swept_at=position.sweep_began_at or position.swept_at, sweep_began_at=None
        )
        return AnnotationPage(tuple(items), done.text(), False, tuple(standing))

    def withdraw_tasks(self, project_id: str, platform_task_ids: Collection[str]) -> None:
        """An overlap of 0 keeps Label Studio from offering a task; deleting it could take an answer along that is just coming."""
        wanted = set(platform_task_ids)
        queues = project_queues(self._client, project_id)
        for row in self._rows(queues, {_key(name) for name in wanted}):
            if row.name in wanted:
                self._client.patch(f"/api/tasks/{row.number}/", {"overlap": 0, "data": {**row.data, WITHDRAWN: "1"}})

    def _prediction(self, mark: QueueMark, task: TaskSpec, shown: str) -> JsonObject:
        """The prelabel as Label Studio shows it; the size of a picture is read from the picture."""
        shapes = mark.task_type in ("boxes", "polygons")
        size = self._connection.picture_size(task.data[mark.media]) if shapes else None
        text = shown if mark.media == "text" else ""
        result = result_of(task.prelabel or {}, task_type=mark.task_type, size=size, text=text)
        return {"model_version": PRELABELS, "result": result}

    def _copied(self, row: _Row) -> JsonObject:
        """A task as it is, for another person."""
        shown = self._client.pages("/api/predictions/", task=row.number) if row.queue.mark.prelabels else []
        kept = [{"model_version": one["model_version"], "result": one["result"]} for one in shown]
        return {"data": row.data, **({"predictions": kept} if kept else {})}

    def _import(self, queues: ProjectQueues, wanted: Mapping[_Kind, Sequence[JsonObject]]) -> None:
        medium = queues.home.mark.media
        everything = {task["data"][medium] for tasks in wanted.values() for task in tasks}
        connect_folders(self._client, queues.home.number, everything, self._connection)
        for (person, prelabels), tasks in sorted(wanted.items()):
            queue = queues.of(person, prelabels=prelabels)
            if queue is None:
                queue = open_queue(self._client, queues, person, prelabels=prelabels)
                ensure_webhooks(self._client, [queue.number], queue.mark.project, self._connection.inbox)
            connect_buckets(self._client, queue.number, [task["data"][medium] for task in tasks], self._connection)
            for start in range(0, len(tasks), IMPORT_CHUNK):
                chunk = tasks[start : start + IMPORT_CHUNK]
                created = self._client.post(f"/api/projects/{queue.number}/import", chunk)
                if "task_count" not in created:
                    raise Unsupported(
                        f"{self._client.base_url}: found an import that goes on in the background, expected one that is done; "
                        f"this adapter speaks to the open-source edition"
                    )
                if created["task_count"] != len(chunk):
                    raise TransientError(
                        f"Label Studio project {queue.number}: {created['task_count']} of {len(chunk)} tasks were created"
                    )

    def _rows(self, queues: ProjectQueues, task_keys: Collection[str]) -> Iterator[_Row]:
        """The live tasks under these keys in every queue."""
        keys = sorted(set(task_keys))
        if not keys:
            return
        for queue in queues.queues:
            for row in self._listed(queue, keys):
                data = row["data"]
                if data.get(KEY) in task_keys and WITHDRAWN not in data:
                    yield _Row(queue, row["id"], data, row["created_at"])

    def _listed(self, queue: Queue, keys: Sequence[str]) -> Iterator[JsonObject]:
        include = "id,data,created_at"
        if queue.tasks <= LISTING_PAYS * (1 + len(keys) // KEYS_A_QUERY):
            for number in range(1, queue.tasks // LISTED + 2):
                rows = rows_of(self._client, queue, filters=(), include=include, limit=LISTED, page=number)
                yield from rows
                if len(rows) < LISTED:
                    return
            return
        for start in range(0, len(keys), KEYS_A_QUERY):
            among = filtered(f"data.{KEY}", "in_list", keys[start : start + KEYS_A_QUERY], "String")
            # A key has one task here, and few more after a crash.
            yield from rows_of(self._client, queue, filters=(among,), include=include, limit=LISTED)

    def _changed(self, queue: Queue, start: Position, limit: int) -> list[JsonObject]:
        """The tasks that changed at or after the position, without those already read."""
        since = filtered("updated_at", "greater_or_equal", _moment(start.at), "Datetime")
        include = "id,data,updated_at,annotations,result,completed_by,updated_by,created_at,lead_time,was_cancelled"
        rows = rows_of(self._client, queue, filters=(since,), include=include, limit=limit + len(start.ids))
        read = set(start.ids) if start.ids else frozenset()
        at = _moment(start.at)
        return [row for row in rows if not (row["id"] in read and row["updated_at"] == at)][:limit]

    def _annotations(self, queue: Queue, row: JsonObject, emails: Mapping[int, str]) -> Iterator[PlatformAnnotation]:
        mark, data = queue.mark, row["data"]
        for found in sorted(row["annotations"], key=lambda one: (one["updated_at"], one["id"])):
            author, fault = found["completed_by"], ("", "")
            value: JsonObject = {}
            if found["updated_by"] not in (None, author):
                fault = (
                    "spoofed_author",
                    f"written by Label Studio user {found['updated_by']} in the name of user {author}",
                )
            elif not found["was_cancelled"]:
                try:
                    value = value_of(
                        found["result"] or (), task_type=mark.task_type, text=str(data.get(mark.media, ""))
                    )
                except InvalidInput as error:
                    fault = ("unreadable_answer", str(error))
            yield PlatformAnnotation(
                platform_annotation_id=f"{_place(row)}{found['id']}",
                platform_task_id=f"{data.get(KEY, '')}.{data.get(COPY, '')}",
                task_key=str(data.get(KEY, "")),
                annotator_id=self._connection.annotator(emails.get(author, "")) or f"label-studio-user-{author}",
                value=value,
                submitted_at=datetime.fromisoformat(found["created_at"]),
                updated_at=datetime.fromisoformat(found["updated_at"]),
                lead_time_seconds=_seconds(found["lead_time"]),
                state="skipped" if found["was_cancelled"] else "submitted",
                raw=found,
                fault_code=fault[0],
                fault=fault[1],
            )

    def _accounts(self) -> Mapping[str, int]:
        """E-mail in lower case -> user number."""
        return {user["email"].lower(): user["id"] for user in self._client.pages("/api/users/")}

    def _unknown(self, people: Collection[str]) -> set[str]:
        known = self._accounts()
        return {person for person in people if self._connection.sign_in(person).lower() not in known}

    def _no_account(self, people: Sequence[str]) -> str:
        addresses = ", ".join(self._connection.sign_in(person) for person in people)
        return f"found no Label Studio account for {', '.join(people)}, expected {addresses}; invite them or correct label_studio.yaml"


def _key(platform_task_id: str) -> str:
    return platform_task_id.rpartition(".")[0]


def _place(row: JsonObject) -> str:
    return f"{row['id']}."


def _seconds(lead_time: object) -> float | None:
    """Label Studio takes any number from the browser."""
    usable = isinstance(lead_time, (int, float)) and math.isfinite(lead_time) and lead_time >= 0
    return float(lead_time) if usable else None  # type: ignore[arg-type]


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _after(start: Position, rows: Sequence[JsonObject]) -> Position:
    if not rows:
        return start
    last = rows[-1]["updated_at"]
    at = datetime.fromisoformat(last)
    ids = {row["id"] for row in rows if row["updated_at"] == last}
    return Position(at, tuple(sorted(ids | set(start.ids if at == start.at else ()))))
