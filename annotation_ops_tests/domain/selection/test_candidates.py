import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.selection.candidates import Candidates

rows = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([-1.0, -0.5, 0.0, np.nan]), st.booleans()), min_size=1, max_size=60
)


def _offer(kept: Candidates, ids: list[str], keys: list[float], groups: list[int], eligible: list[bool]) -> None:
    kept.add(
        pa.record_batch({"sample_id": ids, "extra": [f"x{sample}" for sample in ids]}),
        keys=np.array(keys, dtype=np.float64),
        groups=np.array(groups, dtype=np.int64),
        n_groups=4,
        eligible=np.array(eligible, dtype=np.bool_),
    )


@given(rows, st.integers(1, 5), st.integers(1, 7), st.randoms(use_true_random=False))
def test_each_group_keeps_its_smallest_keys_with_ties_by_id_whatever_the_order(
    raw: list[tuple[int, float, bool]], depth: int, step: int, random: object
) -> None:
    entries = [(f"s{i:02d}", *row) for i, row in enumerate(raw)]
    expected = []
    for group in range(4):
        mine = sorted((key, sample) for sample, g, key, ok in entries if g == group and ok and not np.isnan(key))
        expected += [(group, key, sample.encode()) for key, sample in mine[:depth]]
    random.shuffle(entries)

    kept = Candidates(depth=depth, carry=["extra"])
    for start in range(0, len(entries), step):
        part = entries[start : start + step]
        _offer(kept, *map(list, zip(*[(s, k, g, ok) for s, g, k, ok in part], strict=True)))
    table = kept.sorted()

    found = [] if table is None else table.to_pylist()
    assert [(row["group"], row["key"], row["sample_id"]) for row in found] == expected
    assert all(row["extra"] == "x" + row["sample_id"].decode() for row in found)


def test_a_pool_of_equals_keeps_the_first_ids_and_little_memory() -> None:
    kept = Candidates(depth=3)

    for start in reversed(range(0, 100_000, 1_000)):
        ids = [f"s{i:06d}" for i in range(start, start + 1_000)]
        kept.add(pa.record_batch({"sample_id": ids}), keys=np.zeros(1_000))

    assert kept.sorted().column("sample_id").to_pylist() == [b"s000000", b"s000001", b"s000002"]


def test_full_64_bit_keys_are_compared_exactly() -> None:
    kept = Candidates(depth=1)
    keys = np.array([2**64 - 1, 2**64 - 2, 2**64 - 3], dtype=np.uint64)

    kept.add(pa.record_batch({"sample_id": ["a", "b", "c"]}), keys=keys)

    assert kept.sorted().column("sample_id").to_pylist() == [b"c"]
