"""Training: when enough new labels are published, the user's training is started on a pinned table version."""

import json
from dataclasses import dataclass
from datetime import datetime

from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import NotFound, TransientError
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import SYSTEM_ACTOR, content_key
from annotation_ops.domain.tables import LABEL_FEATURES
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.ports.training_trigger import TrainingReceipt, TrainingRequest, TrainingTrigger


@dataclass(frozen=True, slots=True)
class Trained:
    """The newest label commit that a training was started on."""

    commit: str
    n_commits: int

    def as_cursor(self) -> str:
        return json.dumps({"commit": self.commit, "n_commits": self.n_commits}, sort_keys=True)

    @classmethod
    def from_cursor(cls, text: str) -> "Trained":
        stored = json.loads(text)
        return cls(commit=stored["commit"], n_commits=stored["n_commits"])


def cursor_name(project: str) -> str:
    return f"trained:{project}"


def being_published(project: str, *, ledger: Ledger) -> str | None:
    """The first attempt whose label commit is recorded but not (or, after a correction, not again) published.

    A training started meanwhile would read a table without its rows and count them as trained on.
    """
    committed = {(commit.batch_id, commit.attempt) for commit in ledger.label_commits(project)}
    waiting = ledger.attempts(project, states={BatchState.PASSED})
    return next((attempt.key for attempt in waiting if (attempt.batch_id, attempt.number) in committed), None)


def request_training(
    project: AnnotationProject, *, ledger: Ledger, lake: Lake, trigger: TrainingTrigger, lake_uri: str, now: datetime
) -> TrainingReceipt:
    """Starts the training for the newest label commit; the same commit never trains twice.

    Raises NotFound before the first label commit, TransientError while a batch is being published.
    """
    if (unfinished := being_published(project.name, ledger=ledger)) is not None:
        raise TransientError(
            f"{unfinished}: its label commit is recorded, its rows are not all in the feature table yet"
        )
    commits = ledger.label_commits(project.name)
    version = lake.version(LABEL_FEATURES)
    if not commits or version is None:
        raise NotFound(f"{project.name}: nothing is published yet, so there is nothing to train on")
    newest = commits[-1]
    request = TrainingRequest(
        request_key=content_key("training", project.name, newest.commit_id),
        project=project.name,
        label_commit=newest.commit_id,
        features_uri=f"{lake_uri}/{LABEL_FEATURES.name}",
        features_version=version,
        parameters={},
    )
    receipt = trigger.submit(request)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        tx.set_cursor(cursor_name(project.name), Trained(newest.commit_id, len(commits)).as_cursor())
        tx.audit(
            "training.requested",
            project.name,
            {
                "project": project.name,
                "commit": newest.commit_id,
                "run": receipt.run_id,
                "model_version": receipt.model_version,
            },
        )
    return receipt
