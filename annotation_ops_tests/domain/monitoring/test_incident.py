import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.monitoring.degradation import Observation
from annotation_ops.domain.monitoring.incident import (
    Action,
    IncidentDecision,
    Window,
    close_if_over,
    decide_incident,
    judge_recovery,
    share_budget,
)
from annotation_ops.domain.monitoring.slices import Finding, find_fallen
from annotation_ops.domain.project.monitor import Monitor
from annotation_ops.domain.records import Incident, IncidentState
from annotation_ops_tests.domain.monitoring.series import START, STEADY, history, monitor

NOW = START + timedelta(days=20)
WINDOW = Window(project="digits", model_version="1", run_id="run-10", observed_at=START + timedelta(days=10))


def findings(now: dict[str, float]) -> tuple[Finding, ...]:
    return find_fallen(
        {name: history([*STEADY, value]) for name, value in now.items()},
        baseline_observations=10,
        false_alarm_rate=0.01,
        min_drop=0.03,
    )


def decide(
    now: dict[str, float],
    *,
    incidents: Sequence[Incident] = (),
    at: datetime = NOW,
    rules: Monitor | None = None,
    window: Window = WINDOW,
) -> IncidentDecision:
    return decide_incident(
        findings(now),
        window=window,
        open_incidents=incidents,
        last_incident_at=max((i.opened_at for i in incidents), default=None),
        now=at,
        monitor=rules or monitor(),
    )


def opened(now: dict[str, float] | None = None) -> Incident:
    incident = decide(now or {"": 0.88, "scanner:a": 0.90, "scanner:b": 0.70}).incident
    assert incident is not None
    return incident


class TestOpening:
    def test_the_incident_names_the_fallen_slices_and_the_run_that_tripped_it(self) -> None:
        incident = opened()

        assert incident.slices == ("scanner:b",)
        assert (incident.run_id, incident.model_version, incident.state) == ("run-10", "1", IncidentState.OPEN)
        assert incident.evidence["slices"]["scanner:b"]["drop"] == pytest.approx(0.2)

    def test_only_the_overall_metric_fell_so_no_slice_is_named(self) -> None:
        assert opened({"": 0.70, "scanner:a": 0.90}).slices == ()

    def test_nothing_fell_so_nothing_opens(self) -> None:
        assert decide({"": 0.90}) == IncidentDecision(Action.NONE, "no slice fell")

    def test_the_same_fall_seen_again_has_the_same_id_and_another_run_another(self) -> None:
        again = decide({"": 0.88, "scanner:a": 0.90, "scanner:b": 0.70}, at=NOW + timedelta(days=3)).incident
        other = decide({"scanner:b": 0.70}, window=replace(WINDOW, run_id="run-11")).incident

        assert again is not None
        assert other is not None
        assert again.incident_id == opened().incident_id != other.incident_id

    def test_a_cause_under_way_opens_nothing_more(self) -> None:
        much_later = NOW + timedelta(days=30)
        for state in (IncidentState.OPEN, IncidentState.RELABELLED):
            decision = decide({"": 0.7, "scanner:b": 0.7}, incidents=[replace(opened(), state=state)], at=much_later)
            assert decision.action is Action.NONE
            assert "same cause" in decision.reason

    def test_another_slice_opens_its_own_incident_once_the_cooldown_is_over(self) -> None:
        first = opened()
        both = {"scanner:b": 0.70, "scanner:a": 0.70}

        early = decide(both, incidents=[first], at=NOW + timedelta(hours=23))
        late = decide(both, incidents=[first], at=NOW + timedelta(hours=24))

        assert early.action is Action.NONE
        assert "cooling down until" in early.reason
        assert late.incident is not None
        assert late.incident.slices == ("scanner:a",)

    def test_an_incident_of_the_whole_model_covers_every_slice(self) -> None:
        whole = opened({"": 0.70})

        assert decide({"scanner:b": 0.5}, incidents=[whole], at=NOW + timedelta(days=9)).action is Action.NONE

    def test_another_models_incident_covers_nothing(self) -> None:
        foreign = replace(opened(), model="letters")

        assert decide({"scanner:b": 0.7}, incidents=[foreign], at=NOW + timedelta(days=9)).action is Action.OPEN

    def test_a_closed_incident_still_cools_down(self) -> None:
        closed = replace(opened(), state=IncidentState.RESOLVED)

        assert decide({"scanner:b": 0.7}, incidents=[closed], at=NOW + timedelta(hours=1)).action is Action.NONE
        assert decide({"scanner:b": 0.7}, incidents=[closed], at=NOW + timedelta(days=2)).action is Action.OPEN


