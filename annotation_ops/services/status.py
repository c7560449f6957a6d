"""What the ledger says about one project: the conductor's input, and what `annotation-ops status` shows."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from annotation_ops.domain.batches import parse_batch_id
from annotation_ops.domain.conductor import LoopState, Ranking
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import Attempt, JsonObject
from annotation_ops.domain.workforce import sla
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services import train
from annotation_ops.services.certification import certified_people
from annotation_ops.services.collect import collected_at
from annotation_ops.services.doorbell import rung_at
from annotation_ops.services.judge import verdict_in_force
from annotation_ops.services.overlap import UNANSWERED
from annotation_ops.services.rank import ranking_cursor


def loop_state(project: AnnotationProject, *, ledger: Ledger, now: datetime) -> LoopState:
    """Reads everything `decide` needs; writes nothing."""
    ranking = ledger.cursor(ranking_cursor(project.name))
    trained = ledger.cursor(train.cursor_name(project.name))
    commits = ledger.label_commits(project.name)
    last_trained = train.Trained.from_cursor(trained) if trained else None
    monitor = project.monitor
    publishing = train.being_published(project.name, ledger=ledger) is not None
    return LoopState(
        project=project.name,
        ranking=Ranking.from_cursor(ranking) if ranking else None,
        attempts=ledger.attempts(project.name),
        incidents=ledger.incidents(project.name),
        batch_size=project.workflow.batch_size,
        max_open_batches=project.workflow.max_open_batches,
        last_recorded_at=ledger.last_recorded_at(),
        last_collected_at=collected_at(project.name, ledger=ledger),
        doorbell_at=rung_at(project.name, ledger=ledger),
        last_commit=commits[-1].commit_id if commits and not publishing else None,
        last_trained_commit=last_trained.commit if last_trained else None,
        labels_since_training=sum(
            commit.n_labels for commit in commits[last_trained.n_commits if last_trained else 0 :]
        ),
        overlap=project.workflow.overlap,
        certified=_able(project, certified_people(project, ledger=ledger, now=now)),
        min_new_labels=monitor.min_new_labels if monitor is not None and monitor.training is not None else None,
    )


def _able(project: AnnotationProject, certified: Collection[str] | None) -> int | None:
    """How many of them may judge one task: with distinct cohorts one a cohort."""
    if certified is None:
        return None
    people = [person for person in project.workforce.annotators if person.annotator_id in certified]
    return len({person.cohort for person in people}) if project.routing.distinct_cohorts else len(people)


@dataclass(frozen=True, slots=True)
class AttemptStatus:
    """Where one attempt stands."""

    attempt: Attempt
    tasks: int
    judgements: int
    missing: int
    """Judgements that people were asked for and have not given."""
    verdict: str | None

    def document(self) -> JsonObject:
        """As `status --json` and the REST API show it."""
        return {
            "attempt": self.attempt.key,
            "state": self.attempt.state.value,
            "purpose": parse_batch_id(self.attempt.batch_id)[1].value,
            "reason": self.attempt.state_reason,
            "tasks": self.tasks,
            "judgements": self.judgements,
            "missing": self.missing,
            "due_at": self.attempt.due_at.isoformat() if self.attempt.due_at else None,
            "verdict": self.verdict,
        }


def attempt_status(project: AnnotationProject, attempt: Attempt, *, ledger: Ledger) -> AttemptStatus:
    """Counts what is there; writes nothing."""
    of = (project.name, attempt.batch_id, attempt.number)
    states = [assignment.state for assignment in ledger.assignments(*of)]
    verdict = verdict_in_force(project.name, attempt.key, ledger=ledger)
    return AttemptStatus(
        attempt,
        len(ledger.tasks(*of)),
        len(ledger.annotations(*of)),
        sum(state in UNANSWERED for state in states),
        verdict.outcome if verdict is not None else None,
    )


def deadline(
    project: AnnotationProject, attempt: Attempt, *, ledger: Ledger, now: datetime
) -> tuple[int, sla.SlaForecast]:
    """(missing judgements, forecast) of an attempt in people's hands, from the pace of its judgements so far."""
    of = (project.name, attempt.batch_id, attempt.number)
    missing = sum(assignment.state in UNANSWERED for assignment in ledger.assignments(*of))
    done = [annotation.submitted_at for annotation in ledger.annotations(*of)]
    due_at = attempt.due_at or sla.due_at(attempt.planned_at, contract=project.contract)
    return missing, sla.forecast(done, missing, now, due_at, started_at=attempt.dispatched_at)
