import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.planning.aql_scheme import (
    AQLS,
    LARGEST_LOT,
    LETTERS,
    REDUCED_SCORE,
    Severity,
    Switching,
    after_lot,
    lot_plan,
    resume,
)

NORMAL = """\
A 20:0/1 13:0/1 8:0/1 5:0/1 3:0/1 2:0/1 5:1/2
B 20:0/1 13:0/1 8:0/1 5:0/1 3:0/1 2:0/1 5:1/2
C 20:0/1 13:0/1 8:0/1 5:0/1 3:0/1 8:1/2 5:1/2
D 20:0/1 13:0/1 8:0/1 5:0/1 13:1/2 8:1/2 8:2/3
E 20:0/1 13:0/1 8:0/1 20:1/2 13:1/2 13:2/3 13:3/4
F 20:0/1 13:0/1 32:1/2 20:1/2 20:2/3 20:3/4 20:5/6
G 20:0/1 50:1/2 32:1/2 32:2/3 32:3/4 32:5/6 32:7/8
H 80:1/2 50:1/2 50:2/3 50:3/4 50:5/6 50:7/8 50:10/11
J 80:1/2 80:2/3 80:3/4 80:5/6 80:7/8 80:10/11 80:14/15
K 125:2/3 125:3/4 125:5/6 125:7/8 125:10/11 125:14/15 125:21/22
L 200:3/4 200:5/6 200:7/8 200:10/11 200:14/15 200:21/22 125:21/22
M 315:5/6 315:7/8 315:10/11 315:14/15 315:21/22 200:21/22 125:21/22
N 500:7/8 500:10/11 500:14/15 500:21/22 315:21/22 200:21/22 125:21/22
P 800:10/11 800:14/15 800:21/22 500:21/22 315:21/22 200:21/22 125:21/22
Q 1250:14/15 1250:21/22 800:21/22 500:21/22 315:21/22 200:21/22 125:21/22
"""
TIGHTENED = """\
A 32:0/1 20:0/1 13:0/1 8:0/1 5:0/1 3:0/1 8:1/2
B 32:0/1 20:0/1 13:0/1 8:0/1 5:0/1 3:0/1 8:1/2
C 32:0/1 20:0/1 13:0/1 8:0/1 5:0/1 13:1/2 8:1/2
D 32:0/1 20:0/1 13:0/1 8:0/1 20:1/2 13:1/2 8:1/2
E 32:0/1 20:0/1 13:0/1 32:1/2 20:1/2 13:1/2 13:2/3
F 32:0/1 20:0/1 50:1/2 32:1/2 20:1/2 20:2/3 20:3/4
G 32:0/1 80:1/2 50:1/2 32:1/2 32:2/3 32:3/4 32:5/6
H 125:1/2 80:1/2 50:1/2 50:2/3 50:3/4 50:5/6 50:8/9
J 125:1/2 80:1/2 80:2/3 80:3/4 80:5/6 80:8/9 80:12/13
K 125:1/2 125:2/3 125:3/4 125:5/6 125:8/9 125:12/13 125:18/19
L 200:2/3 200:3/4 200:5/6 200:8/9 200:12/13 200:18/19 125:18/19
M 315:3/4 315:5/6 315:8/9 315:12/13 315:18/19 200:18/19 125:18/19
N 500:5/6 500:8/9 500:12/13 500:18/19 315:18/19 200:18/19 125:18/19
P 800:8/9 800:12/13 800:18/19 500:18/19 315:18/19 200:18/19 125:18/19
Q 1250:12/13 1250:18/19 800:18/19 500:18/19 315:18/19 200:18/19 125:18/19
"""
REDUCED = """\
A 8:0/1 5:0/1 3:0/1 2:0/1 2:0/1 2:0/1 2:0/2
B 8:0/1 5:0/1 3:0/1 2:0/1 2:0/1 2:0/1 2:0/2
C 8:0/1 5:0/1 3:0/1 2:0/1 2:0/1 3:0/2 2:0/2
D 8:0/1 5:0/1 3:0/1 2:0/1 5:0/2 3:0/2 3:1/3
E 8:0/1 5:0/1 3:0/1 8:0/2 5:0/2 5:1/3 5:1/4
F 8:0/1 5:0/1 13:0/2 8:0/2 8:1/3 8:1/4 8:2/5
G 8:0/1 20:0/2 13:0/2 13:1/3 13:1/4 13:2/5 13:3/6
H 32:0/2 20:0/2 20:1/3 20:1/4 20:2/5 20:3/6 20:5/8
J 32:0/2 32:1/3 32:1/4 32:2/5 32:3/6 32:5/8 32:7/10
K 50:1/3 50:1/4 50:2/5 50:3/6 50:5/8 50:7/10 50:10/13
L 80:1/4 80:2/5 80:3/6 80:5/8 80:7/10 80:10/13 50:10/13
M 125:2/5 125:3/6 125:5/8 125:7/10 125:10/13 80:10/13 50:10/13
N 200:3/6 200:5/8 200:7/10 200:10/13 125:10/13 80:10/13 50:10/13
P 315:5/8 315:7/10 315:10/13 200:10/13 125:10/13 80:10/13 50:10/13
Q 500:7/10 500:10/13 315:10/13 200:10/13 125:10/13 80:10/13 50:10/13
"""
"""Size : acceptance / rejection number of each code letter at AQL 0.65 to 10, arrows followed: CRAN package AQLSchemes
1.7-2, from MIL-STD-105E tables II-A to II-C. A size of the lot or more is the whole lot."""