class TestBudget:
    def test_the_budget_follows_the_answers_lost(self) -> None:
        assert share_budget({"a:1": 30.0, "b:2": 10.0}, 60) == {"a:1": 45, "b:2": 15}

    @given(
        st.dictionaries(st.text("abc:", min_size=1, max_size=4), st.floats(0.01, 1e6), min_size=1, max_size=8),
        st.integers(1, 500),
    )
    def test_the_shares_are_exactly_the_budget(self, lost: dict[str, float], budget: int) -> None:
        shares = share_budget(lost, budget)

        assert sum(shares.values()) == budget
        assert all(abs(shares[name] - budget * lost[name] / sum(lost.values())) < 1 for name in lost)

    def test_the_incident_carries_its_cap(self) -> None:
        incident = decide({"scanner:b": 0.7}, rules=monitor(relabel_budget=7)).incident

        assert incident is not None
        assert incident.evidence["budget"] == 7
        assert incident.evidence["allocation"] == {"scanner:b": 7}

    @settings(max_examples=25)
    @given(st.integers(0, 10**6))
    def test_a_metric_that_flaps_around_the_threshold_keeps_one_open_incident(self, seed: int) -> None:
        """Ninety days around the threshold, closing and opening: never two under way, never two within a cooldown."""
        rng = np.random.default_rng(seed)
        rules = monitor(cooldown_hours=24 * 7)
        series = history([*STEADY, *(0.87 - 0.08 * rng.integers(0, 2, 40) + rng.normal(0, 0.02, 40)).clip(0, 1)])
        incidents: list[Incident] = []
        for end in range(11, len(series) + 1):
            at = series[end - 1].observed_at
            past = series[:end]
            found = find_fallen({"scanner:b": past}, baseline_observations=10, false_alarm_rate=0.01, min_drop=0.03)
            decision = decide_incident(
                found,
                window=replace(WINDOW, run_id=past[-1].run_id, observed_at=at),
                open_incidents=incidents,
                last_incident_at=max((i.opened_at for i in incidents), default=None),
                now=at,
                monitor=rules,
            )
            incidents += [decision.incident] if decision.incident else []
            incidents = [close_if_over(i, histories={"scanner:b": past}, monitor=rules, now=at) or i for i in incidents]
            assert sum(i.state is IncidentState.OPEN for i in incidents) <= 1
        times = [i.opened_at for i in incidents]
        assert all(later - earlier >= rules.cooldown for earlier, later in itertools.pairwise(times))


class TestClosing:
    def close(self, incident: Incident, later: Sequence[float]) -> Incident | None:
        series = history([*STEADY, 0.70, *later])
        return close_if_over(incident, histories={"scanner:b": series}, monitor=monitor(), now=NOW)

    def test_a_metric_that_came_back_closes_an_incident_nobody_works_on(self) -> None:
        closed = self.close(opened(), [0.90, 0.89])

        assert closed is not None
        assert closed.state is IncidentState.RESOLVED
        assert closed.closed_at == NOW
        assert closed.outcome["reason"] == "came back without a retraining"

    @pytest.mark.parametrize("later", [[], [0.88], [0.70, 0.90], [0.95, 0.88]])
    def test_it_stays_open_until_the_drop_is_under_half_the_smallest_drop(self, later: list[float]) -> None:
        assert self.close(opened(), later) is None

    def test_an_incident_with_a_batch_waits_for_the_retraining(self) -> None:
        assert self.close(replace(opened(), batch_id="2026-11-23-relabel-01"), [0.90, 0.90]) is None
        assert self.close(replace(opened(), state=IncidentState.RELABELLED), [0.90, 0.90]) is None


