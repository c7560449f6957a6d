import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.selection.exclusion import ExclusionIndex
from annotation_ops.domain.selection.stable_hash import hash_ids

ids = st.lists(st.sampled_from([f"s{i}" for i in range(40)]), max_size=30, unique=True)


def _same_hash(values: pa.Array) -> np.ndarray:
    return np.zeros(len(values), dtype=np.uint64)


@given(pool=ids, excluded=ids)
def test_exactly_the_excluded_ids_match(pool: list[str], excluded: list[str]) -> None:
    index = ExclusionIndex(pa.array(excluded, pa.string()))
    array = pa.array(pool, pa.string())

    assert index.matches(array, hashes=hash_ids(array)).tolist() == [sample in excluded for sample in pool]


@given(pool=ids, excluded=ids)
def test_ids_that_share_one_hash_are_told_apart(pool: list[str], excluded: list[str]) -> None:
    index = ExclusionIndex(pa.array(excluded, pa.string()), hasher=_same_hash)
    array = pa.array(pool, pa.string())

    assert index.matches(array, hashes=_same_hash(array)).tolist() == [sample in excluded for sample in pool]


def test_another_version_of_an_excluded_sample_does_not_match() -> None:
    index = ExclusionIndex(pa.array(["a", "a", "b"]), digests=pa.array(["1", "2", "1"]))
    array = pa.array(["a", "a", "a", "b"])

    found = index.matches(array, hashes=hash_ids(array), digests=pa.array(["1", "2", "3", "2"]))

    assert found.tolist() == [True, True, False, False]


def test_ids_of_other_arrow_types_match_by_their_bytes() -> None:
    index = ExclusionIndex(pa.array(["ab"], pa.large_string()))
    array = pa.array([b"ab", b"cd"], pa.binary(2))

    assert index.matches(array, hashes=hash_ids(array)).tolist() == [True, False]


def test_every_one_of_a_hundred_thousand_ids_is_found_and_no_other() -> None:
    index = ExclusionIndex(pa.array([f"s{i}" for i in range(0, 200_000, 2)]))
    pool = pa.array([f"s{i}" for i in range(200_000)])

    found = index.matches(pool, hashes=hash_ids(pool))

    assert np.array_equal(found, np.arange(200_000) % 2 == 0)
