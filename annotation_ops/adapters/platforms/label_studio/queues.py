"""Queues: the Label Studio projects behind one annotation project.

Label Studio's open-source edition assigns nobody, shows every member every answer, and keeps no roles. So everybody who is
asked gets a project of their own, the queue: who is asked is where the task lies, and nobody sees another's answer to it. One
more project without tasks, the home, stands for the annotation project and gives it its id.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from annotation_ops.adapters.platforms.label_studio.client import LabelStudioClient
from annotation_ops.adapters.platforms.label_studio.label_config import (
    config_hash,
    instructions_html,
    label_config,
    short_hash,
)
from annotation_ops.domain.errors import Conflict, NotFound
from annotation_ops.domain.records import JsonObject
from annotation_ops.ports.annotation_platform import PlatformProjectSpec

MARK = "annotation-ops "
"""How the last line of the description begins in every project that is ours; the rest of the line is JSON."""

REVIEW_TITLE = " - review"
"""How the title of a queue with prelabels ends."""

REVIEW_HTML = (
    "<p><b>Review.</b> You see the answer that others gave. Submit it when it is right; correct it first when it is not. "
    "You had no part in it, and who had is not shown.</p>"
)

PRELABELS = "answer so far"
"""Name of the predictions that show an answer to begin with; Label Studio shows those that the project names."""

TITLE_LIMIT = 50
"""Characters of a title in Label Studio."""


@dataclass(frozen=True, slots=True)
class QueueMark:
    """What a project's description says about it."""

    project: str
    annotator: str | None
    """Whose queue it is; None for the home."""
    task_type: str
    media: str
    taxonomy: str
    """`version+hash12`; a new taxonomy opens new queues, the old ones are read on."""
    config: str
    """Hash of the label config it was made with."""
    guideline: str
    """Hash of the instructions it shows."""
    prelabels: bool = False
    """Whether its tasks show an answer to begin with. A queue of its own, so that nobody sees one in other work."""

    def text(self) -> str:
        work = "to review" if self.prelabels else "about"
        owner = f"What {self.annotator} is asked {work} in {self.project}: open it and choose Label All Tasks."
        words = owner if self.annotator else f"Stands for {self.project}; tasks are in the projects of the annotators."
        return f"{words}\n\n{MARK}{json.dumps(asdict(self), sort_keys=True)}"

    @classmethod
    def parse(cls, description: str) -> "QueueMark | None":
        line = next((line for line in reversed(description.splitlines()) if line.startswith(MARK)), None)
        if line is None:
            return None
        try:
            return cls(**json.loads(line.removeprefix(MARK)))
        except (ValueError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Queue:
    number: int
    """Label Studio's project id."""
    mark: QueueMark
    label_config: str
    """As Label Studio shows it now."""
    tasks: int

    @property
    def changed_by_hand(self) -> bool:
        return short_hash(self.label_config) != self.mark.config


def read_queues(client: LabelStudioClient) -> list[Queue]:
    """Every project of ours on the server, oldest first."""
    rows = client.pages("/api/projects/", include="id,description,label_config,task_number")
    queues = [
        Queue(row["id"], mark, row["label_config"] or "", row.get("task_number") or 0)
        for row in rows
        if (mark := QueueMark.parse(row["description"] or "")) is not None
    ]
    return sorted(queues, key=lambda queue: queue.number)


@dataclass(frozen=True, slots=True)
class ProjectQueues:
    """The home and the queues of one annotation project."""

    home: Queue
    queues: tuple[Queue, ...]
    """Of every taxonomy, oldest first."""

    def of(self, annotator_id: str, *, prelabels: bool) -> Queue | None:
        """Where new tasks of a person go: the oldest queue of the kind under the taxonomy of the home."""
        wanted = (annotator_id, self.home.mark.taxonomy, prelabels)
        marks = ((queue.mark.annotator, queue.mark.taxonomy, queue.mark.prelabels) for queue in self.queues)
        return next((queue for queue, mark in zip(self.queues, marks, strict=True) if mark == wanted), None)


def project_queues(client: LabelStudioClient, project_id: str) -> ProjectQueues:
    """Raises NotFound for an id that is no home."""
    queues = read_queues(client)
    home = next((q for q in queues if str(q.number) == project_id and q.mark.annotator is None), None)
    if home is None:
        raise NotFound(f"found no project {project_id!r} of ours on {client.base_url}; call ensure_project first")
    return ProjectQueues(
        home, tuple(q for q in queues if q.mark.project == home.mark.project and q.mark.annotator is not None)
    )


def ensure_home(client: LabelStudioClient, spec: PlatformProjectSpec) -> tuple[Queue, tuple[str, ...]]:
    """The home under this spec and what was put right on the way: interfaces changed by hand, queues with an older guideline."""
    wanted = _mark(spec, None)
    mine = [queue for queue in read_queues(client) if queue.mark.project == spec.name]
    home = next((queue for queue in mine if queue.mark.annotator is None), None)
    if home is None:
        client.post("/api/projects/", {**_settings(spec, wanted), "title": _title(wanted)})
        # Two processes may create at the same time: both then take the older one.
        return next(q for q in read_queues(client) if q.mark.project == spec.name and q.mark.annotator is None), ()
    if home.mark.taxonomy == wanted.taxonomy and home.mark.config != wanted.config:
        raise Conflict(
            f"project {spec.name!r}: found other labels, task type or medium under taxonomy {spec.version} than Label Studio "
            f"project {home.number} was made with; give the changed taxonomy a new version"
        )
    mended = []
    for queue in mine:
        if queue.mark.annotator is not None and queue.mark.taxonomy != wanted.taxonomy:
            continue
        right = replace(_mark(spec, queue.mark.annotator), prelabels=queue.mark.prelabels)
        if queue.changed_by_hand and queue.mark.taxonomy == wanted.taxonomy:
            mended.append(f"label config of Label Studio project {queue.number} ({queue.mark.annotator or 'home'})")
        elif queue.mark == right:
            continue
        client.patch(f"/api/projects/{queue.number}/", _settings(spec, right))
    return home, tuple(mended)


def open_queue(client: LabelStudioClient, queues: ProjectQueues, annotator_id: str, *, prelabels: bool) -> Queue:
    """A queue for the person under the home's taxonomy, made like the home."""
    home = client.get(f"/api/projects/{queues.home.number}/")
    mark = replace(queues.home.mark, annotator=annotator_id, prelabels=prelabels)
    if queues.home.changed_by_hand:
        raise Conflict(
            f"project {mark.project!r}: the label config of Label Studio project {queues.home.number} was changed by hand; "
            f"call ensure_project, which puts it back"
        )
    copied = ("label_config", "show_instruction", "skip_queue", "maximum_annotations", "sampling")
    settings = {name: home[name] for name in copied} | _shown(mark, home["expert_instruction"])
    created = client.post("/api/projects/", {**settings, "title": _title(mark), "description": mark.text()})
    return Queue(created["id"], mark, created["label_config"], 0)


def _settings(spec: PlatformProjectSpec, mark: QueueMark) -> JsonObject:
    return {
        "label_config": label_config(spec),
        **_shown(mark, instructions_html(spec.instructions)),
        "show_instruction": True,
        "maximum_annotations": 1,
        "sampling": "Sequential sampling",
        # What somebody skips goes back to us, not to another person.
        "skip_queue": "IGNORE_SKIPPED",
        "description": mark.text(),
    }


def _shown(mark: QueueMark, instructions: str) -> JsonObject:
    return {
        "expert_instruction": f"{REVIEW_HTML if mark.prelabels else ''}{instructions}",
        "show_collab_predictions": mark.prelabels,
        "model_version": PRELABELS if mark.prelabels else "",
    }


def _mark(spec: PlatformProjectSpec, annotator_id: str | None) -> QueueMark:
    return QueueMark(
        project=spec.name,
        annotator=annotator_id,
        task_type=spec.task_type,
        media=spec.media,
        taxonomy=spec.version,
        config=config_hash(spec),
        guideline=short_hash(spec.instructions),
    )


def _title(mark: QueueMark) -> str:
    """Label Studio wants 3 to 50 characters; the mark, not the title, says what a project is."""
    title = f"{mark.project} - {mark.annotator or 'home'}{REVIEW_TITLE if mark.prelabels else ''}"
    return title if len(title) <= TITLE_LIMIT else f"{title[: TITLE_LIMIT - 3]}..."


def rows_of(
    client: LabelStudioClient, queue: Queue, *, filters: Sequence[JsonObject], include: str, limit: int, page: int = 1
) -> list[JsonObject]:
    """One page of a queue's tasks that pass the filters, by change time; past the end there is nothing."""
    query = {"filters": {"conjunction": "and", "items": list(filters)}, "ordering": ["tasks:updated_at"]}
    parameters: Mapping[str, str | int] = {
        "project": queue.number,
        "page": page,
        "page_size": limit,
        "fields": "all" if "annotations" in include.split(",") else "task_only",
        "include": include,
        "resolve_uri": "false",
        "query": json.dumps(query),
    }
    rows: list[JsonObject] = client.get("/api/tasks/", **parameters)["tasks"]
    return rows


def filtered(column: str, operator: str, value: object, kind: str) -> JsonObject:
    """A filter of Label Studio's data manager."""
    return {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}
