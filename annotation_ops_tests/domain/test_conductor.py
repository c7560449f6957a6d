from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.conductor import Decision, LoopState, Ranking, decide, relabel_batch_id
from annotation_ops.domain.records import Attempt, Incident, IncidentState

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
EVERY = timedelta(seconds=30)


def attempt(batch: str, state: BatchState, number: int = 1) -> Attempt:
    return Attempt(batch, number, "digits", state, planned_at=NOW)


def incident(
    name: str, *, opened: datetime = NOW, state: IncidentState = IncidentState.OPEN, batch: str | None = None
) -> Incident:
    return Incident(name, "digits", "m", "3", "accuracy", ("scanner:c",), state, opened, {}, "run", batch)


STATE = LoopState(
    project="digits",
    ranking=None,
    attempts=(),
    incidents=(),
    batch_size=60,
    max_open_batches=2,
    last_recorded_at=NOW,
    last_collected_at=None,
    doorbell_at=None,
    last_commit=None,
    last_trained_commit=None,
    labels_since_training=0,
    min_new_labels=50,
)


def due(state: LoopState, now: datetime = NOW) -> Decision:
    return decide(state, now, collect_every=EVERY)


def stages(decision: Decision) -> list[tuple[str, str]]:
    return [(item.stage, item.key) for item in decision.due]


def test_nothing_ranked_and_nothing_open_is_idle_with_a_reason() -> None:
    decision = due(STATE)

    assert decision.due == ()
    assert "nothing is ranked yet" in decision.idle


def test_each_state_leads_to_its_own_next_step() -> None:
    attempts = (
        attempt("2026-01-05-active-01", BatchState.PLANNED),
        attempt("2026-01-05-active-02", BatchState.COMPLETE),
        attempt("2026-01-05-active-03", BatchState.FAILED),
        attempt("2026-01-05-active-04", BatchState.PASSED),
        attempt("2026-01-05-active-05", BatchState.PUBLISHED),
        attempt("2026-01-05-active-06", BatchState.ESCALATED),
        attempt("2026-01-05-active-07", BatchState.INSUFFICIENT),
    )

    decision = due(replace(STATE, attempts=attempts))

    assert stages(decision) == [
        ("dispatch", "2026-01-05-active-01.a1"),
        ("judge", "2026-01-05-active-02.a1"),
        ("dispatch", "2026-01-05-active-03.a2"),
        ("publish", "2026-01-05-active-04.a1"),
        ("top_up", "2026-01-05-active-07.a1"),
    ]


def test_a_batch_that_waits_for_its_audit_gets_one_and_no_second() -> None:
    waiting = attempt("2026-01-05-active-01", BatchState.IN_AUDIT, number=2)
    planned = attempt("2026-01-05-audit-active-01-2", BatchState.SETTLED)

    assert stages(due(replace(STATE, attempts=(waiting,)))) == [("dispatch", "2026-01-05-audit-active-01-2.a1")]
    assert stages(due(replace(STATE, attempts=(waiting, planned)))) == []


def test_audits_and_calibrations_take_no_place_of_a_batch() -> None:
    ranked = replace(STATE, ranking=Ranking("2026-01-05", 120), max_open_batches=1)
    beside = (
        attempt("2026-01-04-audit-active-01-1", BatchState.IN_ANNOTATION),
        attempt("2026-01-04-calibration-ann-07-01", BatchState.IN_ANNOTATION),
    )

    assert ("dispatch", "2026-01-05-active-01.a1") in stages(due(replace(ranked, attempts=beside)))


def test_while_too_few_people_are_certified_only_calibrations_are_sent() -> None:
    attempts = (
        attempt("2026-01-04-active-01", BatchState.FAILED),
        attempt("2026-01-04-active-02", BatchState.COMPLETE),
        attempt("2026-01-04-active-03", BatchState.INSUFFICIENT),
        attempt("2026-01-04-calibration-ann-07-01", BatchState.PLANNED),
    )
    short = replace(STATE, attempts=attempts, ranking=Ranking("2026-01-05", 120), overlap=3, certified=2)

    assert stages(due(short)) == [
        ("judge", "2026-01-04-active-02.a1"),
        ("dispatch", "2026-01-04-calibration-ann-07-01.a1"),
    ]
    assert ("dispatch", "2026-01-04-active-01.a2") in stages(due(replace(short, certified=3)))
    assert ("dispatch", "2026-01-04-active-01.a2") in stages(due(replace(short, certified=None)))


def test_work_in_peoples_hands_is_collected_once_per_interval() -> None:
    state = replace(STATE, attempts=(attempt("2026-01-05-active-01", BatchState.IN_ANNOTATION),))

    first = due(state)
    soon = due(replace(state, last_collected_at=NOW), NOW + timedelta(seconds=5))
    later = due(replace(state, last_collected_at=NOW), NOW + timedelta(seconds=31))

    assert stages(first) == [("collect", "")]
    assert soon.due == ()
    assert stages(later) == [("collect", "")]
    assert first.due[0].run_key != later.due[0].run_key


