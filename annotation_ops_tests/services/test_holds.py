"""Holding an attempt: nothing is decided about it until it is released to where it was."""

import pytest

from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.conductor import decide
from annotation_ops.domain.errors import Conflict, InvalidInput
from annotation_ops.services.govern import hold, release
from annotation_ops.services.status import loop_state
from annotation_ops_tests.services.workshop import FIRST, Workshop


def stop(shop: Workshop, *, reason: str = "look first") -> BatchState:
    return hold(shop.project, FIRST, actor="lea", reason=reason, ledger=shop.ledger, now=shop.clock.now()).state


def free(shop: Workshop) -> BatchState:
    return release(shop.project, FIRST, actor="lea", reason="looked", ledger=shop.ledger, now=shop.clock.now()).state


def due(shop: Workshop) -> list[str]:
    now = shop.clock.now()
    state = loop_state(shop.project, ledger=shop.ledger, now=now)
    return [one.key for one in decide(state, now, collect_every=shop.clock.now() - shop.clock.now()).due if one.key]


def test_a_held_attempt_waits_in_every_state_and_goes_on_from_there(workshop: Workshop) -> None:
    steps = (
        lambda: workshop.plan(),
        lambda: workshop.dispatch(),
        lambda: (workshop.work(), workshop.collect()),
        workshop.judge,
    )
    for step, state in zip(
        steps, (BatchState.PLANNED, BatchState.IN_ANNOTATION, BatchState.COMPLETE, BatchState.PASSED), strict=True
    ):
        step()
        assert workshop.attempt().state is state
        stamps = workshop.attempt()
        assert stop(workshop) is BatchState.HELD
        assert FIRST not in due(workshop)
        assert free(workshop) is state
        assert workshop.attempt().completed_at == stamps.completed_at
        assert workshop.attempt().held_from is None


def test_a_held_batch_is_not_published(workshop: Workshop) -> None:
    workshop.annotate()
    workshop.judge()
    stop(workshop)
    with pytest.raises(Conflict, match="found the state held"):
        workshop.publish()
    assert workshop.attempt().state is BatchState.HELD
    assert workshop.ledger.label_commits("digits") == ()
    assert workshop.current_labels() == {}
    free(workshop)
    assert workshop.publish().labels == 6


def test_answers_given_during_a_hold_are_there_after_it(workshop: Workshop) -> None:
    workshop.send()
    stop(workshop)
    workshop.work()
    assert workshop.collect().completed == ()
    free(workshop)

    assert workshop.collect().completed == (FIRST,)
    assert len(workshop.annotations()) == 18


def test_a_held_attempt_is_not_judged_and_its_answers_are_collected_all_the_same(workshop: Workshop) -> None:
    workshop.send()
    stop(workshop)
    now = workshop.clock.now()
    state = loop_state(workshop.project, ledger=workshop.ledger, now=now)
    assert [one.stage for one in decide(state, now, collect_every=now - now).due] == ["collect"]
    with pytest.raises(Conflict, match="found state held"):
        workshop.judge()
    assert workshop.ledger.verdicts("digits") == ()


def test_what_is_published_cannot_be_held(workshop: Workshop) -> None:
    workshop.complete()
    with pytest.raises(Conflict, match="found the state published"):
        stop(workshop)
    with pytest.raises(Conflict):
        free(workshop)


def test_a_hold_needs_a_reason_and_is_in_the_audit_trail(workshop: Workshop) -> None:
    workshop.plan()
    with pytest.raises(InvalidInput, match="expected a person and a reason"):
        stop(workshop, reason=" ")
    stop(workshop)
    free(workshop)

    assert workshop.events()[-2:] == ["batch.held", "batch.released"]