TABLES = {Severity.NORMAL: NORMAL, Severity.TIGHTENED: TIGHTENED, Severity.REDUCED: REDUCED}


@pytest.mark.parametrize("severity", TABLES)
def test_every_plan_is_that_of_the_published_tables(severity: Severity) -> None:
    wrong = []
    for line in TABLES[severity].splitlines():
        letter, *cells = line.split()
        lot = int(min(LARGEST_LOT[LETTERS.index(letter)], 1_000_000))
        for aql, cell in zip(AQLS, cells, strict=True):
            size, _, numbers = cell.partition(":")
            plan = lot_plan(lot, aql=aql, severity=severity)
            if f"{plan.size}:{plan.accept}/{plan.reject}" != f"{min(int(size), lot)}:{numbers}":
                wrong.append((letter, aql, plan, cell))

    assert wrong == []


@pytest.mark.parametrize(
    ("lot", "letter"),
    [
        (2, "A"),
        (8, "A"),
        (9, "B"),
        (90, "E"),
        (150, "F"),
        (280, "G"),
        (500, "H"),
        (501, "J"),
        (3200, "K"),
        (10_000, "L"),
        (35_001, "N"),
    ],
)
def test_lots_have_the_code_letters_of_level_two(lot: int, letter: str) -> None:
    # A plan without an arrow keeps the letter of the lot.
    found = {lot_plan(lot, aql=aql).letter for aql in AQLS}

    assert letter in found


def test_a_lot_five_percent_bad_passes_the_usual_plan_four_times_in_five() -> None:
    plan = lot_plan(1_000, aql=2.5)

    assert (plan.letter, plan.size, plan.accept) == ("J", 80, 5)
    assert plan.acceptance(0.05) == pytest.approx(0.789, abs=0.001)
    assert plan.acceptance(0.08) == pytest.approx(0.375, abs=0.001)


def test_an_arrow_leads_to_the_next_larger_sample() -> None:
    plan = lot_plan(200, aql=1.0)

    assert (plan.letter, plan.size, plan.accept) == ("H", 50, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"lot": 1}, "lot: found 1"),
        ({"aql": 3.0}, "aql: found 3, expected one of 0.65"),
        ({"severity": Severity.DISCONTINUED}, "Mend the cause"),
    ],
)
def test_plans_that_do_not_exist_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        lot_plan(**{"lot": 500, "aql": 2.5, **arguments})  # type: ignore[arg-type]


def stream(errors: list[int], state: Switching | None = None) -> Switching:
    """Lots of 1,000 at AQL 2.5 (normal: 80, Ac 5; tightened: 80, Ac 3; reduced: 32, Ac 2, Re 5)."""
    state = state or Switching()
    for count in errors:
        _, state = after_lot(state, lot=1_000, aql=2.5, errors=count)
    return state


