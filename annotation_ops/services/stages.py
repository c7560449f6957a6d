"""The stages after a verdict: labels of an attempt that passed are reviewed, adjudicated and audited before they are published.

Each stage is a batch of its own about the attempt, so that waiting for people costs nothing and survives everything a batch
survives. A reviewer sees the label and is never one of its authors; an adjudicator, who settles what is open, sees none, and
is neither author nor reviewer. When a stage is settled, its attempt is judged again, which decides what comes next.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from annotation_ops.domain.batches import (
    STAGES,
    BatchPurpose,
    BatchState,
    parse_attempt_key,
    parse_batch_id,
    stage_batch_id,
    staged_attempt,
)
from annotation_ops.domain.errors import Conflict, NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.workforce import StageRole, Workforce
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.quality.review import Reviewable, to_review
from annotation_ops.domain.records import (
    SYSTEM_ACTOR,
    Annotation,
    Attempt,
    JsonObject,
    Review,
    Task,
    VerdictRecord,
    content_key,
)
from annotation_ops.ports.ledger import Ledger, LedgerTransaction
from annotation_ops.services.judgements import consensus_of
from annotation_ops.services.published_labels import known_answer

Source = Literal["consensus", "review", "adjudication"]

ROLES: Mapping[BatchPurpose, StageRole] = {
    BatchPurpose.REVIEW: "reviewer",
    BatchPurpose.ADJUDICATION: "adjudicator",
    BatchPurpose.AUDIT: "auditor",
}


@dataclass(frozen=True, slots=True)
class About:
    """What a task of a review or an adjudication is about; the ledger keeps it as the task's selection reason."""

    purpose: BatchPurpose
    value: JsonObject | None
    """The label as it stands; None for one that is open."""
    people: tuple[str, ...]
    """Who had a part in it, and may have none in this stage."""
    why: str

    def as_reason(self) -> str:
        content = {"value": self.value, "people": list(self.people), "why": self.why}
        return f"{self.purpose.value}:{json.dumps(content, sort_keys=True)}"

    @classmethod
    def of_task(cls, task: Task) -> "About | None":
        """None for a task of any other kind of batch."""
        mark, _, content = task.selection_reason.partition(":")
        if mark not in (BatchPurpose.REVIEW, BatchPurpose.ADJUDICATION):
            return None
        stored = json.loads(content)
        return cls(BatchPurpose(mark), stored["value"], tuple(stored["people"]), stored["why"])


def prelabel_of(task: Task) -> JsonObject | None:
    """What is shown as the answer so far: to reviewers the label, to everybody else nothing."""
    about = About.of_task(task)
    return about.value if about is not None and about.purpose is BatchPurpose.REVIEW else None


def sample_row(task: Task) -> dict[str, Any]:
    """A task's sample as a row to plan a task from."""
    return {
        "sample_id": task.sample_id,
        "digest": task.digest,
        "uri": task.uri,
        "slices": json.dumps(dict(task.slices)),
        "selection_reason": task.selection_reason,
        "inclusion_probability": task.inclusion_probability,
        "uncertainty": task.uncertainty,
    }


@dataclass(frozen=True, slots=True)
class Label:
    """What an attempt says about one task after the stages so far."""

    task: Task
    answer: FusedAnswer
    source: Source
    people: tuple[str, ...]
    """Who it came from."""
    involved: tuple[str, ...]
    """Those and whoever reviewed it: they know the label, so a later stage does not ask them."""
    open: bool
    """It waits for a person: a tie, less sure than the criteria allow, or corrected by a reviewer and not adjudicated yet."""

    @property
    def confidence(self) -> float | None:
        """Of the consensus; None where a person settled the label, which no statistic speaks about."""
        return self.answer.confidence if self.source == "consensus" else None


def labels_of(project: AnnotationProject, key: str, *, ledger: Ledger) -> list[Label]:
    """The labels of an attempt in the order of the consensus; hidden gold tasks and tasks without an answer have none."""
    batch_id, number = parse_attempt_key(key)
    tasks = {task.task_key: task for task in ledger.tasks(project.name, batch_id, number)}
    annotations = ledger.annotations(project.name, batch_id, number)
    people = defaultdict(list)
    for annotation in annotations:
        people[annotation.task_key].append(annotation.annotator_id)
    reviewed = _answers(project, key, BatchPurpose.REVIEW, ledger=ledger)
    adjudicated = _answers(project, key, BatchPurpose.ADJUDICATION, ledger=ledger)
    found = []
    for answer in consensus_of(project, annotations):
        task = tasks[answer.task_id]
        if known_answer(task) is not None:
            continue
        sample, authors = (task.sample_id, task.digest), sorted(people[answer.task_id])
        later = [stage[sample].annotator_id for stage in (reviewed, adjudicated) if sample in stage]
        involved = tuple(sorted({*authors, *later}))
        label = Label(task, answer, "consensus", tuple(authors), involved, needs_human(project, answer))
        if sample in reviewed and reviewed[sample].value != answer.value:
            label = _decided(label, reviewed[sample], "review", open=project.workflow.adjudication)
        if sample in adjudicated:
            label = _decided(label, adjudicated[sample], "adjudication", open=False)
        found.append(label)
    return found


