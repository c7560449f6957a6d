from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.criteria import Criteria, DecisionMode, parse_criteria
from annotation_ops.domain.quality.agreement.categorical import agreement
from annotation_ops.domain.quality.agreement.patterns import Patterns
from annotation_ops.domain.quality.judgements import IntArray, Judgements
from annotation_ops.domain.quality.planning.crowd_model import Crowd
from annotation_ops.domain.quality.planning.gate_simulation import Chance, Evidence, Gate, evidence_of, simulate
from annotation_ops.domain.quality.verdict.gates import Outcome, decide

NAIVE = {
    (0.5, 50): (0.11, 0.26, 0.47, 0.76, 0.96),
    (0.5, 100): (0.06, 0.19, 0.52, 0.88, 1.0),
    (0.5, 200): (0.01, 0.10, 0.49, 0.93, 1.0),
    (0.5, 400): (0.0, 0.04, 0.50, 0.98, 1.0),
    (0.1, 100): (0.19, 0.34, 0.53, 0.75, 0.93),
    (0.1, 400): (0.03, 0.16, 0.52, 0.90, 1.0),
    (0.02, 100): (0.37, 0.45, 0.53, 0.63, 0.74),
    (0.02, 1000): (0.08, 0.24, 0.53, 0.82, 0.98),
}
"""P(kappa >= 0.85) of a naive gate by (prevalence, n) at true 0.75, 0.80, 0.85, 0.90, 0.95; 4,000 simulations each, by
other code."""

WALD = {
    (0.5, 50): (0.01, 0.03, 0.10, 0.29, 0.64),
    (0.5, 200): (0.0, 0.0, 0.06, 0.44, 0.97),
    (0.1, 100): (0.03, 0.06, 0.14, 0.30, 0.58),
    (0.1, 400): (0.0, 0.01, 0.08, 0.43, 0.93),
    (0.02, 1000): (0.01, 0.03, 0.11, 0.34, 0.79),
}
"""The same for the lower one-sided 95 % Wald bound."""

TRUTHS = (0.75, 0.80, 0.85, 0.90, 0.95)


def criteria(mode: str = "evidence", statistic: str = "cohen_kappa") -> Criteria:
    record = parse_criteria(f"version: 1.0.0\nstatistic: {statistic}\nthreshold: 0.85\nmode: {mode}\n").record
    assert record is not None
    return record


def judged(patterns: Patterns, table: IntArray) -> Judgements:
    """A batch with these answer patterns."""
    rows, number = [], 0
    for at, times in enumerate(table.tolist()):
        if patterns.cells is not None:
            labels = patterns.cells[at].tolist()
        else:
            labels = np.repeat(np.arange(patterns.n_categories), patterns.counts[at].astype(int)).tolist()
        for _ in range(times):
            rows += [(f"t{number:05}", f"a{person}", str(label)) for person, label in enumerate(labels)]
            number += 1
    return Judgements.from_rows(rows, categories=[str(at) for at in range(patterns.n_categories)])


@pytest.mark.parametrize(("rare", "n"), NAIVE)
def test_the_point_gate_errs_as_often_as_published(rare: float, n: int) -> None:
    gate = Gate(statistic="cohen_kappa", threshold=0.85, mode="point")
    crowd = Crowd(prevalence=(rare, 1.0 - rare))

    found = [
        simulate(crowd.patterns("cohen_kappa", truth=k), tasks=n, gate=gate, seed=1, replicates=20_000).passes.value
        for k in TRUTHS
    ]

    assert found == pytest.approx(NAIVE[rare, n], abs=0.02)


def wald_passes(rare: float, n: int, truth: float) -> float:
    """Share of tables whose kappa less 1.645 standard errors (Fleiss, Cohen, Everitt 1969) reaches 0.85."""
    patterns = Crowd(prevalence=(rare, 1.0 - rare)).patterns("cohen_kappa", truth=truth)
    assert patterns.cells is not None
    first, second = patterns.cells.T
    p = np.random.default_rng(2).multinomial(n, patterns.weight, size=20_000) / n
    rows, columns = (np.stack([p[:, side == c].sum(axis=1) for c in (0, 1)], axis=1) for side in (first, second))
    same = first == second
    agreed, chance = p[:, same].sum(axis=1), (rows * columns).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        k = (agreed - chance) / (1 - chance)
        both = rows[:, first[same]] + columns[:, first[same]]
        variance = (p[:, same] * (1 - both * (1 - k)[:, None]) ** 2).sum(axis=1)
        variance += (1 - k) ** 2 * (p[:, ~same] * (columns[:, first[~same]] + rows[:, second[~same]]) ** 2).sum(axis=1)
        variance -= (k - chance * (1 - k)) ** 2
        low = k - 1.645 * np.sqrt(np.maximum(variance, 0) / n) / (1 - chance)
    return float(np.mean(low >= 0.85))


