from datetime import timedelta

import pytest

from annotation_ops.domain.conductor import decide
from annotation_ops.domain.errors import NotFound, TransientError
from annotation_ops.services.status import loop_state
from annotation_ops_tests.services.workshop import Workshop, digits

EAGER = digits((("monitor.yaml", "min_new_labels: 50", "min_new_labels: 6"),))


def due(workshop: Workshop) -> list[str]:
    state = loop_state(workshop.project, ledger=workshop.ledger, now=workshop.clock.now())
    return [item.stage for item in decide(state, workshop.clock.now(), collect_every=timedelta()).due]


def test_a_training_is_asked_for_on_the_newest_commit_and_a_pinned_table(workshop: Workshop) -> None:
    published = workshop.complete()

    receipt = workshop.train()

    (request,) = workshop.trigger.requests
    assert (request.label_commit, request.features_version) == (published.commit_id, published.lake_version)
    assert request.features_uri.endswith("/label_features")
    assert receipt.run_id == "training-1"
    assert workshop.events()[-1] == "training.requested"


def test_the_same_commit_never_trains_twice(workshop: Workshop) -> None:
    workshop.complete()
    first = workshop.train()

    assert workshop.train() == first
    assert len(workshop.trigger.trained) == 1


def test_a_correction_is_a_commit_to_train_on(workshop: Workshop) -> None:
    workshop.complete()
    workshop.train()
    workshop.work(1)
    workshop.relabel(0, "8", "8", "8")
    workshop.collect()
    workshop.publish()

    workshop.train()

    assert [request.label_commit for request in workshop.trigger.requests] == [
        commit.commit_id for commit in workshop.ledger.label_commits("digits")
    ]


def test_nothing_published_is_nothing_to_train_on(workshop: Workshop) -> None:
    with pytest.raises(NotFound, match="nothing is published yet"):
        workshop.train()


def test_enough_new_labels_make_a_training_due_once(workshop: Workshop) -> None:
    workshop.project = EAGER
    workshop.complete()
    assert due(workshop) == ["train"]

    workshop.train()

    assert due(workshop) == []


def test_a_batch_whose_rows_are_not_all_written_is_not_trained_on(workshop: Workshop) -> None:
    workshop.project = EAGER
    workshop.annotate()
    workshop.judge()
    workshop.tracking.go_away()
    with pytest.raises(TransientError):
        workshop.publish()
    assert len(workshop.ledger.label_commits("digits")) == 1

    assert due(workshop) == ["publish"]
    with pytest.raises(TransientError, match="not all in the feature table yet"):
        workshop.train()

    workshop.tracking.come_back()
    workshop.publish()
    assert due(workshop) == ["train"]
