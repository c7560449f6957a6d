import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.selection.stable_hash import GOLDEN, hash_ids, seed_word, seeded, splitmix64

texts = st.lists(st.text(max_size=30), min_size=1, max_size=30)


def test_the_mixer_gives_the_published_splitmix64_sequence_of_seed_1234567() -> None:
    with np.errstate(over="ignore"):
        states = np.uint64(1234567) + GOLDEN * np.arange(5, dtype=np.uint64)

    assert splitmix64(states).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_the_hash_of_an_id_never_changes() -> None:
    assert hash_ids(pa.array(["", "a", "sample-0001"])).tolist() == [
        16294208416658607535,
        6774081908283191102,
        1584409763724559871,
    ], "these values decide who is in a random control that was drawn already"


@given(texts)
def test_the_hash_of_an_id_does_not_depend_on_its_neighbours_or_its_arrow_type(ids: list[str]) -> None:
    alone = np.array([hash_ids(pa.array([text]))[0] for text in ids], dtype=np.uint64)

    assert np.array_equal(hash_ids(pa.array(ids)), alone)
    assert np.array_equal(hash_ids(pa.array(ids, pa.large_string())), alone)
    assert np.array_equal(hash_ids(pa.array([text.encode() for text in ids], pa.binary())), alone)
    assert np.array_equal(hash_ids(pa.array(["x", *ids, "y"]).slice(1, len(ids))), alone)


def test_fixed_size_ids_hash_like_their_bytes() -> None:
    ids = [b"0123456789abcdef", b"fedcba9876543210"]

    assert np.array_equal(hash_ids(pa.array(["-" * 16, *ids], pa.binary(16)).slice(1)), hash_ids(pa.array(ids)))


def test_ids_that_differ_only_in_trailing_zero_bytes_differ() -> None:
    assert len(set(hash_ids(pa.array([b"a", b"a\0", b"a\0\0"])).tolist())) == 3


def test_a_hundred_thousand_sequential_ids_fill_the_range_evenly() -> None:
    hashes = seeded(hash_ids(pa.array([f"s{i:06d}" for i in range(100_000)])), seed=7)

    counts = np.bincount((hashes >> np.uint64(56)).astype(np.int64), minlength=256)
    chi_square = float(((counts - 390.625) ** 2 / 390.625).sum())
    assert 160 < chi_square < 370, "255 degrees of freedom: these bounds are 5 standard deviations away"
    assert len(np.unique(hashes)) == 100_000


def test_two_seeds_give_unrelated_orders() -> None:
    hashes = hash_ids(pa.array([f"s{i}" for i in range(10_000)]))

    first, second = seeded(hashes, seed=1), seeded(hashes, seed=2)

    assert abs(np.corrcoef(first.astype(float), second.astype(float))[0, 1]) < 0.05


def test_seed_words_do_not_collide_by_joining() -> None:
    assert seed_word("ab", "c") != seed_word("a", "bc")


def test_numbers_are_no_ids() -> None:
    with pytest.raises(InvalidInput, match="type int64"):
        hash_ids(pa.array([1, 2]))