def test_two_of_five_rejected_lots_tighten() -> None:
    assert stream([6, 0, 0, 0, 6]).severity is Severity.TIGHTENED
    assert stream([6, 6]).severity is Severity.TIGHTENED
    assert stream([6, 0, 0, 0, 0, 6]).severity is Severity.NORMAL


def test_five_accepted_lots_in_a_row_return_to_normal() -> None:
    tightened = Switching(Severity.TIGHTENED)

    assert stream([3, 3, 3, 3], tightened).severity is Severity.TIGHTENED
    assert stream([3, 3, 3, 3, 3], tightened) == Switching()
    assert stream([3, 3, 4, 3, 3, 3, 3], tightened).severity is Severity.TIGHTENED


def test_five_rejected_lots_under_tightened_inspection_end_it() -> None:
    state = stream([4, 0, 4, 0, 4, 0, 4, 0], Switching(Severity.TIGHTENED))
    assert (state.severity, state.rejected) == (Severity.TIGHTENED, 4)

    ended = stream([4], state)

    assert ended.severity is Severity.DISCONTINUED
    with pytest.raises(InvalidInput, match="then resume"):
        after_lot(ended, lot=1_000, aql=2.5, errors=0)
    assert resume(ended) == Switching(Severity.TIGHTENED)
    with pytest.raises(InvalidInput, match="nothing to resume"):
        resume(Switching())


def test_ten_lots_that_pass_the_next_stricter_aql_reduce() -> None:
    assert stream([3] * 9).score == 27
    assert stream([3] * 10).severity is Severity.REDUCED
    # 4 errors pass at AQL 2.5 (Ac 5) but not at 1.5 (Ac 3).
    assert stream([3, 3, 4]).score == 0


def test_plans_that_allow_one_error_at_most_count_two_a_lot() -> None:
    state = Switching()
    for _ in range(14):
        _, state = after_lot(state, lot=400, aql=1.0, errors=1)

    assert state.score == 28
    _, state = after_lot(state, lot=400, aql=1.0, errors=1)
    assert state.severity is Severity.REDUCED


def test_reduced_inspection_ends_at_the_first_doubt() -> None:
    reduced = Switching(Severity.REDUCED)

    assert stream([2, 1], reduced).severity is Severity.REDUCED
    accepted, state = after_lot(reduced, lot=1_000, aql=2.5, errors=3)
    assert (accepted, state) == (True, Switching())
    accepted, state = after_lot(reduced, lot=1_000, aql=2.5, errors=5)
    assert (accepted, state) == (False, Switching())
    _, state = after_lot(reduced, lot=1_000, aql=2.5, errors=0, may_reduce=False)
    assert state == Switching()


def test_nobody_is_reduced_against_the_word_of_the_responsible() -> None:
    state = Switching()
    for _ in range(20):
        _, state = after_lot(state, lot=1_000, aql=2.5, errors=0, may_reduce=False)

    assert state.severity is Severity.NORMAL
    assert state.score >= REDUCED_SCORE


@given(st.lists(st.integers(0, 12), max_size=60))
def test_severity_moves_only_along_the_arrows_of_the_standard(errors: list[int]) -> None:
    arrows = {
        Severity.NORMAL: {Severity.NORMAL, Severity.TIGHTENED, Severity.REDUCED},
        Severity.TIGHTENED: {Severity.TIGHTENED, Severity.NORMAL, Severity.DISCONTINUED},
        Severity.REDUCED: {Severity.REDUCED, Severity.NORMAL},
    }
    state = Switching()
    for count in errors:
        if state.severity is Severity.DISCONTINUED:
            break
        plan = lot_plan(1_000, aql=2.5, severity=state.severity)
        accepted, following = after_lot(state, lot=1_000, aql=2.5, errors=count)
        assert accepted == (count < plan.reject)
        assert following.severity in arrows[state.severity]
        assert len(following.recent) <= 5
        assert following.score == 0 or following.severity is Severity.NORMAL
        assert following.rejected <= 4
        state = following


def test_more_errors_than_audited_tasks_are_refused() -> None:
    with pytest.raises(InvalidInput, match="errors: found 81, expected 0 to 80"):
        after_lot(Switching(), lot=1_000, aql=2.5, errors=81)