def _decided(label: Label, by: Annotation, source: Source, *, open: bool) -> Label:
    people = tuple(sorted({*label.people, by.annotator_id}))
    # What the judgements agreed on says nothing about another answer.
    answer = replace(label.answer, value=by.value, needs_human=False, agreement=None)
    return replace(label, answer=answer, source=source, people=people, open=open)


def _answers(
    project: AnnotationProject, key: str, stage: BatchPurpose, *, ledger: Ledger
) -> dict[tuple[str, str], Annotation]:
    """(sample id, digest) -> the answer of the stage about it; empty until the stage is settled."""
    batch_id = stage_batch_id(stage, key)
    if not _is_settled(project, batch_id, ledger=ledger):
        return {}
    samples = {task.task_key: (task.sample_id, task.digest) for task in ledger.tasks(project.name, batch_id, 1)}
    return {samples[one.task_key]: one for one in ledger.annotations(project.name, batch_id, 1)}


def _is_settled(project: AnnotationProject, batch_id: str, *, ledger: Ledger) -> bool:
    settled = ledger.attempts(project.name, states={BatchState.SETTLED})
    return any(attempt.batch_id == batch_id for attempt in settled)


def needs_human(project: AnnotationProject, answer: FusedAnswer) -> bool:
    """A tie, or an answer less sure than the criteria allow."""
    return answer.value is None or answer.needs_human or answer.confidence < project.criteria.min_confidence


def due_stage(project: AnnotationProject, key: str, *, audited: bool, ledger: Ledger) -> BatchPurpose | None:
    """The stage that an attempt which passed goes to next; None when it may be published."""
    for stage in (BatchPurpose.REVIEW, BatchPurpose.ADJUDICATION):
        settled = _is_settled(project, stage_batch_id(stage, key), ledger=ledger)
        if not settled and _chosen(project, key, stage, ledger=ledger):
            return stage
    audit = project.criteria.audit
    return BatchPurpose.AUDIT if audit is not None and audit.before_publishing and not audited else None


def stage_rows(project: AnnotationProject, batch_id: str, *, ledger: Ledger) -> list[Mapping[str, Any]]:
    """The tasks of a review or an adjudication. Raises NotFound when there is nothing to look at."""
    key, stage = staged_attempt(batch_id), parse_batch_id(batch_id)[1]
    chosen = _chosen(project, key, stage, ledger=ledger) if key is not None else {}
    if key is None or not chosen:
        raise NotFound(f"{batch_id}: found no label of {key} for {stage}, expected at least one")
    rows: list[Mapping[str, Any]] = []
    for label in labels_of(project, key, ledger=ledger):
        if label.task.task_key in chosen:
            shown = label.answer.value if stage is BatchPurpose.REVIEW else None
            about = About(stage, shown, label.involved, chosen[label.task.task_key])
            rows.append(
                {**sample_row(label.task), "selection_reason": about.as_reason(), "inclusion_probability": None}
            )
    return rows


def _chosen(project: AnnotationProject, key: str, stage: BatchPurpose, *, ledger: Ledger) -> dict[str, str]:
    """Task key -> why the stage looks at its label."""
    labels = labels_of(project, key, ledger=ledger)
    if stage is BatchPurpose.ADJUDICATION:
        open_ones = [label for label in labels if label.open]
        whys = {label.task.task_key: "corrected" if label.source == "review" else "open" for label in open_ones}
        return whys if project.workflow.adjudication else {}
    rules = project.workflow.review
    if rules is None:
        return {}
    batch_id, number = parse_attempt_key(key)
    sent = ledger.attempt(project.name, batch_id, number).dispatched_at
    last: dict[str, datetime] = {}
    for annotation in ledger.annotations(project.name, batch_id, number):
        known = last.get(annotation.task_key, annotation.submitted_at)
        last[annotation.task_key] = max(known, annotation.submitted_at)
    reviewable = [
        Reviewable(
            label.task.task_key,
            (label.answer.value or {}).get("label"),
            label.answer.agreement,
            last[label.task.task_key] - (sent or last[label.task.task_key]),
        )
        for label in labels
        if not label.open
    ]
    return to_review(reviewable, rules, draw=key)


