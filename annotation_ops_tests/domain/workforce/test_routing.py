import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.routing import Routing, RoutingRule
from annotation_ops.domain.project.workforce import Annotator, Workforce
from annotation_ops.domain.workforce.routing import RoutableTask, RoutingPlan, UnroutableTask, route


def person(name: str, **changes: Any) -> Annotator:
    base = Annotator(name, "c", (), (), (), None, 10, False)
    return replace(base, **changes)


def rule(name: str = "r", **changes: Any) -> RoutingRule:
    return replace(RoutingRule(name, (), (), (), (), (), False), **changes)


def plan(
    tasks: list[RoutableTask],
    people: list[Annotator],
    *rules: RoutingRule,
    overlap: int = 1,
    distinct_cohorts: bool = False,
    exclude_earlier_attempts: bool = True,
    load: dict[str, int] | None = None,
    history: dict[str, frozenset[str]] | None = None,
) -> RoutingPlan:
    return route(
        tasks,
        workforce=Workforce("1.0.0", tuple(people)),
        routing=Routing("1.0.0", rules, distinct_cohorts, exclude_earlier_attempts),
        overlap=overlap,
        load=load or {},
        history=history or {},
    )


def tasks(count: int, **facts: Any) -> list[RoutableTask]:
    return [RoutableTask(f"t{number:02d}", f"s{number:02d}", **facts) for number in range(count)]


def people_of(found: RoutingPlan) -> set[str]:
    return {routed.annotator_id for routed in found.assignments}


def only_unroutable(found: RoutingPlan) -> UnroutableTask:
    assert found.assignments == ()
    [missed] = found.unroutable
    return missed


@pytest.mark.parametrize(
    ("wanted", "fits", "code"),
    [
        (rule(skills=("x", "y")), {"skills": ("y", "x", "z")}, "no_skill"),
        (rule(languages=("de",)), {"languages": ("en", "de")}, "no_language"),
        (rule(domains=("law",)), {"domains": ("law",)}, "no_domain"),
        (rule(cohorts=("vendor", "inhouse")), {"cohort": "inhouse"}, "no_cohort"),
        (rule(same_region=True), {"region": "eu"}, "no_region"),
    ],
)
def test_a_rule_admits_only_people_who_meet_it(wanted: RoutingRule, fits: dict[str, Any], code: str) -> None:
    crowd = [person("fits", **fits), person("other", skills=("x",), region="us")]
    found = plan(tasks(3, region="eu"), crowd, wanted)

    assert people_of(found) == {"fits"}
    assert only_unroutable(plan(tasks(1, region="eu"), crowd[1:], wanted)).code == code


def test_a_rule_applies_only_to_tasks_with_all_its_slices() -> None:
    wanted = rule(when=(("scanner", "b"), ("ink", "red")), skills=("x",))
    crowd = [person("able", skills=("x",), capacity=1), person("plain", capacity=5)]
    listed = [
        RoutableTask("both", "s1", {"scanner": "b", "ink": "red"}),
        RoutableTask("half", "s2", {"scanner": "b"}),
        RoutableTask("none", "s3"),
    ]
    found = {routed.task_key: routed for routed in plan(listed, crowd, wanted).assignments}

    assert found["both"].annotator_id == "able"
    assert found["both"].explain["rules"] == ["r"]
    assert {found["half"].annotator_id, found["none"].annotator_id} == {"plain"}


def test_all_matching_rules_hold_together() -> None:
    crowd = [person("a", skills=("x",)), person("b", languages=("de",)), person("c", skills=("x",), languages=("de",))]

    assert people_of(plan(tasks(4), crowd, rule("one", skills=("x",)), rule("two", languages=("de",)))) == {"c"}


