from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.statistic import Statistic, undefined
from annotation_ops.domain.workforce.calibration import CalibrationRules
from annotation_ops.domain.workforce.drift import Drift
from annotation_ops.domain.workforce.flags import Assessment, FlagRules, assess
from annotation_ops.domain.workforce.skill import AnnotatorSkill, ClassSkill, Evidence, skill
from annotation_ops.domain.workforce.standing import standing
from annotation_ops.domain.workforce.status import AnnotatorStatus
from annotation_ops_tests.domain.quality.crowds import crowd

RULES = FlagRules(minimum=0.8, class_minimum=0.6)


def person(name: str, right: int, n: int, *, classes: tuple[ClassSkill, ...] = ()) -> AnnotatorSkill:
    """Somebody with so many right of `n` gold tasks, on a flat prior."""
    evidence = Evidence(right + 1.0, n - right + 1.0, right + 0.5, n - right + 0.5)
    accuracy = Statistic(right / n, None, max(right / n - 0.1, 0.0), min(right / n + 0.1, 1.0), n)
    return AnnotatorSkill(name, n, n, 0, accuracy, evidence, classes, ())


def class_of(label: str, right: int, n: int) -> ClassSkill:
    return ClassSkill(
        label,
        Statistic(right / n, None, 0.0, 1.0, n),
        Evidence(right + 1.0, n - right + 1.0, right + 0.5, n - right + 0.5),
    )


def fallen(name: str, *, n: int = 100, drifting: bool = True) -> Drift:
    before, after = Statistic(0.95, None, 0.9, 0.98, 60), Statistic(0.6, None, 0.4, 0.7, 40)
    return Drift(name, n, 900.0, 80, drifting, 60, before, after)


def codes(found: tuple[Assessment, ...]) -> dict[str, tuple[str, ...]]:
    return {one.annotator_id: tuple(reason.code for reason in one.reasons) for one in found}


def test_somebody_clearly_below_the_minimum_is_flagged_with_the_figures() -> None:
    (one,) = assess([person("ann-01", 50, 100)], rules=RULES)

    assert one.status is AnnotatorStatus.FLAGGED
    assert one.reasons[0].text == "accuracy 50% (40% to 60%, 100 judgements), required 80%"
    assert one.probability_below is not None
    assert one.probability_below > 0.999


def test_with_few_judgements_nobody_is_flagged_however_bad_they_look() -> None:
    (one,) = assess([person("ann-01", 0, 19)], rules=RULES)

    assert (one.status, one.reasons[0].code) == (AnnotatorStatus.NEEDS_MORE_EVIDENCE, "few_judgements")


def test_what_is_certain_alone_may_be_chance_among_two_hundred() -> None:
    suspicious = person("ann-000", 30, 42)
    others = [person(f"ann-{n:03}", 40, 42) for n in range(1, 200)]

    alone, among = assess([suspicious], rules=RULES), assess([suspicious, *others], rules=RULES)

    assert (alone[0].probability_below or 0.0) < 0.95 or alone[0].status is AnnotatorStatus.FLAGGED
    assert among[0].status is not AnnotatorStatus.FLAGGED


def test_a_weak_class_is_named() -> None:
    weak = person("ann-01", 95, 100, classes=(class_of("cat", 60, 60), class_of("dog", 5, 40)))

    (one,) = assess([weak], rules=RULES)

    assert [(reason.code, reason.label) for reason in one.reasons] == [("class_below_minimum", "dog")]
    assert one.reasons[0].text.startswith("dog: accuracy 12%")


def test_a_fall_is_a_flag_only_when_it_stands_among_all_annotators() -> None:
    skills = [person("ann-01", 95, 100), person("ann-02", 95, 100), person("ann-03", 95, 100)]
    drifts = [fallen("ann-01"), fallen("ann-02", drifting=False), fallen("ann-03", n=19)]

    found = assess(skills, drifts=drifts, rules=RULES)

    assert codes(found) == {"ann-01": ("drift",), "ann-02": ("never_calibrated",), "ann-03": ("never_calibrated",)}
    assert found[0].reasons[0].text == "accuracy fell from 95% to 60% after about 60 of 100 judgements"


