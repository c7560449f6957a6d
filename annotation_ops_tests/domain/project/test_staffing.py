from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.project.routing import RoutingRule
from annotation_ops.domain.project.staffing import MAX_KINDS, staffing_faults
from annotation_ops.domain.project.workforce import Annotator, Workforce
from annotation_ops.domain.workforce.routing import RoutableTask, route
from annotation_ops_tests.domain.project.examples import edited, faults_of, parse, texts


def person(number, cohort="x", **fields):
    blank = {"skills": (), "languages": (), "domains": (), "region": None, "capacity": 10, "senior": False}
    return Annotator(annotator_id=f"p{number}", cohort=cohort, **(blank | fields))


def check(
    people, *, rules=(), overlap=2, attempts=1, distinct=False, exclude=True, project="digits", open_slices=False
):
    example = parse(texts(project))
    metadata = tuple(
        replace(field, allowed=() if open_slices else field.allowed) for field in example.contract.metadata
    )
    return list(
        staffing_faults(
            replace(example.contract, metadata=metadata),
            workforce=Workforce("1.0.0", tuple(people)),
            routing=replace(
                example.routing, rules=tuple(rules), distinct_cohorts=distinct, exclude_earlier_attempts=exclude
            ),
            workflow=replace(example.workflow, overlap=overlap, max_attempts=attempts),
            file="workflow.yaml",
        )
    )


def rule(name="r", when=(), **fields):
    blank = {"skills": (), "languages": (), "domains": (), "cohorts": (), "same_region": False}
    return RoutingRule(name=name, when=when, **(blank | fields))


def test_as_many_people_as_judgements_suffice_and_one_fewer_do_not():
    assert check([person(1), person(2)]) == []
    [fault] = check([person(1)])
    assert (fault.path, fault.found) == ("overlap", "1 person who may judge a task")
    assert fault.expected == "at least 2 (the overlap)"


def test_every_attempt_needs_people_of_its_own_when_earlier_judges_are_excluded():
    people = [person(number) for number in range(5)]

    assert check(people, overlap=2, attempts=3) != []
    assert check([*people, person(5)], overlap=2, attempts=3) == []
    assert check(people, overlap=2, attempts=3, exclude=False) == []


def test_distinct_cohorts_give_one_judgement_an_attempt_each():
    people = [person(1, "x"), person(2, "x"), person(3, "x"), person(4, "y")]

    assert check(people, overlap=2, distinct=True) == []
    assert check(people, overlap=2, attempts=2, distinct=True) != []
    assert check([*people, person(5, "y")], overlap=2, attempts=2, distinct=True) == []


def test_rules_that_hold_together_are_counted_together():
    people = [person(1, skills=("a",)), person(2, skills=("a", "b")), person(3, skills=("b",))]
    rules = [rule("one", skills=("a",)), rule("two", when=(("scanner", "b"),), skills=("b",))]

    [fault] = check(people, rules=rules)
    assert fault.found == "1 person who may judge a task with scanner=b"


def test_language_and_region_are_counted_for_every_combination():
    project = parse(texts("reviews"))
    germans = [p for p in project.workforce.annotators if p.region == "us"]
    people = [p for p in project.workforce.annotators if p.region == "eu"]
    people += [replace(p, languages=("en",)) for p in germans]
    found = [
        fault.found for fault in check(people, rules=project.routing.rules, overlap=2, attempts=2, project="reviews")
    ]

    assert found == ["0 people who may judge a task with language=de, region=us"]


def test_the_example_with_one_person_less_no_longer_suffices():
    faults = faults_of(edited("workforce.yaml", "region: us", "region: eu", project="reviews"))

    assert [(fault.file, fault.path) for fault in faults] == [("workflow.yaml", "overlap")] * 2
    assert [fault.found.rpartition(" with ")[2] for fault in faults] == [
        "language=en, region=us",
        "language=de, region=us",
    ]


@settings(max_examples=80)
@given(
    people=st.lists(st.tuples(st.sampled_from("xyz"), st.booleans()), min_size=1, max_size=7),
    overlap=st.integers(1, 3),
    attempts=st.integers(1, 2),
    distinct=st.booleans(),
)
def test_no_fault_means_that_the_router_can_fill_the_first_attempt(people, overlap, attempts, distinct):
    crew = [person(n, cohort, skills=("a",) if skilled else ()) for n, (cohort, skilled) in enumerate(people)]
    rules = (rule(skills=("a",)),)
    faults = check(crew, rules=rules, overlap=overlap, attempts=attempts, distinct=distinct)
    routing = replace(parse(texts("digits")).routing, rules=rules, distinct_cohorts=distinct)
    plan = route(
        [RoutableTask("t", "s", {"scanner": "a"})],
        workforce=Workforce("1.0.0", tuple(crew)),
        routing=routing,
        overlap=overlap,
        load={},
        history={},
    )

    assert not plan.unroutable or faults
    assert faults or len(plan.assignments) == overlap
    if attempts == 1:
        assert bool(plan.unroutable) == bool(faults)


def test_only_so_many_kinds_of_tasks_are_looked_at():
    rules = [rule(f"r{n}", when=(("scanner", f"v{n:04d}"),), skills=("a",)) for n in range(MAX_KINDS + 1)]

    assert len(check([person(1)], rules=rules, open_slices=True)) == MAX_KINDS


def test_an_open_slice_has_values_that_no_rule_mentions():
    rules = [rule("known", when=(("scanner", "a"),), cohorts=("x",)), rule("all", skills=("s",))]
    people = [person(1, skills=("s",)), person(2, "y", skills=("s",))]
    found = [fault.found for fault in check(people, rules=rules, open_slices=True)]

    assert found == ["1 person who may judge a task with scanner=a"]
    assert check([person(1, skills=("s",))] * 2, rules=rules, overlap=3, open_slices=True)[1].found == (
        "2 people who may judge a task"
    )
