from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.selection.exclusion import ExclusionIndex
from annotation_ops.domain.selection.ranking import Ranking, rank_pool
from annotation_ops.domain.selection.request import PoolColumns, RankRequest

WIDE = PoolColumns(probabilities=("p_a", "p_b", "p_c"))
SLICED = PoolColumns(probabilities=("p_a", "p_b", "p_c"), slice="scanner")
EMBEDDED = PoolColumns(probabilities=("p_a", "p_b", "p_c"), embedding="embedding")


def _pool(n: int, *, seed: int = 0, scanners: str = "ab") -> pa.Table:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(3), n)
    return pa.table(
        {
            "sample_id": [f"s{i:05d}" for i in range(n)],
            "scanner": [scanners[i] for i in rng.integers(0, len(scanners), n)],
            **{name: scores[:, k] for k, name in enumerate(("p_a", "p_b", "p_c"))},
            "probs": pa.array(scores.tolist()),
            "embedding": pa.array(rng.normal(size=(n, 4)).tolist()),
        }
    )


def _rank(
    pool: pa.Table,
    columns: PoolColumns = WIDE,
    *,
    budget: int = 20,
    window: int | None = None,
    strategy: str = "margin",
    random_share: float = 0.0,
    seed: str = "1",
    excluded: Sequence[str] = (),
    batch_rows: int = 37,
) -> Ranking:
    def scan(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from pool.select(list(dict.fromkeys(names))).combine_chunks().to_batches(max_chunksize=batch_rows)

    request = RankRequest(
        budget=budget, window=window or budget, strategy=strategy, random_share=random_share, seed=seed
    )
    index = ExclusionIndex(pa.array(list(excluded), pa.string())) if excluded else None
    return rank_pool(scan, columns=columns, request=request, excluded=index)


def _ids(ranking: Ranking) -> list[str]:
    return ranking.rows.column("sample_id").to_pylist()


def test_the_most_uncertain_come_first() -> None:
    pool = _pool(200)
    scores = np.sort(np.column_stack([pool[name].to_numpy() for name in WIDE.probabilities]), axis=1)
    order = np.argsort(scores[:, 2] - scores[:, 1])

    assert _ids(_rank(pool)) == [pool["sample_id"][int(row)].as_py() for row in order[:20]]


def test_a_tie_is_broken_by_sample_id_bytewise() -> None:
    ids = ["z", "é", "B", "a", "Z", "aa"]
    pool = pa.table({"sample_id": ids, "p_a": [0.5] * 6, "p_b": [0.5] * 6, "p_c": [0.0] * 6})

    assert _ids(_rank(pool, budget=6)) == ["B", "Z", "a", "aa", "z", "é"]


@settings(max_examples=25)
@given(
    st.sampled_from(["margin_kmeans", "margin", "entropy", "least_confidence", "random"]),
    st.sampled_from([WIDE, SLICED, EMBEDDED, PoolColumns(probability_list="probs", slice="scanner")]),
    st.integers(1, 90),
    st.integers(0, 10_000),
)
def test_the_ranking_does_not_depend_on_the_order_or_the_batches_of_the_pool(
    strategy: str, columns: PoolColumns, batch_rows: int, shuffle: int
) -> None:
    pool = _pool(120)
    mixed = pool.take(pa.array(np.random.default_rng(shuffle).permutation(120)))
    asked = {"strategy": strategy, "random_share": 0.25, "window": 10, "excluded": ["s00003", "s00004"]}

    expected = _rank(pool, columns, **asked)
    found = _rank(mixed, columns, batch_rows=batch_rows, **asked)

    assert found.rows.equals(expected.rows)
    assert found.report == expected.report


@pytest.mark.parametrize("strategy", ["margin_kmeans", "margin", "random"])
def test_excluded_samples_are_never_ranked(strategy: str) -> None:
    pool = _pool(60)
    excluded = [f"s{i:05d}" for i in range(0, 60, 2)]

    ranking = _rank(pool, EMBEDDED, budget=60, strategy=strategy, random_share=0.2, excluded=excluded)

    assert sorted(_ids(ranking)) == [f"s{i:05d}" for i in range(1, 60, 2)]
    assert ranking.report.excluded == 30


def test_no_sample_is_ranked_twice_when_the_control_meets_the_uncertain() -> None:
    ranking = _rank(_pool(30), budget=30, random_share=0.5)

    assert len(set(_ids(ranking))) == 30


def test_an_unscorable_sample_is_counted_and_only_the_control_may_hold_it() -> None:
    pool = _pool(100)
    broken = pool["p_a"].to_numpy().copy()
    broken[:50] = np.nan
    pool = pool.set_column(pool.schema.get_field_index("p_a"), "p_a", pa.array(broken))

    ranking = _rank(pool, budget=100, random_share=0.1)

    rows = ranking.rows.to_pylist()
    assert ranking.report.unscorable == 50
    assert all(row["selection_reason"] == "random_control" for row in rows if row["sample_id"] < "s00050")
    assert all(row["uncertainty"] is None for row in rows if row["sample_id"] < "s00050")
    assert {row["sample_id"] for row in rows} >= {f"s{i:05d}" for i in range(50, 100)}


def test_every_window_holds_its_share_of_the_control_with_its_inclusion_probability() -> None:
    ranking = _rank(_pool(500), budget=60, window=20, random_share=0.1)

    for start in (0, 20, 40):
        window = ranking.rows.slice(start, 20).to_pylist()
        drawn = [row for row in window if row["selection_reason"] == "random_control"]
        assert len(drawn) == 2
        assert {row["inclusion_probability"] for row in drawn} == {2 / 500}
        assert all(row["inclusion_probability"] is None for row in window if row not in drawn)
    assert ranking.report.random == 6


def test_over_many_seeds_every_sample_is_drawn_as_often_as_its_inclusion_probability_says() -> None:
    pool = _pool(40)
    drawn: Counter[str] = Counter()

    for seed in range(400):
        ranking = _rank(pool, budget=8, random_share=0.5, seed=str(seed), batch_rows=40)
        drawn.update(
            row["sample_id"] for row in ranking.rows.to_pylist() if row["selection_reason"] == "random_control"
        )

    assert sum(drawn.values()) == 1600
    chi_square = sum((drawn[f"s{i:05d}"] - 40) ** 2 / (40 * 0.9) for i in range(40))
    assert chi_square < 85, "39 degrees of freedom, more than 5 standard deviations"


def test_slice_values_get_equal_shares_of_every_window() -> None:
    ranking = _rank(_pool(300, scanners="aaaaaaaab"), SLICED, budget=20, window=10)

    for start in (0, 10):
        assert Counter(ranking.rows.slice(start, 10)["scanner"].to_pylist()) == {"a": 5, "b": 5}


def test_a_slice_that_runs_short_is_reported_and_the_others_take_over() -> None:
    pool = _pool(50)
    pool = pool.set_column(1, "scanner", pa.array(["rare" if i < 3 else None if i < 30 else "b" for i in range(50)]))

    ranking = _rank(pool, SLICED, budget=30)

    shares = {share.value: share for share in ranking.report.slices}
    assert [shares["rare"].quota, shares["rare"].ranked, shares["rare"].shortfall] == [10, 3, 7]
    assert shares[""].ranked + shares["b"].ranked == 27
    assert abs(shares[""].ranked - shares["b"].ranked) <= 1


def test_the_default_without_embeddings_balances_the_predicted_classes_and_says_so() -> None:
    rng = np.random.default_rng(0)
    rare = rng.uniform(0.5, 0.6, 200)
    columns = {"p_a": 1 - rare, "p_b": rare, "p_c": np.zeros(200)}
    columns = {
        name: np.where(np.arange(200) < 10, np.array([0.05, 0.05, 0.9])[k], columns[name])
        for k, name in enumerate(columns)
    }
    pool = pa.table({"sample_id": [f"s{i:05d}" for i in range(200)], **columns})

    ranking = _rank(pool, budget=10, strategy="margin_kmeans")

    assert ranking.report.strategy == "class_balanced_margin"
    assert sum(sample < "s00010" for sample in _ids(ranking)) == 5


def test_the_default_takes_one_sample_from_each_group_of_near_duplicates() -> None:
    n = 100
    pool = pa.table(
        {
            "sample_id": [f"s{i:05d}" for i in range(n)],
            "p_a": np.full(n, 0.4) + np.arange(n) * 1e-6,
            "p_b": np.full(n, 0.4) - np.arange(n) * 1e-6,
            "p_c": np.full(n, 0.2),
            "embedding": pa.array([[float(i // 20), (i % 20) * 1e-4] for i in range(n)]),
        }
    )

    spread = _rank(pool, EMBEDDED, budget=5, window=5, strategy="margin_kmeans", batch_rows=n)
    plain = _rank(pool, EMBEDDED, budget=5, window=5, strategy="margin")

    assert len({int(sample[1:]) // 20 for sample in _ids(plain)}) == 1
    assert len({int(sample[1:]) // 20 for sample in _ids(spread)}) >= 3, "the front of 50 holds 3 of the groups"
    assert spread.report.strategy == "margin_kmeans"


def test_without_any_probabilities_the_start_is_k_means_over_the_embeddings() -> None:
    pool = _pool(100).set_column(5, "probs", pa.nulls(100, pa.list_(pa.float64())))
    centres = pa.array([[float(i // 25 * 10), 0.0] for i in range(100)])
    pool = pool.set_column(pool.schema.get_field_index("embedding"), "embedding", centres)
    columns = PoolColumns(probability_list="probs", embedding="embedding")

    ranking = _rank(pool, columns, budget=4, strategy="margin_kmeans")

    rows = ranking.rows.to_pylist()
    assert ranking.report.strategy == "kmeans"
    assert {int(row["sample_id"][1:]) // 25 for row in rows} == {0, 1, 2, 3}
    assert {(row["selection_reason"], row["uncertainty"]) for row in rows} == {("cold_start", None)}


def test_without_probabilities_and_embeddings_the_start_is_a_uniform_draw() -> None:
    ranking = _rank(_pool(50), PoolColumns(), budget=10, strategy="margin_kmeans", random_share=0.1)

    assert ranking.report.strategy == "random"
    assert "cold start" in ranking.report.strategy_reason
    assert set(ranking.rows["inclusion_probability"].to_pylist()) == {10 / 50}


def test_a_candidate_without_an_embedding_turns_the_default_into_margin_with_the_reason() -> None:
    pool = _pool(50)
    holes = pool["embedding"].to_pylist()
    holes[7] = None
    pool = pool.set_column(pool.schema.get_field_index("embedding"), "embedding", pa.array(holes))

    ranking = _rank(pool, EMBEDDED, budget=5, strategy="margin_kmeans")

    assert ranking.report.strategy == "margin"
    assert "1 of 50 candidates have no usable embedding" in ranking.report.strategy_reason


def test_a_draw_by_slice_gives_the_inclusion_probability_of_the_slice() -> None:
    pool = _pool(100)
    pool = pool.set_column(1, "scanner", pa.array(["a"] * 90 + ["b"] * 10))

    ranking = _rank(pool, SLICED, budget=10, strategy="random")

    rows = ranking.rows.to_pylist()
    assert {(row["scanner"], row["inclusion_probability"]) for row in rows} == {("a", 5 / 90), ("b", 5 / 10)}


def test_the_histogram_counts_every_scored_sample_once() -> None:
    report = _rank(_pool(300), excluded=["s00001"]).report

    assert sum(report.histogram) == report.pool - report.excluded - report.unscorable == 299


def test_an_empty_pool_gives_an_empty_ranking() -> None:
    ranking = _rank(_pool(0), SLICED, strategy="margin_kmeans", random_share=0.1)

    assert ranking.rows.num_rows == 0
    assert ranking.report.pool == 0


def test_a_sample_twice_among_the_candidates_is_refused() -> None:
    pool = _pool(10)

    with pytest.raises(InvalidInput, match=r"'s0000[0-9]' occurs more than once"):
        _rank(pa.concat_tables([pool, pool]))


def test_a_null_id_is_refused_with_its_row() -> None:
    pool = _pool(50).set_column(0, "sample_id", pa.array([None if i == 41 else f"s{i}" for i in range(50)]))

    with pytest.raises(InvalidInput, match="row 41"):
        _rank(pool)


def test_lists_of_different_length_are_refused_with_the_sample() -> None:
    pool = pa.table({"sample_id": ["a", "b"], "probs": [[0.5, 0.5], [0.2, 0.3, 0.5]]})

    with pytest.raises(InvalidInput, match="sample 'b': found 3 values in probs, expected 2"):
        _rank(pool, PoolColumns(probability_list="probs"))


def test_a_slice_with_too_many_values_is_refused() -> None:
    pool = _pool(1100).set_column(1, "scanner", pa.array([str(i) for i in range(1100)]))

    with pytest.raises(InvalidInput, match="more than 1000 values"):
        _rank(pool, SLICED)
