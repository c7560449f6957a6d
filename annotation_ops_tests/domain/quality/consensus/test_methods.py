from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.project.criteria import ConsensusMethod
from annotation_ops.domain.quality.consensus.methods import consensus
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops_tests.domain.quality.crowds import of_grid

METHODS = get_args(ConsensusMethod)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_in_gives_nothing_out(method) -> None:
    assert consensus(Judgements.from_rows([], categories="xy"), method=method) == ()


@pytest.mark.parametrize("method", METHODS)
def test_agreement_of_all_is_the_label_and_disagreement_of_two_a_tie(method) -> None:
    judgements = of_grid(("x y x y z", "x y x y x", "x y x y ."), categories="xyz")

    items = consensus(judgements, method=method, predictions=np.full((5, 3), 1 / 3))

    assert [item.label for item in items[:4]] == list("xyxy")
    assert all(item.agreement == 1.0 and not item.tie for item in items[:4])
    if method not in ("dawid_skene", "hierarchical_dawid_skene", "one_coin"):
        assert (items[4].label, items[4].tie) == (None, True)


@pytest.mark.parametrize("method", METHODS)
def test_one_category_one_task_and_one_annotator_are_answered(method) -> None:
    (item,) = consensus(
        Judgements.from_rows([("t", "a", "x")], categories="x"), method=method, predictions=np.ones((1, 1))
    )

    assert (item.label, item.confidence, item.entropy) == ("x", 1.0, 0.0)


def test_entropy_is_that_of_the_distribution() -> None:
    (item,) = consensus(of_grid(("x", "y"), categories="xy"), method="majority")

    assert item.entropy == pytest.approx(np.log(2))


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15)
@given(data=st.data())
def test_renaming_and_reordering_changes_nothing_and_distributions_sum_to_one(method, data) -> None:
    q, people, tasks = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5)), data.draw(st.integers(1, 8))
    cells = data.draw(st.lists(st.integers(-1, q - 1), min_size=people * tasks, max_size=people * tasks))
    names = data.draw(st.permutations([f"p{i}" for i in range(people)]))
    grid = [(t, a, cells[t * people + a]) for t in range(tasks) for a in range(people) if cells[t * people + a] >= 0]
    categories = [str(label) for label in range(q)]
    plain = Judgements.from_rows(((f"t{t}", f"p{a}", str(c)) for t, a, c in grid), categories=categories)
    renamed = Judgements.from_rows(((f"t{t}", names[a], str(c)) for t, a, c in reversed(grid)), categories=categories)
    predictions = np.random.default_rng(0).dirichlet(np.ones(q), len(plain.tasks))

    one, other = (consensus(j, method=method, predictions=predictions) for j in (plain, renamed))

    given_labels = {(f"t{t}", str(c)) for t, _, c in grid}
    for item, twin in zip(one, other, strict=True):
        assert (item.task_id, item.label, item.tie) == (twin.task_id, twin.label, twin.tie)
        assert item.distribution == pytest.approx(twin.distribution, abs=1e-8)
        assert sum(item.distribution) == pytest.approx(1.0, abs=1e-7)
        assert item.label is None or (item.task_id, item.label) in given_labels