def test_the_language_and_domain_of_a_sample_ask_for_people_who_have_them() -> None:
    crowd = [person("de", languages=("de",)), person("law", languages=("de",), domains=("law",)), person("none")]

    assert people_of(plan(tasks(6, attributes={"language": "de"}), crowd)) == {"de", "law"}
    assert people_of(plan(tasks(6, attributes={"language": "de", "domain": "law"}), crowd)) == {"law"}


def test_a_sample_without_a_region_is_nobodys_under_a_residency_rule() -> None:
    missed = only_unroutable(plan(tasks(1), [person("a", region="eu"), person("b")], rule(same_region=True)))

    assert missed.code == "no_region"
    assert "the sample has none" in missed.reason


def test_an_unroutable_task_says_which_requirement_emptied_the_candidates_and_how_many_each_turned_away() -> None:
    crowd = [
        person("a"),
        person("b", skills=("x",)),
        person("c", skills=("x",)),
        person("d", skills=("x",), languages=("de",)),
    ]
    missed = only_unroutable(plan(tasks(1), crowd, rule("german", skills=("x",), languages=("de",)), overlap=2))

    assert missed.code == "no_language"
    assert missed.reason == (
        "2 people needed, 1 left of 4 after language 'de' (rule 'german'): "
        "skill 'x' (rule 'german') turned away 1, leaving 3; language 'de' (rule 'german') turned away 2, leaving 1"
    )


def test_a_task_with_fewer_people_than_its_overlap_gets_nobody_and_uses_no_capacity() -> None:
    crowd = [person("a", skills=("x",), capacity=1), person("b", capacity=1)]
    listed = [RoutableTask("scarce", "s1", {"k": "x"}), RoutableTask("plain", "s2")]
    found = plan(listed, crowd, rule(when=(("k", "x"),), skills=("x",)), overlap=2)

    assert [missed.task_key for missed in found.unroutable] == ["scarce"]
    assert {routed.task_key for routed in found.assignments} == {"plain"}
    assert people_of(found) == {"a", "b"}


def test_a_workforce_smaller_than_the_overlap_is_too_few_people() -> None:
    assert only_unroutable(plan(tasks(1), [person("a")], overlap=2)).code == "too_few_people"
    assert only_unroutable(plan(tasks(1), [])).code == "too_few_people"


def test_a_scarce_speaker_is_kept_for_the_tasks_that_need_one() -> None:
    crowd = [person("bilingual", languages=("de", "en"), capacity=4), person("english", languages=("en",), capacity=8)]
    listed = [RoutableTask(f"{code}{n}", f"{code}{n}", {"language": code}) for n in range(4) for code in ("en", "de")]
    found = plan(listed, crowd)

    assert found.unroutable == ()
    assert {routed.task_key for routed in found.assignments if routed.annotator_id == "bilingual"} == {
        "de0",
        "de1",
        "de2",
        "de3",
    }


def test_the_judgements_of_one_task_come_from_different_cohorts() -> None:
    crowd = [person(f"{cohort}{n}", cohort=cohort) for cohort in "abc" for n in range(4)]
    found = plan(tasks(8), crowd, overlap=3, distinct_cohorts=True)
    cohorts = Counter((routed.task_key, routed.annotator_id[0]) for routed in found.assignments)

    assert len(cohorts) == 24
    missed = plan(tasks(1), crowd, overlap=4, distinct_cohorts=True)
    assert only_unroutable(missed).code == "too_few_cohorts"
    assert only_unroutable(missed).reason.startswith("4 people needed, 3 left of 12 after one person a cohort")


def test_nobody_judges_a_sample_again_that_they_judged_before_unless_policy_allows_it() -> None:
    crowd = [person("a"), person("b")]
    before = {"s00": frozenset({"a"})}

    assert people_of(plan(tasks(1), crowd, history=before)) == {"b"}
    assert only_unroutable(plan(tasks(1), crowd, overlap=2, history=before)).code == "judged_before"
    assert people_of(plan(tasks(1), crowd, overlap=2, history=before, exclude_earlier_attempts=False)) == {"a", "b"}