def test_somebody_far_below_the_cohort_is_flagged_though_above_the_minimum() -> None:
    skills = [person("ann-01", 165, 200), *(person(f"ann-{n:02}", 198, 200) for n in range(2, 8))]

    found = codes(assess(skills, cohorts={one.annotator_id: "north" for one in skills}, rules=RULES))

    assert found.pop("ann-01") == ("below_cohort",)
    assert set(found.values()) == {("never_calibrated",)}
    assert codes(assess(skills, rules=RULES))["ann-01"] == ("never_calibrated",), "nobody to compare with"


def test_without_a_flag_the_standing_speaks_then_the_lack_of_evidence() -> None:
    nobody = replace(person("ann-01", 1, 1), accuracy=undefined("no_overlap", n=0), evidence=None, n_gold=0)
    fresh = standing(
        "ann-01",
        "classification",
        results=(),
        now=datetime(2026, 11, 23, tzinfo=UTC),
        guideline_version="1.0.0",
        rules=CalibrationRules(),
    )
    certified = replace(fresh, status=AnnotatorStatus.CERTIFIED, code="passed", reason="passed on 2026-11-01")

    def said(**standings: object) -> tuple[AnnotatorStatus, str]:
        (one,) = assess([nobody], standings={"ann-01": standings["of"]} if standings else None, rules=RULES)
        return one.status, one.reasons[0].code

    assert said() == (AnnotatorStatus.NEEDS_MORE_EVIDENCE, "no_reference")
    assert said(of=fresh) == (AnnotatorStatus.NEEDS_MORE_EVIDENCE, "no_reference")
    assert said(of=certified) == (AnnotatorStatus.CERTIFIED, "passed")


def test_a_certificate_does_not_hide_a_flag() -> None:
    bad = person("ann-01", 50, 100)
    fresh = standing(
        "ann-01",
        "classification",
        results=(),
        now=datetime(2026, 11, 23, tzinfo=UTC),
        guideline_version="1.0.0",
        rules=CalibrationRules(),
    )
    certified = replace(fresh, status=AnnotatorStatus.CERTIFIED, code="passed")

    assert assess([bad], standings={"ann-01": certified}, rules=RULES)[0].status is AnnotatorStatus.FLAGGED


def test_in_a_crowd_of_good_people_hardly_anybody_is_flagged_and_the_bad_ones_are_found() -> None:
    unfounded, found = 0, 0
    for seed in range(5):
        kinds = [0.5] * 4 + [0.92] * 26
        truth, judgements = crowd(np.random.default_rng(seed), kinds=kinds, n=1200, k=3, prevalence=(0.25,) * 4)
        gold = {f"t{task:05}": str(truth[task]) for task in range(240)}
        flagged = [
            one.annotator_id
            for one in assess(skill(judgements, gold=gold), rules=RULES)
            if one.status is AnnotatorStatus.FLAGGED
        ]
        found += sum(int(name[1:]) < 4 for name in flagged)
        unfounded += sum(int(name[1:]) >= 4 for name in flagged)

    assert found >= 18, "of 20"
    assert unfounded <= 1, "of 130"


def test_nobody_is_assessed_where_nobody_worked() -> None:
    assert assess(skill(Judgements.from_rows([], categories="xy")), rules=RULES) == ()


@pytest.mark.parametrize(
    "wrong",
    [{"minimum": 0.0}, {"class_minimum": 1.0}, {"confidence": 2.0}, {"cohort_margin": -0.1}, {"least_judgements": 0}],
)
def test_rules_that_make_no_sense_are_refused_by_name(wrong) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        FlagRules(**wrong)
