"""Boxes: matching many images, IoU of a million pairs, and a whole agreement report; against what one would write by hand.

    python benchmarks/boxes.py [--images 20000] [--repeat 3] [--full]

Scenes of 6 boxes on average; a second annotator misses 8% of them, moves the rest by a few pixels and adds a few of their own.
CPU seconds of this process, medians; `--full` takes 100,000 images. pycocotools is measured where it is installed.
"""

import argparse
import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np
import shapely
from scipy.optimize import linear_sum_assignment

from annotation_ops.domain.quality.agreement.boxes import BoxJudgements, agreement_of_boxes
from annotation_ops.domain.quality.agreement.matching import best_matching
from annotation_ops.domain.quality.agreement.shape_overlaps import box_iou, grouped_box_iou

PAIRS = 1_000_000
PEER_PAIRS = 30_000
"""What a peer that is called once a pair gets; the table gives microseconds a pair."""
CLASSES = 10


def scene(images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(images), rng.poisson(6, images))
    return image, rng.uniform(0, 500, (len(image), 2)), rng.uniform(20, 150, (len(image), 2))


def annotated(image: np.ndarray, middle: np.ndarray, size: np.ndarray, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and corners of each box of one annotator, by image."""
    rng = np.random.default_rng(seed)
    seen = np.flatnonzero(rng.random(len(image)) > 0.08)
    own = rng.integers(0, image.max() + 1, len(image) // 15)
    middle = np.concatenate([middle[seen] + rng.normal(0, 6, (len(seen), 2)), rng.uniform(0, 500, (len(own), 2))])
    grown = size[seen] * np.exp(rng.normal(0, 0.08, (len(seen), 2)))
    half = np.concatenate([grown, rng.uniform(20, 150, (len(own), 2))]) / 2
    image = np.concatenate([image[seen], own])
    order = np.argsort(image, kind="stable")
    return image[order], np.column_stack([middle - half, middle + half])[order]


def starts(image: np.ndarray, images: int) -> tuple[np.ndarray, np.ndarray]:
    count = np.bincount(image, minlength=images)
    return np.cumsum(count) - count, count


class Matching:
    """The same two annotators for every way of matching."""

    def __init__(self, images: int) -> None:
        self.images = images
        scenes = scene(images)
        (ours, self.first), (theirs, self.second) = (annotated(*scenes, seed=seed) for seed in (1, 2))
        self.start, self.count = starts(ours, images)
        self.other_start, self.other_count = starts(theirs, images)

    def ours(self) -> float:
        n = len(self.first)
        groups = np.stack([self.start, self.count, self.other_start + n, self.other_count], axis=1)
        _, left, right, iou = grouped_box_iou(np.concatenate([self.first, self.second]), groups)
        return float(iou[best_matching(left, right - n, iou)].sum())

    def scipy_loop(self) -> float:
        total = 0.0
        for start, count, other_start, other_count in zip(
            self.start.tolist(), self.count.tolist(), self.other_start.tolist(), self.other_count.tolist(), strict=True
        ):
            table = all_iou(self.first[start : start + count], self.second[other_start : other_start + other_count])
            total += table[linear_sum_assignment(table, maximize=True)].sum()
        return float(total)


def all_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return shared / (areas[0][:, None] + areas[1][None, :] - shared)


def timed(work: Callable[[], float], *, repeat: int) -> tuple[float, float]:
    """Median CPU seconds, and what the work returned."""
    seconds, found = [], 0.0
    for _ in range(repeat):
        begin = time.process_time()
        found = work()
        seconds.append(time.process_time() - begin)
    return statistics.median(seconds), found


def table(title: str, rows: dict[str, tuple[float, float]], *, units: int, found: str) -> None:
    base = next(iter(rows.values()))[0]
    print(f"\n{title}\n\n| way | us each | x ours | {found} |\n|---|---|---|---|")
    for way, (seconds, value) in rows.items():
        print(f"| {way} | {seconds / units * 1e6:.3f} | {seconds / base:.1f} | {value:.9f} |")


def matching(images: int, repeat: int) -> None:
    work = Matching(images)
    rows = {
        "ours": timed(work.ours, repeat=repeat),
        "NumPy IoU and scipy, an image at a time": timed(work.scipy_loop, repeat=1),
    }
    table(f"Optimal matching, {images:,} images (IoU included)", rows, units=images, found="total IoU")
    totals = [total for _, total in rows.values()]
    print(f"\nlargest difference of the totals: {max(totals) - min(totals):.1e}")


def pairs_of_boxes(repeat: int) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (2, PAIRS, 2))
    first, second = np.concatenate([low, low + rng.uniform(10, 60, (2, PAIRS, 2))], axis=2)
    few = PEER_PAIRS

    def shapely_a_call_each() -> float:
        total = 0.0
        for a, b in zip(shapely.box(*first[:few].T), shapely.box(*second[:few].T), strict=True):
            total += a.intersection(b).area / a.union(b).area
        return total * PAIRS / few

    def shapely_arrays() -> float:
        a, b = shapely.box(*first[:few].T), shapely.box(*second[:few].T)
        return float((shapely.area(shapely.intersection(a, b)) / shapely.area(shapely.union(a, b))).sum()) * PAIRS / few

    rows = {"ours": timed(lambda: float(box_iou(first, second).sum()), repeat=repeat)}
    peers = {"shapely, arrays": shapely_arrays, "shapely, a call each": shapely_a_call_each}
    if importlib.util.find_spec("pycocotools"):
        peers["pycocotools, a call each"] = lambda: coco(first[:few], second[:few]) * PAIRS / few
    for name, peer in peers.items():
        seconds, total = timed(peer, repeat=1)
        rows[name] = seconds * PAIRS / few, total
    table(f"IoU of {PAIRS:,} pairs (peers: {few:,} of them)", rows, units=PAIRS, found="sum, scaled")


def coco(first: np.ndarray, second: np.ndarray) -> float:
    iou = importlib.import_module("pycocotools.mask").iou
    sides = [
        np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)[:, None, :] for boxes in (first, second)
    ]
    return float(sum(iou(a, b, [0])[0, 0] for a, b in zip(*sides, strict=True)))


def report(images: int, repeat: int) -> None:
    scenes = scene(images)
    drawn = [annotated(*scenes, seed=seed) for seed in range(3)]
    image, corners = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    rng = np.random.default_rng(0)
    names = np.array([f"image-{at:07}" for at in range(images)], dtype=object)
    people = np.repeat(np.array(["ann", "bob", "cy"], dtype=object), [len(one) for one, _ in drawn])
    categories = [f"class-{at}" for at in range(CLASSES)]
    columns = dict(zip(("x_min", "y_min", "x_max", "y_max"), corners.T, strict=True))
    columns["label"] = np.array(categories, dtype=object)[rng.integers(0, CLASSES, len(image))]

    def read() -> BoxJudgements:
        return BoxJudgements.from_columns(names[image], people, columns, categories=categories)

    judgements = read()
    rows = {
        "reading columns": timed(lambda: float(read().n_judgements), repeat=repeat)[0],
        "agreement report": timed(
            lambda: agreement_of_boxes(judgements, seed=1).statistics["mean_iou_penalised"].value or 0.0, repeat=repeat
        )[0],
    }
    print(f"\n{images:,} images x 3 annotators, {len(image):,} boxes, {CLASSES} classes\n\n| step | CPU s |\n|---|---|")
    for step, seconds in rows.items():
        print(f"| {step} | {seconds:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="100,000 images")
    given = parser.parse_args()
    images = 100_000 if given.full else given.images
    matching(images, given.repeat)
    pairs_of_boxes(given.repeat)
    report(images, given.repeat)


if __name__ == "__main__":
    main()