def test_a_further_judgement_goes_to_somebody_new_from_another_cohort() -> None:
    crowd = [person("a1", cohort="a"), person("a2", cohort="a"), person("b1", cohort="b")]
    [task] = tasks(1, asked=frozenset({"a1", "left the company"}))

    assert people_of(plan([task], crowd, distinct_cohorts=True)) == {"b1"}
    assert only_unroutable(plan([task], crowd[:2], distinct_cohorts=True)).code == "too_few_cohorts"
    assert only_unroutable(plan([task], crowd[:1])).code == "already_asked"


def test_open_assignments_count_against_capacity() -> None:
    crowd = [person("full", capacity=3), person("over", capacity=1), person("free", capacity=2)]
    found = plan(tasks(3), crowd, load={"full": 3, "over": 7})

    assert [routed.annotator_id for routed in found.assignments] == ["free", "free"]
    assert [missed.code for missed in found.unroutable] == ["no_capacity"]


def test_work_is_shared_in_proportion_to_capacity() -> None:
    crowd = [person("small", capacity=10), person("large", capacity=30)]
    counts = Counter(routed.annotator_id for routed in plan(tasks(20), crowd).assignments)

    assert counts == {"small": 5, "large": 15}


def test_equal_people_are_not_always_taken_in_the_same_order() -> None:
    crowd = [person(name, capacity=1000) for name in "abcdef"]
    firsts = {plan([task], crowd).assignments[0].annotator_id for task in tasks(40)}

    assert firsts == set("abcdef")


def test_an_assignment_explains_itself() -> None:
    crowd = [person("a", skills=("x",)), person("b", skills=("x",), capacity=4), person("c")]
    found = plan(tasks(1), crowd, rule("skilled", skills=("x",)), load={"a": 5, "b": 1})
    [routed] = found.assignments

    assert routed.annotator_id == "b"
    assert routed.explain == {
        "rules": ["skilled"],
        "passed": ["skill 'x' (rule 'skilled')"],
        "candidates": 2,
        "load": 1,
        "capacity": 4,
    }


def test_an_overlap_below_one_and_a_repeated_task_are_refused() -> None:
    with pytest.raises(InvalidInput, match="overlap 0"):
        plan(tasks(1), [person("a")], overlap=0)
    with pytest.raises(InvalidInput, match="'t00' 2 times"):
        plan(tasks(1) * 2, [person("a")])


words = st.sampled_from(["x", "y"])
crowds = st.lists(
    st.builds(
        Annotator,
        annotator_id=st.sampled_from([f"p{n}" for n in range(12)]),
        cohort=st.sampled_from("abc"),
        skills=st.frozensets(words).map(tuple),
        languages=st.frozensets(words).map(tuple),
        domains=st.just(()),
        region=st.sampled_from(["eu", "us", None]),
        capacity=st.integers(0, 4),
        senior=st.booleans(),
    ),
    max_size=10,
    unique_by=lambda annotator: annotator.annotator_id,
)
todo = st.lists(
    st.builds(
        RoutableTask,
        task_key=st.integers(0, 99).map("t{}".format),
        sample_id=st.sampled_from(["s0", "s1", "s2"]),
        attributes=st.dictionaries(st.sampled_from(["k", "language"]), words),
        region=st.sampled_from(["eu", "us", None]),
        asked=st.frozensets(st.sampled_from(["p0", "p1"])),
    ),
    max_size=10,
    unique_by=lambda task: task.task_key,
)
policies = st.builds(
    Routing,
    version=st.just("1.0.0"),
    rules=st.lists(
        st.builds(
            RoutingRule,
            name=st.just("r"),
            when=st.sampled_from([(), (("k", "x"),)]),
            skills=st.frozensets(words, max_size=1).map(tuple),
            languages=st.just(()),
            domains=st.just(()),
            cohorts=st.sampled_from([(), ("a", "b")]),
            same_region=st.booleans(),
        ),
        max_size=2,
    ).map(tuple),
    distinct_cohorts=st.booleans(),
    exclude_earlier_attempts=st.booleans(),
)
loads = st.dictionaries(st.sampled_from(["p0", "p1", "p2"]), st.integers(0, 3))
histories = st.dictionaries(st.sampled_from(["s0", "s1"]), st.frozensets(st.sampled_from(["p0", "p1", "p2"])))


