from annotation_ops.domain.reporting.people import (
    FEW_TASKS,
    HEAT_COLUMNS,
    HEAT_ROWS,
    MATRIX_PEOPLE,
    cohort_matrix,
    flags,
    heat_map,
    pair_matrix,
    usual_seconds,
)
from annotation_ops.domain.reporting.tallies import Tallies, Tally


def crowd(people: int, *, low: int = 0, n: int = 100) -> dict[str, Tally]:
    """Everybody agrees in 90 of 100 tasks, the first `low` in 50."""
    return {f"p{at:03d}": Tally(n * (0.5 if at < low else 0.9), n) for at in range(people)}


def test_three_people_have_a_row_each_and_nobody_is_left_over() -> None:
    tallies = Tallies(by_annotator=crowd(3), by_cell={("p000", "cat"): Tally(3.0, 4)})

    heat = heat_map(tallies, labels=("cat", "dog"), confidence=0.95)

    assert [row.annotator_id for row in heat.rows] == ["p000", "p001", "p002"]
    assert (heat.others, heat.labels_left_out) == ((), 0)
    first = heat.rows[0].cells
    assert (first[0].value if first[0] else None, first[1]) == (0.75, None)


def test_of_three_hundred_people_those_who_agree_least_have_a_row_and_the_rest_share_a_strip() -> None:
    people = crowd(300)
    people |= {"p150": Tally(20.0, 100), "p299": Tally(40.0, 100)}

    heat = heat_map(Tallies(by_annotator=people), labels=(), confidence=0.95)

    assert [row.annotator_id for row in heat.rows[:2]] == ["p150", "p299"]
    assert (len(heat.rows), len(heat.others)) == (HEAT_ROWS, 300 - HEAT_ROWS)


def test_the_classes_used_most_keep_their_column_in_taxonomy_order() -> None:
    labels = tuple(f"c{at:02d}" for at in range(HEAT_COLUMNS + 5))
    used = {("p000", label): Tally(1.0, at + 1) for at, label in enumerate(labels)}

    heat = heat_map(Tallies(by_annotator=crowd(1), by_cell=used), labels=labels, confidence=0.95)

    assert heat.labels == labels[5:]
    assert heat.labels_left_out == 5


def test_everybody_together_is_the_sum_of_the_column() -> None:
    cells = {("p000", "cat"): Tally(1.0, 4), ("p001", "cat"): Tally(5.0, 6)}

    (cat,) = heat_map(Tallies(by_annotator=crowd(2), by_cell=cells), labels=("cat",), confidence=0.95).everybody

    assert cat is not None
    assert (cat.value, cat.n) == (0.6, 10)


def test_a_small_pair_matrix_is_whole_and_symmetric() -> None:
    matrix = pair_matrix(Tallies(by_pair={("a", "b"): Tally(9.0, 10), ("b", "c"): Tally(1.0, 10)}), confidence=0.95)

    assert (matrix.people, matrix.complete) == (("a", "b", "c"), True)
    assert all(matrix.cells[i][j] == matrix.cells[j][i] for i in range(3) for j in range(3))
    assert (matrix.cells[0][2], matrix.cells[1][1]) == (None, None)
    assert [row.annotators for row in matrix.lowest] == [("b", "c"), ("a", "b")]


def test_a_large_pair_matrix_keeps_those_who_share_most_and_counts_every_telling_pair() -> None:
    names = [f"p{at:03d}" for at in range(40)]
    pairs = {(a, b): Tally(9.0, 10) for a in names for b in names if a < b}
    pairs |= {("p030", "p031"): Tally(0.0, 500), ("p000", "zz"): Tally(1.0, 1)}

    matrix = pair_matrix(Tallies(by_pair=pairs), confidence=0.95)

    assert len(matrix.people) == MATRIX_PEOPLE
    assert {"p030", "p031"} <= set(matrix.people)
    assert not matrix.complete
    assert (matrix.n_pairs, sum(matrix.histogram)) == (781, 780)
    assert matrix.histogram[0] == 1
    assert matrix.lowest[0].annotators == ("p030", "p031")


def test_people_far_below_the_others_are_flagged_and_chance_is_not() -> None:
    found = flags(crowd(100, low=3), seconds={})

    assert sorted(name for name, raised in found.items() if "below_the_others" in raised) == ["p000", "p001", "p002"]


def test_few_shared_tasks_are_little_evidence_and_flag_nobody_as_low() -> None:
    assert flags(crowd(20) | {"new": Tally(0.0, 9)}, seconds={})["new"] == ("little_evidence",)


def test_a_pace_below_half_of_the_usual_one_is_quick() -> None:
    seconds: dict[str, float | None] = {"p000": 3.9, "p001": 8.0, "p002": 8.0, "p003": None}

    assert flags(crowd(4), seconds=seconds)["p000"] == ("quick",)
    assert flags(crowd(4), seconds=seconds | {"p000": 4.0})["p000"] == ()


def test_answers_without_labels_have_no_columns_and_none_is_called_left_out() -> None:
    heat = heat_map(Tallies(by_annotator=crowd(3)), labels=("cat", "dog"), confidence=0.95)

    assert (len(heat.rows), heat.labels, heat.labels_left_out) == (3, (), 0)


def test_a_matrix_of_people_who_hardly_meet_is_not_shown_but_their_pairs_are_counted() -> None:
    names = [f"p{at:03d}" for at in range(MATRIX_PEOPLE + 1)]
    pairs = {(a, b): Tally(1.0, FEW_TASKS - 1) for a in names for b in names if a < b}
    pairs["p000", "p001"] = Tally(1.0, FEW_TASKS)

    matrix = pair_matrix(Tallies(by_pair=pairs), confidence=0.95)

    assert (matrix.people, matrix.cells, matrix.complete) == ((), (), False)
    assert (matrix.n_pairs, sum(matrix.histogram)) == (len(pairs), 1)


def test_a_few_people_who_hardly_meet_are_still_shown() -> None:
    assert pair_matrix(Tallies(by_pair={("a", "b"): Tally(1.0, 1)}), confidence=0.95).people == ("a", "b")


def test_cohorts_are_compared_over_all_pairs_of_their_people() -> None:
    pairs = {("ann", "bob"): Tally(9.0, 10), ("ann", "cyd"): Tally(6.0, 10), ("bob", "cyd"): Tally(3.0, 20)}

    matrix = cohort_matrix(Tallies(by_pair=pairs), cohorts={"ann": "north", "bob": "north"})

    assert (matrix.cohorts, matrix.people) == (("north", "not declared"), (2, 1))
    (north, between), (again, west) = matrix.cells
    assert north is not None
    assert (north.value, north.n) == (0.9, 10)
    assert between == again
    assert between is not None
    assert (between.value, between.n, between.low) == (0.3, 30, None)
    assert west is None


def test_the_usual_pace_leaves_out_who_was_not_timed() -> None:
    assert usual_seconds([None, 2.0, 4.0]) == 3.0
    assert usual_seconds([None]) is None
