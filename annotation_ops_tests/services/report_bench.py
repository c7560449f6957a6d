"""A ledger with a history of batches, judged for real: as many annotators, batches and odd names as a test wants."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.domain.batches import BatchPurpose, BatchState, attempt_key
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.taxonomy import Label
from annotation_ops.domain.project.workforce import Annotator
from annotation_ops.domain.records import (
    Annotation,
    Attempt,
    Batch,
    Incident,
    IncidentState,
    JsonObject,
    LabelCommit,
    Task,
    content_key,
    task_key,
)
from annotation_ops.services.judge import JudgeReport, judge_attempt
from annotation_ops_tests.services.workshop import digits

START = date(2026, 3, 2)


@dataclass
class Bench:
    """`project` with its own people and labels over a real ledger."""

    ledger: SqlLedger
    project: AnnotationProject

    @classmethod
    def build(cls, home: Path, *, people: Sequence[str], labels: Sequence[str] = ("cat", "dog", "fox")) -> "Bench":
        home.mkdir(parents=True, exist_ok=True)
        ledger = SqlLedger(f"sqlite:///{home / 'ledger.sqlite'}")
        ledger.initialise()
        base = digits()
        cohorts = ("north", "south", "west")
        annotators = tuple(
            Annotator(name, cohorts[n % 3], ("digits",), ("en",), (), "eu", 60, n == 0) for n, name in enumerate(people)
        )
        taxonomy = replace(base.taxonomy, labels=tuple(Label(name, "", n == 1) for n, name in enumerate(labels)))
        criteria = replace(base.criteria, mode="not_worse", margin=0.05, min_overlap_tasks=20)
        workforce = replace(base.workforce, annotators=annotators)
        project = replace(base, taxonomy=taxonomy, criteria=criteria, workforce=workforce)
        return cls(ledger, project)

    @property
    def people(self) -> tuple[str, ...]:
        return tuple(person.annotator_id for person in self.project.workforce.annotators)

    def batch(self, number: int, *, attempt: int = 1, purpose: BatchPurpose = BatchPurpose.ACTIVE) -> str:
        """Plans an attempt that people have finished; returns its key."""
        day = START + timedelta(days=7 * number)
        batch_id = f"{day}-audit-model-01" if purpose is BatchPurpose.AUDIT else f"{day}-{purpose}-01"
        at = moment(number, attempt)
        planned = Attempt(batch_id, attempt, self.project.name, BatchState.COMPLETE, at, completed_at=at)
        with self.ledger.transaction(actor="system", at=at) as tx:
            if attempt == 1:
                tx.add_batch(
                    Batch(batch_id, self.project.name, day, purpose, self.project.versions, 3, at, model_version="4")
                )
            tx.add_attempt(planned)
            tx.audit("batch.planned", batch_id, {})
        return attempt_key(batch_id, attempt)

    def annotate(
        self,
        key: str,
        *,
        tasks: int = 60,
        overlap: int = 3,
        skill: float = 0.95,
        weak: dict[str, float] | None = None,
        seed: int = 0,
        seconds: float | None = 8.0,
    ) -> None:
        """People answer; neighbouring labels are mistaken for each other. `weak` names people with a skill of their own."""
        batch_id, number = key.rsplit(".a", 1)
        rng = np.random.default_rng([seed, int(number), *map(ord, batch_id)])
        at = self.ledger.attempt(self.project.name, batch_id, int(number)).planned_at
        names, labels = self.people, self.project.taxonomy.names
        share = 1 / np.arange(1, len(labels) + 1)
        truth = rng.choice(len(labels), size=tasks, p=share / share.sum())
        made, answers = [], []
        for position in range(tasks):
            task = self._task(batch_id, int(number), position)
            made.append(task)
            for person in rng.choice(len(names), size=min(overlap, len(names)), replace=False):
                able = (weak or {}).get(names[person], skill)
                right = rng.random() < able
                label = labels[truth[position] if right else (truth[position] + 1) % len(labels)]
                lead = None if seconds is None else float(np.round(rng.lognormal(np.log(seconds), 0.6), 2))
                answers.append(_annotation(task.task_key, names[person], {"label": label}, at=at, seconds=lead))
        with self.ledger.transaction(actor="system", at=at) as tx:
            tx.add_tasks(self.project.name, made)
            tx.add_annotations(answers)
            tx.audit("annotation.collected", key, {})

    def answer(self, key: str, value: JsonObject, *, tasks: int) -> None:
        """Everybody gives the same answer to every task, whatever the task type."""
        batch_id, number = key.rsplit(".a", 1)
        at = self.ledger.attempt(self.project.name, batch_id, int(number)).planned_at
        made = [self._task(batch_id, int(number), position) for position in range(tasks)]
        given = [_annotation(task.task_key, who, value, at=at, seconds=8.0) for task in made for who in self.people]
        with self.ledger.transaction(actor="system", at=at) as tx:
            tx.add_tasks(self.project.name, made)
            tx.add_annotations(given)
            tx.audit("annotation.collected", key, {})

    def judge(self, key: str) -> JudgeReport:
        return judge_attempt(self.project, key, ledger=self.ledger, now=self._after(key, hours=5))

    def publish(self, key: str, *, labels: int) -> None:
        batch_id, number = key.rsplit(".a", 1)
        at = self._after(key, hours=6)
        commit = LabelCommit(content_key(key), self.project.name, batch_id, int(number), labels, None, at)
        with self.ledger.transaction(actor="system", at=at) as tx:
            tx.add_label_commit(commit)
            tx.audit("labels.published", key, {})

    def incident(self, number: int, *, slices: tuple[str, ...] = ("scanner:b",)) -> None:
        at = moment(number, 1) + timedelta(days=1)
        found = Incident(
            f"i{number}", self.project.name, "digits", "4", "accuracy", slices, IncidentState.OPEN, at, {}, "run"
        )
        with self.ledger.transaction(actor="system", at=at) as tx:
            tx.put_incident(found)
            tx.audit("incident.opened", found.incident_id, {})

    def history(
        self, batches: int, *, rejected: Sequence[int] = (), weak: dict[str, float] | None = None, **how: int
    ) -> None:
        """Judged batches; the rejected ones fail first and come back."""
        for number in range(batches):
            tries = 2 if number in rejected else 1
            for attempt in range(1, tries + 1):
                key = self.batch(number, attempt=attempt)
                self.annotate(key, skill=0.7 if attempt < tries else 0.97, weak=weak, seed=number, **how)
                if self.judge(key).outcome == "PASS":
                    self.publish(key, labels=how.get("tasks", 60) - 2)

    def _after(self, key: str, *, hours: int) -> datetime:
        batch_id, number = key.rsplit(".a", 1)
        return self.ledger.attempt(self.project.name, batch_id, int(number)).planned_at + timedelta(hours=hours)

    def _task(self, batch_id: str, attempt: int, position: int) -> Task:
        sample = f"scan-{position:05d}"
        return Task(
            task_key=task_key(self.project.name, batch_id, attempt, sample, "d"),
            batch_id=batch_id,
            attempt=attempt,
            sample_id=sample,
            digest="d",
            uri=f"mem:{sample}",
            position=position,
            slices={},
            selection_reason="uncertain",
            inclusion_probability=None,
            uncertainty=None,
        )


def moment(number: int, attempt: int) -> datetime:
    """When an attempt is planned: a batch a week, an attempt a day."""
    return datetime(START.year, START.month, START.day, 9, tzinfo=UTC) + timedelta(days=7 * number + attempt - 1)


def _annotation(task: str, person: str, value: JsonObject, *, at: datetime, seconds: float | None) -> Annotation:
    return Annotation(
        annotation_key=content_key(task, person),
        task_key=task,
        annotator_id=person,
        value=value,
        submitted_at=at + timedelta(hours=3),
        collected_at=at + timedelta(hours=4),
        lead_time_seconds=seconds,
        platform_annotation_id="1",
    )