@pytest.mark.parametrize(("rare", "n"), WALD)
def test_crowds_give_the_published_rates_of_the_wald_gate(rare: float, n: int) -> None:
    found = [wald_passes(rare, n, truth) for truth in TRUTHS]

    assert found == pytest.approx(WALD[rare, n], abs=0.02)


@pytest.mark.parametrize(
    ("statistic", "raters", "prevalence", "n"),
    [
        ("cohen_kappa", 2, (0.25,) * 4, 150),
        ("fleiss_kappa", 3, (0.7, 0.2, 0.07, 0.03), 80),
        ("krippendorff_alpha_nominal", 5, (0.9, 0.1), 40),
        ("gwet_ac1", 2, (0.5, 0.5), 60),
    ],
)
def test_the_posterior_is_that_of_the_verdict(
    statistic: str, raters: int, prevalence: tuple[float, ...], n: int
) -> None:
    gate = Gate(statistic=statistic, threshold=0.85, mode="evidence")
    patterns = Crowd(prevalence=prevalence, raters=raters).patterns(statistic, truth=0.9)
    tables = np.random.default_rng(4).multinomial(n, patterns.weight, size=4)

    many = evidence_of(np.repeat(tables, 40, axis=0), patterns, gate=gate, generator=np.random.default_rng(1))

    verdicts = [agreement(judged(patterns, table), seed=7, draws=8_000) for table in tables]
    expected = [report.probability_at_least(statistic, 0.85) for report in verdicts]
    assert many.above.reshape(4, 40).mean(axis=1) == pytest.approx(expected, abs=0.025)
    assert many.value[::40] == pytest.approx([report.statistics[statistic].value for report in verdicts])


@settings(max_examples=200)
@given(
    value=st.floats(0.7, 1.0),
    draws=st.lists(st.floats(0.6, 1.0), min_size=20, max_size=20),
    mode=st.sampled_from(["point", "not_worse", "evidence"]),
)
def test_a_simulated_batch_is_decided_as_the_verdict_decides(
    value: float, draws: list[float], mode: DecisionMode
) -> None:
    gate = Gate.of(criteria(mode))
    drawn = np.array(draws)
    margin = gate.margin if mode == "not_worse" else 0.0
    evidence = Evidence(
        np.array([value]), np.array([np.mean(drawn >= 0.85)]), np.array([np.mean(drawn >= 0.85 - margin)])
    )

    expected = decide(value, draws=drawn, threshold=0.85, criteria=criteria(mode))

    found = (bool(evidence.passed(gate)[0]), bool(evidence.failed(gate)[0]))
    assert found == (expected is Outcome.PASS, expected is Outcome.FAIL)


def test_an_undefined_statistic_neither_passes_nor_fails() -> None:
    nothing = Evidence(np.array([np.nan]), np.array([1.0]), np.array([1.0]))

    for mode in ("point", "not_worse", "evidence"):
        gate = Gate.of(criteria(mode))
        assert not nothing.passed(gate)[0]
        assert not nothing.failed(gate)[0]


def test_bad_batches_seldom_pass_with_evidence() -> None:
    gate = Gate(statistic="cohen_kappa", threshold=0.85, mode="evidence")

    for rare, n in ((0.5, 100), (0.1, 200), (0.02, 400)):
        patterns = Crowd(prevalence=(rare, 1 - rare)).patterns("cohen_kappa", truth=0.8)
        assert simulate(patterns, tasks=n, gate=gate, seed=3, replicates=2_000).passes.value <= 0.05


def test_the_same_seed_gives_the_same_outcomes_and_they_add_up() -> None:
    gate = Gate(statistic="gwet_ac1", threshold=0.85)
    patterns = Crowd(prevalence=(0.6, 0.4)).patterns("gwet_ac1", truth=0.9)

    one, two, other = (simulate(patterns, tasks=80, gate=gate, seed=s, replicates=1_000) for s in (5, 5, 6))

    assert one == two
    assert one != other
    assert one.passes.value + one.fails.value + one.undecided.value == pytest.approx(1.0)


def test_too_few_tasks_are_always_undecided() -> None:
    gate = replace(Gate.of(criteria("point")), min_tasks=30)
    patterns = Crowd(prevalence=(0.5, 0.5)).patterns("cohen_kappa", truth=0.99)

    assert simulate(patterns, tasks=29, gate=gate, seed=0).undecided == Chance(1.0, 0.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"threshold": 1.2}, "threshold: found 1.2"), ({"confidence": 0.0}, "confidence"), ({"margin": 0.9}, "margin")],
)
def test_a_gate_that_cannot_be_is_refused(change: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Gate(**{"statistic": "cohen_kappa", "threshold": 0.85, **change})  # type: ignore[arg-type]
