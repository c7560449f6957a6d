"""A process is killed before and after every single effect of the loop; running again must end as if nothing had happened."""

from itertools import product
from pathlib import Path

import pytest

from annotation_ops_tests.crash.fuse import Side
from annotation_ops_tests.crash.killing import (
    SIDES,
    assert_nothing_lost_or_doubled,
    crashed_and_repeated,
    outcome,
    undisturbed,
)


def test_the_enumeration_meets_every_kind_of_effect() -> None:
    effects, _, _ = undisturbed(6)

    assert len(effects) >= 21
    assert set(effects) == {
        "commit", "acquire_lease", "release_lease", "ensure_project", "create_tasks",
        "upsert", "overwrite_partition", "append_once", "log_label_commit", "submit",
    }  # fmt: skip


@pytest.mark.parametrize("side", SIDES)
def test_after_a_crash_at_any_effect_running_again_ends_as_if_nothing_had_happened(tmp_path: Path, side: Side) -> None:
    effects, expected, _ = undisturbed(6)

    for at in range(1, len(effects) + 1):
        workshop = crashed_and_repeated(tmp_path, [at], [side], samples=6)

        assert_nothing_lost_or_doubled(workshop, 6)
        assert outcome(workshop) == expected, f"killed {side} effect {at}, {effects[at - 1]}"
        workshop.ledger.close()


@pytest.mark.slow
def test_two_crashes_in_a_row_lose_and_double_nothing(tmp_path: Path) -> None:
    effects, expected, _ = undisturbed(6)
    points = range(1, len(effects) + 1)

    for first, second in product(points, points):
        sides = (SIDES[first % 2], SIDES[second % 2])
        workshop = crashed_and_repeated(tmp_path, [first, second], sides, samples=6)

        assert_nothing_lost_or_doubled(workshop, 6)
        assert outcome(workshop) == expected, f"killed at {first} {sides[0]}, then at {second} {sides[1]}"
        workshop.ledger.close()


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES)
def test_a_batch_of_sixty_survives_a_crash_at_any_effect(tmp_path: Path, side: Side) -> None:
    effects, expected, _ = undisturbed(60)

    for at in range(1, len(effects) + 1):
        workshop = crashed_and_repeated(tmp_path, [at], [side], samples=60)

        assert_nothing_lost_or_doubled(workshop, 60)
        assert outcome(workshop) == expected, f"killed {side} effect {at}, {effects[at - 1]}"
        workshop.ledger.close()