def people_for(project: AnnotationProject, stage: BatchPurpose) -> Workforce:
    """Those who may work on a stage."""
    able = tuple(person for person in project.workforce.annotators if person.may(ROLES[stage]))
    return replace(project.workforce, annotators=able)


def settle_stage(project: AnnotationProject, attempt: Attempt, *, ledger: Ledger, now: datetime) -> VerdictRecord:
    """Records what a COMPLETE review or adjudication decided, and sends its attempt to be judged again.

    A review is written down for every judgement behind the label: `accepted` when the reviewer says the same, else `corrected`.
    Settling twice changes nothing. Raises Conflict while people work on it.
    """
    recorded = [v for v in ledger.verdicts(project.name, attempt.batch_id) if v.attempt == attempt.number]
    if attempt.state is BatchState.SETTLED and recorded:
        return recorded[-1]
    key = staged_attempt(attempt.batch_id)
    if attempt.state is not BatchState.COMPLETE or key is None:
        raise Conflict(
            f"{attempt.key}: found state {attempt.state}, expected complete; it is settled when it is answered"
        )
    reviews, document = _result(project, attempt, key, ledger=ledger)
    said = document["reasons"][0]["text"]
    record = VerdictRecord(attempt.batch_id, attempt.number, "PASS", project.pinned("criteria"), document, now)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        for declared in project.documents:
            tx.add_document_version(project.name, declared.kind, declared.version, declared.content_hash, declared.body)
        for review in reviews:
            tx.add_review(replace(review, reviewed_at=now))
        tx.add_verdict(project.name, record)
        tx.move_attempt(
            attempt.batch_id,
            attempt.number,
            project=project.name,
            expect={BatchState.COMPLETE},
            to=BatchState.SETTLED,
            at=now,
            reason=said,
        )
        release_stage(project, key, parse_batch_id(attempt.batch_id)[1], ledger=ledger, tx=tx, now=now)
        tx.audit("stage.settled", attempt.key, {"project": project.name, "about": key, "result": said})
    return record


def _result(
    project: AnnotationProject, attempt: Attempt, key: str, *, ledger: Ledger
) -> tuple[list[Review], JsonObject]:
    about = {
        task.task_key: (task, found)
        for task in ledger.tasks(project.name, attempt.batch_id, attempt.number)
        if (found := About.of_task(task)) is not None
    }
    tasks = {(t.sample_id, t.digest): t.task_key for t in ledger.tasks(project.name, *parse_attempt_key(key))}
    judgements = defaultdict(list)
    for one in ledger.annotations(project.name, *parse_attempt_key(key)):
        judgements[one.task_key].append(one)
    answers = ledger.annotations(project.name, attempt.batch_id, attempt.number)
    asked: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    reviews = []
    for answer in answers:
        task, found = about[answer.task_key]
        asked[found.why] += 1
        changed[found.why] += answer.value != found.value
        for judged in judgements[tasks[task.sample_id, task.digest]]:
            reviews.append(
                Review(
                    review_key=content_key("review", judged.annotation_key, answer.annotation_key),
                    annotation_key=judged.annotation_key,
                    reviewer_id=answer.annotator_id,
                    decision="accepted" if judged.value == answer.value else "corrected",
                    comment=found.why,
                    reviewed_at=answer.submitted_at,
                )
            )
    stage = parse_batch_id(attempt.batch_id)[1]
    total = sum(changed.values())
    ended = f"{total} of them corrected" if stage is BatchPurpose.REVIEW else "each by one answer"
    word = "reviewed" if stage is BatchPurpose.REVIEW else "adjudicated"
    text = f"{len(answers)} of {len(about)} labels {word}, {ended}"
    by_why = {why: {"answered": asked[why], "changed": changed[why]} for why in sorted(asked)}
    return reviews, {"verdict": "PASS", "reasons": [{"code": word, "text": text}], stage.value: by_why}


def release_stage(
    project: AnnotationProject, key: str, stage: BatchPurpose, *, ledger: Ledger, tx: LedgerTransaction, now: datetime
) -> None:
    """Lets the attempt that waits for this stage be judged again; one that a person moved on meanwhile stays where it is."""
    batch_id, number = parse_attempt_key(key)
    waiting = {state for state, purpose in STAGES.items() if purpose is stage}
    if ledger.attempt(project.name, batch_id, number).state in waiting:
        tx.move_attempt(
            batch_id,
            number,
            project=project.name,
            expect=waiting,
            to=BatchState.COMPLETE,
            at=now,
            reason=f"its {stage} is settled: the verdict is given with it",
        )
