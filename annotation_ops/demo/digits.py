"""The demo's world: 1,797 scanned digits (scikit-learn's copy of the UCI optical recognition test set) as PNG objects.

The images and their true labels are real. What we add and say so: which of three scanners an image came from, the day it
was delivered, and the fading lamp of one scanner (its images keep a third of their brightness).
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from annotation_ops.ports.object_store import ObjectStore

SIDE = 8
SCANNERS = ("a", "b", "c")
SEED_SET = 60
"""Images whose labels existed before the project began: the first model is trained on them."""
FADED_BRIGHTNESS = 0.35
HELD_OUT = 600
"""Images that are never delivered: production traffic whose truth becomes known later, used only to log metrics."""


@dataclass(frozen=True, slots=True)
class Digits:
    pixels: NDArray[np.float64]
    """Shape (1797, 64), 0..1, row-major."""
    labels: tuple[str, ...]
    seed_set: tuple[int, ...]
    held_out: tuple[int, ...]
    pool: tuple[int, ...]
    """In order of delivery."""

    def scanner(self, index: int) -> str:
        return SCANNERS[index % len(SCANNERS)]


def load(*, seed: int) -> Digits:
    """The images, split by a seeded permutation."""
    bunch = load_digits()
    order = [int(index) for index in np.random.default_rng(seed).permutation(len(bunch.target))]
    return Digits(
        pixels=np.asarray(bunch.data, dtype=np.float64) / 16.0,
        labels=tuple(str(label) for label in bunch.target),
        seed_set=tuple(order[:SEED_SET]),
        held_out=tuple(order[SEED_SET : SEED_SET + HELD_OUT]),
        pool=tuple(order[SEED_SET + HELD_OUT :]),
    )


def faded(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a scanner with a dying lamp delivers: shape (n, 64) -> (n, 64)."""
    return pixels * FADED_BRIGHTNESS


def png(pixels: NDArray[np.float64]) -> bytes:
    """One image, shape (64,), as an 8 x 8 grey PNG."""
    grey = np.rint(pixels.reshape(SIDE, SIDE) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey, mode=None).save(buffer, format="PNG")
    return buffer.getvalue()


def object_key(day: date, index: int) -> str:
    return f"{day.isoformat()}/digit-{index:04d}.png"


def deliver(
    digits: Digits, indices: Sequence[int], *, day: date, store: ObjectStore, broken_scanner: str | None
) -> None:
    """Puts images into the raw store under the day, the broken scanner's ones faded."""
    for index in indices:
        pixels = digits.pixels[index : index + 1]
        if digits.scanner(index) == broken_scanner:
            pixels = faded(pixels)
        captured = datetime.combine(day, time(9), UTC).isoformat()
        store.put(
            object_key(day, index),
            png(pixels[0]),
            metadata={"scanner": digits.scanner(index), "sheet": f"sheet-{index // 45:02d}", "captured_at": captured},
        )


def truth_lines(digits: Digits, indices: Sequence[int], *, day: date) -> str:
    """JSON lines for the simulated people: what each delivered image really shows."""
    rows = ({"uri": object_key(day, index), "label": digits.labels[index]} for index in indices)
    return "".join(json.dumps(row) + "\n" for row in rows)