class TestRecovery:
    def judge(
        self, after: Sequence[Observation], *, state: IncidentState = IncidentState.RELABELLED
    ) -> Incident | None:
        return judge_recovery(
            replace(opened(), state=state),
            before={"scanner:b": history([0.70, 0.71])},
            after={"scanner:b": after},
            after_version="2",
            monitor=monitor(),
            now=NOW,
        )

    def test_a_slice_that_is_back_at_its_baseline_is_resolved_with_figures(self) -> None:
        closed = self.judge(history([0.89, 0.90]))

        assert closed is not None
        assert closed.state is IncidentState.RESOLVED
        figures = closed.outcome["slices"]["scanner:b"]
        assert figures["before"] == pytest.approx(0.705)
        assert figures["after"] == pytest.approx(0.895)
        assert 0 < figures["low"] < figures["gain"] < figures["high"]
        assert (figures["n_before"], figures["n_after"]) == (400, 400)
        assert closed.outcome["model_version"] == "2"

    def test_the_interval_is_the_normal_one_of_two_proportions(self) -> None:
        """Agresti-Coull: two successes and two failures are added to either side."""
        closed = self.judge(history([0.90], 196))

        assert closed is not None
        figures = closed.outcome["slices"]["scanner:b"]
        before, after = (0.705 * 400 + 2) / 404, (0.90 * 196 + 2) / 200
        error = (before * (1 - before) / 404 + after * (1 - after) / 200) ** 0.5
        assert figures["high"] - figures["low"] == pytest.approx(2 * 1.959964 * error, rel=1e-6)

    def test_a_slice_still_down_is_unresolved_and_says_so(self) -> None:
        closed = self.judge(history([0.72, 0.73]))

        assert closed is not None
        assert closed.state is IncidentState.UNRESOLVED
        assert "scanner:b did not recover" in closed.outcome["reason"]

    def test_a_gain_that_leaves_a_worthwhile_drop_is_unresolved(self) -> None:
        closed = self.judge(history([0.85, 0.85]))

        assert closed is not None
        assert closed.state is IncidentState.UNRESOLVED
        assert closed.outcome["slices"]["scanner:b"]["low"] > 0

    def test_a_model_trained_before_the_relabelling_cannot_fail_it(self) -> None:
        assert self.judge(history([0.72, 0.73]), state=IncidentState.OPEN) is None

        recovered = self.judge(history([0.90, 0.90]), state=IncidentState.OPEN)
        assert recovered is not None
        assert recovered.state is IncidentState.RESOLVED

    def test_nothing_is_said_before_the_slice_was_measured(self) -> None:
        assert self.judge([]) is None
        assert self.judge(history([0.9, 0.9], None)) is None
        assert self.judge(history([float("nan")])) is None

    def test_without_counts_three_observations_on_either_side_speak(self) -> None:
        closed = judge_recovery(
            replace(opened(), state=IncidentState.RELABELLED),
            before={"scanner:b": history([0.70, 0.71, 0.69], None)},
            after={"scanner:b": history([0.89, 0.90, 0.91], None)},
            after_version="2",
            monitor=monitor(),
            now=NOW,
        )

        assert closed is not None
        assert closed.state is IncidentState.RESOLVED

    def test_a_closed_incident_is_not_judged_again(self) -> None:
        assert self.judge(history([0.9]), state=IncidentState.RESOLVED) is None