def test_a_ring_since_the_last_collection_collects_at_once() -> None:
    state = replace(STATE, attempts=(attempt("2026-01-05-active-01", BatchState.IN_ANNOTATION),), last_collected_at=NOW)
    soon = NOW + timedelta(seconds=3)

    assert stages(due(replace(state, doorbell_at=NOW + timedelta(seconds=1)), soon)) == [("collect", "")]
    assert due(replace(state, doorbell_at=NOW), soon).due == ()
    assert due(replace(state, doorbell_at=NOW - timedelta(seconds=1)), soon).due == ()
    assert due(replace(STATE, last_collected_at=NOW, doorbell_at=soon), soon).due == ()


def test_collecting_that_failed_is_the_same_piece_of_work_until_it_succeeds() -> None:
    state = replace(STATE, attempts=(attempt("2026-01-05-active-01", BatchState.IN_ANNOTATION),), last_collected_at=NOW)
    ways = [
        due(replace(state, doorbell_at=NOW + timedelta(seconds=bell)), NOW + timedelta(seconds=31 + bell))
        for bell in (1, 40, 80)
    ]

    assert len({one.due[0].run_key for one in ways}) == 1


def test_a_new_ranking_starts_one_batch_at_a_time_until_the_limit() -> None:
    ranked = replace(STATE, ranking=Ranking("2026-01-05", 120))
    one = replace(ranked, attempts=(attempt("2026-01-05-active-01", BatchState.PLANNED),))
    full = replace(one, max_open_batches=1)
    used_up = replace(ranked, attempts=tuple(attempt(f"2026-01-05-active-0{n}", BatchState.PUBLISHED) for n in (1, 2)))

    assert stages(due(ranked)) == [("dispatch", "2026-01-05-active-01.a1")]
    assert ("dispatch", "2026-01-05-active-02.a1") in stages(due(one))
    assert stages(due(full)) == [("dispatch", "2026-01-05-active-01.a1")]
    assert due(used_up).due == ()


def test_ranking_an_old_day_again_asks_nobody_for_work() -> None:
    state = replace(
        STATE,
        ranking=Ranking("2026-01-03", 120),
        attempts=(attempt("2026-01-05-active-01", BatchState.PUBLISHED),),
    )

    assert due(state).due == ()


def test_an_incident_asks_for_one_relabel_batch_and_only_until_it_has_one() -> None:
    asking = replace(STATE, incidents=(incident("i1"),))
    answered = replace(STATE, incidents=(incident("i1", batch="2026-01-05-relabel-01"),))

    assert stages(due(asking)) == [("dispatch", "2026-01-05-relabel-01.a1")]
    assert due(answered).due == ()


def test_relabel_batches_are_numbered_by_the_time_of_their_incidents() -> None:
    first, second = incident("zz", opened=NOW), incident("aa", opened=NOW + timedelta(minutes=1))
    other_day = incident("bb", opened=NOW - timedelta(days=1))
    known = (second, other_day, first)

    assert [relabel_batch_id(i, known) for i in (first, second, other_day)] == [
        "2026-01-05-relabel-01",
        "2026-01-05-relabel-02",
        "2026-01-04-relabel-01",
    ]


def test_training_waits_for_enough_labels_unless_an_incident_waits_for_it() -> None:
    few = replace(STATE, last_commit="c1", labels_since_training=20)
    enough = replace(few, labels_since_training=50)
    trained = replace(enough, last_trained_commit="c1")
    relabelled = replace(few, incidents=(incident("i1", state=IncidentState.RELABELLED, batch="b"),))

    assert due(few).due == ()
    assert stages(due(enough)) == [("train", "")]
    assert due(trained).due == ()
    assert stages(due(relabelled)) == [("train", "")]
    assert due(replace(enough, min_new_labels=None)).due == ()


def test_a_clock_that_went_back_decides_nothing_and_says_so() -> None:
    state = replace(STATE, attempts=(attempt("2026-01-05-active-01", BatchState.PLANNED),))

    decision = due(state, NOW - timedelta(hours=1))

    assert decision.due == ()
    assert "clock went back" in decision.idle
    assert "11:00:00" in decision.idle


@given(
    states=st.lists(st.sampled_from(BatchState), max_size=6),
    n_ranked=st.integers(0, 400),
    labels=st.integers(0, 100),
)
def test_a_repeated_decision_asks_for_the_same_work_under_the_same_keys(
    states: list[BatchState], n_ranked: int, labels: int
) -> None:
    state = replace(
        STATE,
        ranking=Ranking("2026-01-05", n_ranked),
        attempts=tuple(attempt(f"2026-01-05-active-{n:02d}", s) for n, s in enumerate(states, 1)),
        last_commit="c",
        labels_since_training=labels,
    )

    once, twice = due(state), due(state)

    assert once == twice
    keys = [item.run_key for item in once.due]
    assert len(keys) == len(set(keys))
    assert bool(once.due) != bool(once.idle)
