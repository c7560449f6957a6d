import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.workforce.calibration import CalibrationRules, round_power
from annotation_ops.domain.workforce.grading import CalibrationResult, Round, grade, grade_scores
from annotation_ops.domain.workforce.status import AnnotatorStatus

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PASS, FAIL, OPEN = AnnotatorStatus.CERTIFIED, AnnotatorStatus.FLAGGED, AnnotatorStatus.NEEDS_MORE_EVIDENCE
LABELS = ("cat", "dog")


def a_round(look: int = 1) -> Round:
    return Round("ann", "classification", "1.0.0", NOW, look)


def gold_of(n: int, labels: tuple[str, ...] = LABELS) -> dict[str, str]:
    return {f"t{at:03}": labels[at % len(labels)] for at in range(n)}


def answered(gold: dict[str, str], wrong: int) -> dict[str, str]:
    """The first `wrong` answers are wrong."""
    other = {"cat": "dog", "dog": "cat"}
    return {task: other[gold[task]] if at < wrong else gold[task] for at, task in enumerate(gold)}


@pytest.mark.parametrize(("right", "outcome"), [(40, PASS), (37, PASS), (36, OPEN), (30, OPEN), (29, FAIL), (0, FAIL)])
def test_a_round_of_forty_passes_from_37_fails_up_to_29_and_asks_for_more_between(
    right: int, outcome: AnnotatorStatus
) -> None:
    gold = gold_of(40)

    assert grade(answered(gold, 40 - right), gold, of=a_round(), rules=CalibrationRules()).outcome is outcome


@pytest.mark.parametrize("size", [15, 21, 40, 77])
@pytest.mark.parametrize("look", [1, 3])
def test_the_stated_power_counts_exactly_what_grading_passes(size: int, look: int) -> None:
    rules, gold = CalibrationRules(class_minimum=0.01), gold_of(size)
    outcomes = [
        grade(answered(gold, size - right), gold, of=a_round(look), rules=rules).outcome for right in range(size + 1)
    ]
    power = round_power(rules=rules, truth=0.9, size=size, look=look)

    passing = [right for right, outcome in enumerate(outcomes) if outcome is PASS]
    failing = [right for right, outcome in enumerate(outcomes) if outcome is FAIL]
    assert power.pass_from == (passing[0] if passing else None)
    assert power.fail_up_to == (failing[-1] if failing else None)


def test_one_class_shown_to_be_weak_fails_a_round_that_would_pass_otherwise() -> None:
    gold = {f"c{at}": "cat" for at in range(90)} | {f"d{at}": "dog" for at in range(10)}
    answers = dict.fromkeys(gold, "cat")

    found = grade(answers, gold, of=a_round(), rules=CalibrationRules())

    assert found.outcome is FAIL
    assert {one.label: one.outcome for one in found.classes} == {"cat": PASS, "dog": FAIL}
    assert grade(answers, gold, of=a_round(), rules=CalibrationRules(class_minimum=0.01)).outcome is PASS


def test_gold_tasks_without_an_answer_count_neither_way() -> None:
    gold = gold_of(60)
    answers = {task: gold[task] for task in list(gold)[:40]}

    found = grade(answers, gold, of=a_round(), rules=CalibrationRules())

    assert (found.outcome, found.accuracy.value, found.n_answered, found.n_missing) == (PASS, 1.0, 40, 20)


def test_no_answer_at_all_asks_for_more_and_states_no_accuracy() -> None:
    found = grade({}, gold_of(6), of=a_round(), rules=CalibrationRules())

    assert (found.outcome, found.accuracy.value, found.accuracy.reason) == (OPEN, None, "no_judgements")
    assert {one.accuracy.reason for one in found.classes} == {"class_unused"}


def test_errors_are_listed_with_what_was_right() -> None:
    found = grade(
        {"b": "dog", "a": "dog", "c": "cat"},
        {"a": "cat", "b": "cat", "c": "cat"},
        of=a_round(),
        rules=CalibrationRules(),
    )

    assert found.errors == (("a", "dog", "cat"), ("b", "dog", "cat"))


def passes_at_any_look(skill: float, *, runs: int, seed: int) -> tuple[float, float]:
    """Shares of people ever passed, and ever failed, with three top-ups of 20 after 40 tasks."""
    generator, passed, failed = np.random.default_rng(seed), 0, 0
    rules, full = CalibrationRules(), gold_of(100)
    for _ in range(runs):
        right = generator.random(100) < skill
        answers = answered(full, 0) | {
            task: "cat" if full[task] == "dog" else "dog" for task, hit in zip(full, right, strict=True) if not hit
        }
        for look, size in enumerate((40, 60, 80, 100), start=1):
            gold = dict(list(full.items())[:size])
            outcome = grade({task: answers[task] for task in gold}, gold, of=a_round(look), rules=rules).outcome
            if outcome is not OPEN:
                passed += outcome is PASS
                failed += outcome is FAIL
                break
    return passed / runs, failed / runs


def test_four_looks_at_one_round_pass_the_too_weak_and_fail_the_able_within_the_stated_error() -> None:
    # 400 runs: .05 and three standard errors.
    assert passes_at_any_look(0.80, runs=400, seed=1)[0] <= 0.05 + 0.033
    assert passes_at_any_look(0.85, runs=400, seed=2)[1] <= 0.05 + 0.033


def test_four_looks_at_one_round_pass_nearly_everybody_who_is_good() -> None:
    passed, failed = passes_at_any_look(0.95, runs=200, seed=3)

    assert passed >= 0.95
    assert failed == 0


def test_high_scores_pass_low_scores_fail_and_few_ask_for_more() -> None:
    gold = dict.fromkeys((f"t{at:02}" for at in range(40)), "all")
    outcomes = [
        grade_scores(dict.fromkeys(tasks, score), gold, of=a_round(), rules=CalibrationRules()).outcome
        for tasks, score in ((list(gold), 0.95), (list(gold), 0.5), (list(gold)[:3], 0.9))
    ]

    assert outcomes == [PASS, FAIL, OPEN]


@pytest.mark.parametrize("score", [-0.1, 1.01, float("nan")])
def test_a_score_outside_its_range_names_the_task(score: float) -> None:
    with pytest.raises(InvalidInput, match="'t001'"):
        grade_scores({"t001": score}, gold_of(4), of=a_round(), rules=CalibrationRules())


def test_an_answer_outside_the_round_and_a_look_before_the_first_are_refused() -> None:
    with pytest.raises(InvalidInput, match="'x'"):
        grade({"x": "cat"}, gold_of(4), of=a_round(), rules=CalibrationRules())
    with pytest.raises(InvalidInput, match="look: found 0"):
        grade({}, gold_of(4), of=a_round(0), rules=CalibrationRules())


def test_a_document_comes_back_as_the_result_it_was_made_from() -> None:
    gold = gold_of(41)
    found = grade(answered(gold, 6), gold, of=a_round(2), rules=CalibrationRules())

    back = CalibrationResult.from_document(json.loads(json.dumps(found.document())))

    assert back.document() == found.document()
    assert (back.outcome, back.graded_at, back.errors) == (found.outcome, found.graded_at, found.errors)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.data())
def test_other_names_and_another_order_of_the_tasks_change_not_one_bit(
    scores: list[float], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(scores))))
    straight = {f"t{at:02}": score for at, score in enumerate(scores)}
    renamed = {f"t{place:02}": scores[at] for place, at in enumerate(order)}

    first, second = (
        grade_scores(one, dict.fromkeys(one, "all"), of=a_round(), rules=CalibrationRules())
        for one in (straight, renamed)
    )
    assert first == second
