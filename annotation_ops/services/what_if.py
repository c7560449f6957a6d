"""What if: past batches under other criteria. Which verdicts flip, and which label commits and models rest on those."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from annotation_ops.domain.batches import WITH_LABELS, parse_batch_id
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.criteria import Criteria
from annotation_ops.domain.records import JsonObject
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.evidence import material_of
from annotation_ops.services.judge import verdict_in_force, verdict_on

PAGE = 10_000
"""Audit entries read at a time."""


@dataclass(frozen=True, slots=True)
class Rejudged:
    """One attempt that was judged: the verdict in force beside what the other criteria say."""

    key: str
    in_force: str
    what_if: str
    reasons: tuple[str, ...]
    label_commits: tuple[str, ...]
    """Of this attempt."""
    models: tuple[str, ...]
    """Model versions trained on them."""

    @property
    def flips(self) -> bool:
        return self.in_force != self.what_if

    def document(self) -> JsonObject:
        return {
            "batch": self.key,
            "in_force": self.in_force,
            "what_if": self.what_if,
            "flips": self.flips,
            "reasons": list(self.reasons),
            "label_commits": list(self.label_commits),
            "models": list(self.models),
        }


def what_if(project: AnnotationProject, criteria: Criteria, *, ledger: Ledger) -> tuple[Rejudged, ...]:
    """Every judged attempt of labels under other criteria, by key. Reads only: nothing is recorded and nothing moves."""
    other = replace(project, criteria=criteria)
    commits = ledger.label_commits(project.name)
    position = {commit.commit_id: at for at, commit in enumerate(commits)}
    trained = [(position[commit], model) for commit, model in _trainings(project, ledger=ledger) if commit in position]
    found = []
    for attempt in ledger.attempts(project.name):
        verdict = verdict_in_force(project.name, attempt.key, ledger=ledger)
        if verdict is None or parse_batch_id(attempt.batch_id)[1] not in WITH_LABELS:
            continue
        again = verdict_on(other, attempt, material_of(other, attempt, ledger=ledger))
        own = [one for one in commits if (one.batch_id, one.attempt) == (attempt.batch_id, attempt.number)]
        first = position[own[0].commit_id] if own else len(commits)
        # A training reads the whole table as of its commit, so it saw every commit before that one.
        models = dict.fromkeys(model for at, model in trained if at >= first)
        found.append(
            Rejudged(
                attempt.key,
                verdict.outcome,
                again.outcome.value,
                tuple(reason.text for reason in again.reasons),
                tuple(commit.commit_id for commit in own),
                tuple(models),
            )
        )
    return tuple(found)


def _trainings(project: AnnotationProject, *, ledger: Ledger) -> Iterator[tuple[str, str]]:
    """(label commit, model version) of every training, as the audit trail tells it."""
    after = 0
    while entries := ledger.audit_entries(after=after, limit=PAGE):
        for entry in entries:
            body = json.loads(entry.body)
            if body["event"] == "training.requested" and body["details"]["project"] == project.name:
                yield body["details"]["commit"], str(body["details"]["model_version"] or body["details"]["run"])
        after = entries[-1].seq
