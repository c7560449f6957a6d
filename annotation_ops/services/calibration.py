"""Calibration: who is due for a round of gold tasks, and the rounds as batches of their own.

Planning a round is all that happens here: it is then sent, collected and graded like any other batch.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from annotation_ops.domain.batches import BatchState, attempt_key, calibration_batch_id, parse_batch_id
from annotation_ops.domain.errors import NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.agreement.report import CATEGORICAL
from annotation_ops.domain.records import Attempt, JsonObject, content_key
from annotation_ops.domain.workforce.calibration import CalibrationPlan, plan_round
from annotation_ops.domain.workforce.rounds import DueRound, due_round
from annotation_ops.domain.workforce.skill import Confusion
from annotation_ops.domain.workforce.standing import Need
from annotation_ops.domain.workforce.training_pack import TrainingPack
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.annotators import WorkforceReport, flagged_packs, report_workforce
from annotation_ops.services.certification import ONE_CLASS, calibration_attempts, rules_of
from annotation_ops.services.plan import plan_calibration
from annotation_ops.services.published_labels import gold_row, sure_labels

UNDER_WAY = frozenset({BatchState.PLANNED, BatchState.IN_ANNOTATION, BatchState.COMPLETE})


@dataclass(frozen=True, slots=True)
class PlannedRound:
    key: str
    due: DueRound
    plan: CalibrationPlan

    def document(self) -> JsonObject:
        return {"attempt": self.key, "need": self.due.need.value, "why": self.due.why, **self.plan.document()}


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    workforce: WorkforceReport
    planned: tuple[PlannedRound, ...]
    waiting: tuple[DueRound, ...]
    """Due later, or as soon as there is gold enough."""
    n_gold: int
    """Labels sure enough to test people with."""
    n_wanted: int
    """Gold tasks that one round takes."""
    packs: Mapping[str, TrainingPack]
    """Of everybody who is to train now."""

    def document(self) -> JsonObject:
        return {
            "planned": [one.document() for one in self.planned],
            "waiting": [
                {
                    "annotator_id": one.annotator_id,
                    "need": one.need.value,
                    "due_at": one.due_at.isoformat(),
                    "why": one.why,
                }
                for one in self.waiting
            ],
            "n_gold": self.n_gold,
            "n_wanted": self.n_wanted,
        }


def calibrate(
    project: AnnotationProject,
    *,
    ledger: Ledger,
    lake: Lake,
    now: datetime,
    only: Collection[str] = (),
    dry_run: bool = False,
) -> CalibrationReport:
    """Plans the rounds that are due; nobody gets a second one while one is under way.

    Without `only`, everybody whose standing asks for a round gets one when it is due. The people of `only` get one now, whatever
    their standing. Where fewer labels are sure than a round takes, nothing is planned and all wait.
    Raises NotFound for a person of `only` who is not declared.
    """
    _require_declared(project, only)
    workforce = report_workforce(project, ledger=ledger, now=now)
    attempts = calibration_attempts(project, ledger=ledger)
    gold = sure_labels(project, lake=lake)
    due = _due(project, workforce, attempts, only=only, now=now)
    size = rules_of(project).size
    packs = flagged_packs(project, report=workforce, ledger=ledger, lake=lake)
    ready = [one for one in due if one.due_at <= now] if len(gold) >= size else []
    planned = [
        _plan(project, one, workforce, attempts.get(one.annotator_id, ()), gold, packs, ledger=ledger, now=now)
        for one in ready
    ]
    if not dry_run:
        for one in planned:
            rows = [gold_row(gold[sample]) for sample in one.plan.tasks]
            plan_calibration(project, one.key.rpartition(".a")[0], rows, ledger=ledger, now=now)
    waiting = tuple(one for one in due if one not in ready)
    return CalibrationReport(workforce, tuple(planned), waiting, len(gold), size, packs)


def standings_cause(project: AnnotationProject, *, ledger: Ledger, now: datetime) -> str:
    """A content key that changes whenever somebody's standing may have: a verdict, another version of a document, a new day."""
    judged = [attempt.judged_at for attempt in ledger.attempts(project.name) if attempt.judged_at is not None]
    versions = [document.content_hash for document in project.documents]
    return content_key("standings", now.date().isoformat(), str(max(judged, default="")), *versions)


def _require_declared(project: AnnotationProject, names: Collection[str]) -> None:
    for name in sorted(names):
        if project.workforce.person(name) is None:
            known = ", ".join(person.annotator_id for person in project.workforce.annotators)
            raise NotFound(f"annotator {name!r}: not found in workforce.yaml, expected one of {known}")


def _due(
    project: AnnotationProject,
    workforce: WorkforceReport,
    attempts: Mapping[str, Sequence[Attempt]],
    *,
    only: Collection[str],
    now: datetime,
) -> list[DueRound]:
    declared = project.workforce.calibration
    found = []
    for one in workforce.annotators:
        name = one.annotator_id
        states = {attempt.state for attempt in attempts.get(name, ())[-1:]}
        if states & UNDER_WAY:
            continue
        if name in only:
            need = one.standing.needs if one.standing.needs is not Need.NOTHING else Need.RECERTIFICATION
            found.append(DueRound(name, need, now, f"asked for; {one.standing.reason}"))
        # A round that nobody answered is not sent again and again: a lead asks first.
        elif not only and declared is not None and BatchState.ESCALATED not in states:
            results = [r for r in workforce.results.get(name, ()) if r.task_type == project.contract.task_type]
            flagging = workforce.flaggings.get(name)
            due = due_round(one.standing, results=results, flagging=flagging, pause=declared.pause, now=now)
            found += [due] if due is not None else []
    return found


def _plan(
    project: AnnotationProject,
    due: DueRound,
    workforce: WorkforceReport,
    earlier: Sequence[Attempt],
    gold: Mapping[str, Mapping[str, Any]],
    packs: Mapping[str, TrainingPack],
    *,
    ledger: Ledger,
    now: datetime,
) -> PlannedRound:
    name, day = due.annotator_id, now.date()
    number = 1 + sum(parse_batch_id(attempt.batch_id)[0] == day for attempt in earlier)
    batch_id = calibration_batch_id(day, name, number)
    seen = {sample for sample, row in gold.items() if name in row["annotators"]}
    for attempt in earlier:
        seen |= {task.sample_id for task in ledger.tasks(project.name, attempt.batch_id, attempt.number)}
    if name in packs:
        seen |= {sample for lesson in packs[name].lessons for sample in lesson.practice}
    one_label = project.contract.task_type in CATEGORICAL
    plan = plan_round(
        name,
        task_type=project.contract.task_type,
        gold={sample: row["label"] if one_label else ONE_CLASS for sample, row in gold.items()},
        size=rules_of(project).size,
        confusions=_confusions(name, workforce),
        seen=seen,
        seed=int(content_key("calibration", project.name, batch_id)[:8], 16),
    )
    return PlannedRound(attempt_key(batch_id, 1), due, plan)


def _confusions(name: str, workforce: WorkforceReport) -> tuple[Confusion, ...]:
    """What the person confuses in recent work; where that is not known, in the last round."""
    skill = next((one.skill for one in workforce.annotators if one.annotator_id == name), None)
    if skill is not None and skill.confusions:
        return skill.confusions
    errors = [error for result in workforce.results.get(name, ())[-1:] for error in result.errors]
    return tuple(Confusion(label, answer, 1.0) for _, answer, label in errors)
