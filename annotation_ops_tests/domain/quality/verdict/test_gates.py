"""The single tests of a verdict; the slow ones are a quick cut of benchmarks/gates.py."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from annotation_ops.domain.project.criteria import parse_criteria
from annotation_ops.domain.quality.agreement.categorical import agreement
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.verdict.gates import Outcome, decide, decide_class, share_below, shown, worst

PASS, FAIL, INSUFFICIENT = Outcome.PASS, Outcome.FAIL, Outcome.INSUFFICIENT


def criteria(mode: str = "evidence", **also):
    lines = [f"{name}: {value}" for name, value in {"mode": mode, **also}.items()]
    parsed = parse_criteria("\n".join(["version: 1.0.0", "statistic: cohen_kappa", "threshold: 0.85", *lines]) + "\n")
    assert parsed.record is not None, parsed.faults
    return parsed.record


def draws(*, above: int, between: int = 0, below: int = 0):
    """Draws at 0.9, at 0.82 (within the margin of 0.05) and at 0.7."""
    return np.repeat([0.9, 0.82, 0.7], [above, between, below])


@pytest.mark.parametrize(
    ("mode", "value", "drawn", "outcome"),
    [
        ("point", 0.85, draws(above=1, below=99), PASS),
        ("point", 0.8499, draws(above=100), FAIL),
        ("evidence", 0.9, draws(above=95, below=5), PASS),
        ("evidence", 0.9, draws(above=94, below=6), INSUFFICIENT),
        ("evidence", 0.84, draws(above=95, below=5), PASS),
        ("evidence", 0.9, draws(above=90, between=10), INSUFFICIENT),
        ("evidence", 0.8, draws(above=5, below=95), FAIL),
        ("evidence", 0.8, draws(above=6, below=94), INSUFFICIENT),
        ("not_worse", 0.85, draws(above=50, between=45, below=5), PASS),
        ("not_worse", 0.85, draws(above=50, between=44, below=6), INSUFFICIENT),
        ("not_worse", 0.84, draws(above=50, between=45, below=5), INSUFFICIENT),
        ("not_worse", 0.8, draws(above=5, between=95), FAIL),
    ],
)
def test_each_mode_passes_and_fails_exactly_at_its_confidence(mode, value, drawn, outcome) -> None:
    assert decide(value, draws=drawn, threshold=0.85, criteria=criteria(mode)) is outcome


def test_a_value_below_the_threshold_by_rounding_alone_reaches_it() -> None:
    assert decide(0.85 - 1e-12, draws=np.ones(9), threshold=0.85, criteria=criteria("point")) is PASS


@pytest.mark.parametrize(
    ("expected_tasks", "drawn", "outcome"),
    [
        (9.9, draws(above=50, below=50), INSUFFICIENT),
        (9.9, draws(above=5, below=95), FAIL),
        (10.0, draws(above=50, below=50), FAIL),
    ],
)
def test_a_low_estimate_fails_a_rare_class_only_when_it_is_proven(expected_tasks, drawn, outcome) -> None:
    found = decide_class(0.7, draws=drawn, expected_tasks=expected_tasks, threshold=0.8, criteria=criteria("point"))

    assert found is outcome


def test_the_worst_of_the_outcomes_decides() -> None:
    assert worst((PASS, INSUFFICIENT, FAIL)) is FAIL
    assert worst((PASS, INSUFFICIENT, PASS)) is INSUFFICIENT
    assert worst((PASS,)) is PASS


def report(agreed: int, disputed: int, alone: int = 0):
    rows = [(f"a{at}", rater, "x") for at in range(agreed) for rater in ("p", "q")]
    rows += [(f"d{at}", rater, label) for at in range(disputed) for rater, label in (("p", "x"), ("q", "y"))]
    rows += [(f"s{at}", "p", "x") for at in range(alone)]
    return agreement(Judgements.from_rows(rows, categories=("x", "y")), seed=1)


def test_the_share_of_disputed_tasks_is_known_where_every_task_was_judged_twice() -> None:
    share, drawn, tasks = share_below(report(18, 2), criteria=criteria(), seed=1, draws=500)

    assert (share.low, share.value, share.high) == (0.1, 0.1, 0.1)
    assert np.ptp(drawn) == 0.0
    assert tasks == ("d0", "d1")


def test_the_share_of_disputed_tasks_is_open_where_most_were_judged_once() -> None:
    known = share_below(report(18, 2, alone=20), criteria=criteria(), seed=1, draws=4000)[0]
    guessed = share_below(report(18, 2, alone=980), criteria=criteria(), seed=1, draws=4000)[0]

    assert known.value == guessed.value == 0.1
    # At worst all of the 20 unknown tasks are disputed; of 980 the Jeffreys interval of 2 in 20 decides.
    assert known.low is not None
    assert guessed.low is not None
    assert known.low >= 2 / 40
    assert guessed.low == pytest.approx(0.023, abs=0.01)
    assert guessed.high == pytest.approx(0.28, abs=0.02)


def test_no_overlap_leaves_the_share_undefined() -> None:
    share, drawn, tasks = share_below(report(0, 0, alone=5), criteria=criteria(), seed=1, draws=10)

    assert (share.value, share.reason, len(drawn), tasks) == (None, "no_overlap", 0, ())
    assert shown(share) == "(undefined)"


@pytest.fixture(scope="module")
def gates() -> ModuleType:
    path = Path(__file__).parents[4] / "benchmarks" / "gates.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_gates", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses with slots look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rare", "tasks", "point", "wald"),
    [
        (0.5, 50, (0.11, 0.26, 0.47, 0.76, 0.96), (0.01, 0.03, 0.10, 0.29, 0.64)),
        (0.5, 100, (0.06, 0.19, 0.52, 0.88, 1.0), (0.0, 0.02, 0.12, 0.44, 0.88)),
        (0.5, 200, (0.01, 0.10, 0.49, 0.93, 1.0), (0.0, 0.0, 0.06, 0.44, 0.97)),
        (0.5, 400, (0.0, 0.04, 0.50, 0.98, 1.0), (0.0, 0.0, 0.07, 0.73, 1.0)),
        (0.1, 100, (0.19, 0.34, 0.53, 0.75, 0.93), (0.03, 0.06, 0.14, 0.30, 0.58)),
        (0.1, 400, (0.03, 0.16, 0.52, 0.90, 1.0), (0.0, 0.01, 0.08, 0.43, 0.93)),
        (0.02, 100, (0.37, 0.45, 0.53, 0.63, 0.74), (0.30, 0.37, 0.45, 0.56, 0.69)),
        (0.02, 1000, (0.08, 0.24, 0.52, 0.82, 0.98), (0.01, 0.03, 0.11, 0.34, 0.79)),
    ],
)
def test_hand_made_gates_accept_what_the_golden_table_says(gates, rare, tasks, point, wald) -> None:
    found = [
        gates.naive_acceptance(gates.two(rare, tasks), truth, batches=20_000, seed=1)[:2] for truth in gates.TRUTHS
    ]

    # Golden values come from 4,000 simulations (two standard errors: 0.016) and are rounded to 0.01.
    assert np.array(found) == pytest.approx(np.stack([point, wald], axis=1), abs=0.025)


@pytest.mark.slow
@pytest.mark.parametrize(("rare", "tasks"), [(0.5, 50), (0.5, 200), (0.1, 100), (0.02, 100), (0.02, 1000)])
def test_a_bad_batch_passes_by_evidence_in_at_most_one_case_of_twenty(gates, rare, tasks) -> None:
    outcomes = gates.decided(gates.two(rare, tasks), 0.80, batches=300, seed=4)["evidence"]

    assert gates.share_of(outcomes, PASS) <= 0.05