@settings(max_examples=150)
@given(crowds, todo, policies, st.integers(1, 3), loads, histories, st.randoms(use_true_random=False))
def test_a_plan_keeps_every_rule_and_does_not_depend_on_the_order_of_its_input(
    crowd: list[Annotator],
    listed: list[RoutableTask],
    routing: Routing,
    overlap: int,
    load: dict[str, int],
    history: dict[str, frozenset[str]],
    shuffler: random.Random,
) -> None:
    found = route(
        listed, workforce=Workforce("1", tuple(crowd)), routing=routing, overlap=overlap, load=load, history=history
    )
    people = {annotator.annotator_id: annotator for annotator in crowd}
    per_task: dict[str, list[Annotator]] = {}
    for routed in found.assignments:
        per_task.setdefault(routed.task_key, []).append(people[routed.annotator_id])
    given_to = Counter(routed.annotator_id for routed in found.assignments)

    assert per_task.keys() | {missed.task_key for missed in found.unroutable} == {task.task_key for task in listed}
    assert not per_task.keys() & {missed.task_key for missed in found.unroutable}
    assert all(load.get(name, 0) + count <= people[name].capacity for name, count in given_to.items())
    for task in listed:
        chosen = per_task.get(task.task_key, [])
        names = [annotator.annotator_id for annotator in chosen]
        cohorts = [annotator.cohort for annotator in chosen]
        assert len(names) in (0, overlap)
        assert len(set(names)) == len(names)
        assert not set(names) & task.asked
        if routing.exclude_earlier_attempts:
            assert not set(names) & history.get(task.sample_id, frozenset())
        if routing.distinct_cohorts:
            asked = [people[name].cohort for name in task.asked if name in people]
            assert len(set(cohorts)) == len(cohorts)
            assert not set(cohorts) & set(asked)
        for annotator in chosen:
            assert_allowed(annotator, task, routing)
    shuffled_tasks, shuffled_crowd = list(listed), list(crowd)
    shuffler.shuffle(shuffled_tasks)
    shuffler.shuffle(shuffled_crowd)
    again = route(
        shuffled_tasks,
        workforce=Workforce("1", tuple(shuffled_crowd)),
        routing=routing,
        overlap=overlap,
        load=load,
        history=history,
    )
    assert again == found


def assert_allowed(annotator: Annotator, task: RoutableTask, routing: Routing) -> None:
    assert task.attributes.get("language") in (None, *annotator.languages)
    for wanted in routing.rules:
        if all(task.attributes.get(name) == value for name, value in wanted.when):
            assert set(wanted.skills) <= set(annotator.skills)
            assert not wanted.cohorts or annotator.cohort in wanted.cohorts
            assert not wanted.same_region or (task.region is not None and annotator.region == task.region)


def test_twenty_thousand_tasks_find_three_people_each() -> None:
    crowd = [
        person(f"a{n:03d}", cohort=f"c{n % 20}", skills=("x",) if n % 2 else (), languages=("en", "de")[: 1 + n % 2],
               region="eu", capacity=150)
        for n in range(500)
    ]  # fmt: skip
    listed = [RoutableTask(f"t{n}", f"s{n}", {"scanner": "ab"[n % 2], "language": "en"}, "eu") for n in range(20_000)]
    found = plan(listed, crowd, rule(when=(("scanner", "b"),), skills=("x",)), overlap=3, distinct_cohorts=True)

    assert len(found.assignments) == 60_000
