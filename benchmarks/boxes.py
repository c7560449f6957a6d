"""Boxes: matching many images, IoU of a million pairs, and a whole agreement report; against what one would write by hand.

    python benchmarks/boxes.py [--images 20000] [--repeat 3] [--full]

Scenes of 6 boxes on average; a second annotator misses 8% of them, moves the rest by a few pixels and adds a few of their own.
CPU seconds of this process, medians; `--full` takes 100,000 images. pycocotools is measured where it is installed.
"""

import argparse
import importlib
import importlib.util
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

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

    def ours(self) -> np.ndarray:
        n = len(self.first)
        groups = np.stack([self.start, self.count, self.other_start + n, self.other_count], axis=1)
        image, left, right, iou = grouped_box_iou(np.concatenate([self.first, self.second]), groups)
        chosen = best_matching(left, right - n, iou)
        return np.bincount(image[chosen], weights=iou[chosen], minlength=self.images)

    def scipy_loop(self) -> np.ndarray:
        totals = []
        for start, count, other_start, other_count in zip(
            self.start.tolist(), self.count.tolist(), self.other_start.tolist(), self.other_count.tolist(), strict=True
        ):
            table = all_iou(self.first[start : start + count], self.second[other_start : other_start + other_count])
            totals.append(table[linear_sum_assignment(table, maximize=True)].sum())
        return np.array(totals)


def all_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return shared / (areas[0][:, None] + areas[1][None, :] - shared)


def timed(ways: dict[str, Callable[[], Any]], *, repeat: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Median CPU seconds of each way, run in turns so that a busy machine is as unkind to all; and what each returned."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    found = {}
    for _ in range(repeat):
        for way, work in ways.items():
            begin = time.process_time()
            found[way] = work()
            seconds[way].append(time.process_time() - begin)
    return {way: statistics.median(of) for way, of in seconds.items()}, found


def table(title: str, each: dict[str, float]) -> None:
    """`each`: microseconds an item."""
    base = each["ours"]
    print(f"\n{title}\n\n| way | us each | x ours |\n|---|---|---|")
    for way, microseconds in each.items():
        print(f"| {way} | {microseconds:.3f} | {microseconds / base:.1f} |")


def matching(images: int, repeat: int) -> None:
    work = Matching(images)
    ways = {"ours": work.ours, "NumPy IoU and scipy, an image at a time": work.scipy_loop}
    seconds, found = timed(ways, repeat=repeat)
    table(
        f"Optimal matching, {images:,} images (IoU included)", {way: of / images * 1e6 for way, of in seconds.items()}
    )
    ours, theirs = found.values()
    print(
        f"\ntotal IoU {math.fsum(ours):.9f} and {math.fsum(theirs):.9f}; "
        f"largest difference of an image {np.abs(ours - theirs).max():.1e}"
    )


def pairs_of_boxes(repeat: int) -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (2, PAIRS, 2))
    first, second = np.concatenate([low, low + rng.uniform(10, 60, (2, PAIRS, 2))], axis=2)
    few = PEER_PAIRS

    a, b = shapely.box(*first[:few].T), shapely.box(*second[:few].T)
    peers: dict[str, Callable[[], Any]] = {
        "shapely, arrays": lambda: shapely.area(shapely.intersection(a, b)) / shapely.area(shapely.union(a, b)),
        "shapely, a call each": lambda: [
            one.intersection(other).area / one.union(other).area for one, other in zip(a, b, strict=True)
        ],
    }
    if importlib.util.find_spec("pycocotools"):
        peers["pycocotools, a call each"] = lambda: coco(first[:few], second[:few])
    seconds, found = timed({"ours": lambda: box_iou(first, second), **peers}, repeat=repeat)
    each = {way: of / (PAIRS if way == "ours" else few) * 1e6 for way, of in seconds.items()}
    table(f"IoU of {PAIRS:,} pairs (peers: {few:,} of them)", each)
    worst = max(np.abs(np.array(found[way]) - found["ours"][:few]).max() for way in peers)
    print(f"\nlargest difference of an IoU {worst:.1e}")


def coco(first: np.ndarray, second: np.ndarray) -> list[float]:
    iou = importlib.import_module("pycocotools.mask").iou
    sides = [
        np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)[:, None, :] for boxes in (first, second)
    ]
    return [iou(a, b, [0])[0, 0] for a, b in zip(*sides, strict=True)]


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
    ways = {"reading columns": read, "agreement report": lambda: agreement_of_boxes(judgements, seed=1)}
    print(f"\n{images:,} images x 3 annotators, {len(image):,} boxes, {CLASSES} classes\n\n| step | CPU s |\n|---|---|")
    for step, seconds in timed(ways, repeat=repeat)[0].items():
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
