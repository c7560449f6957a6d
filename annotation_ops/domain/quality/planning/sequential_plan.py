"""Overlap in instalments: judge after a first look, top up while undecided, stop at a cap.

A gate that may be asked several times passes a bad batch more often than one asked once. The plan measures that and
states the confidence each look needs so that all looks together keep the promise of one.
"""

from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.quality.agreement.patterns import Patterns
from annotation_ops.domain.quality.judgements import FloatArray
from annotation_ops.domain.quality.planning.crowd_model import Crowd
from annotation_ops.domain.quality.planning.gate_simulation import Chance, Evidence, Flags, Gate, evidence_of
from annotation_ops.domain.quality.planning.overlap_plan import check_truth, gate_document
from annotation_ops.domain.quality.statistic import rounded
from annotation_ops.domain.records import JsonObject

PATHS = 4_000
"""Simulated batches, each followed through all its looks: an error rate of 5 % is then known to 0.35 points."""

MOST_LOOKS = 20
"""More looks than this are not a plan but a vigil; each costs as much simulation as a fixed plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Judge at `first` overlap tasks, then after every further `step`, up to `cap`."""

    first: int
    step: int
    cap: int

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.cap or self.step < 1:
            raise InvalidInput(
                f"looks: found first {self.first}, step {self.step}, cap {self.cap}, expected 1 <= first <= cap and "
                "step >= 1. Correct them."
            )
        if len(self.sizes) > MOST_LOOKS:
            raise InvalidInput(
                f"looks: found {len(self.sizes)}, expected at most {MOST_LOOKS}. Take larger steps or a lower cap."
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Overlap tasks at each look; the last is the cap."""
        return (*range(self.first, self.cap, self.step), self.cap)


@dataclass(frozen=True, slots=True)
class TopUpOutcomes:
    """Where batches of one true value end."""

    passes: Chance
    fails: Chance
    undecided: Chance
    """Still INSUFFICIENT at the cap: a person decides."""
    expected_tasks: float
    """Mean overlap tasks until the end."""

    def document(self) -> JsonObject:
        named = {"PASS": self.passes, "FAIL": self.fails, "INSUFFICIENT": self.undecided}
        chances = {
            name: {"probability": rounded(one.value), "error": rounded(one.error)} for name, one in named.items()
        }
        return {**chances, "expected_tasks": rounded(self.expected_tasks)}


@dataclass(frozen=True, slots=True)
class TopUpPlan:
    gate: Gate
    looks: Looks
    truth: float
    confidence_per_look: float | None
    """Confidence a PASS needs at each look so that all of them together pass a batch at `worst_truth` in at most
    1 - confidence of the cases; None in the mode `point`, which makes no promise, and when even certainty at every
    look would not keep it."""
    worst_truth: float
    """The true value up to which the promise holds."""
    plain: TopUpOutcomes
    """At `truth`, with the gate's own confidence at every look."""
    plain_at_worst: TopUpOutcomes
    """At `worst_truth`: its `passes` is the false accept rate that repeated looks really have."""
    adjusted: TopUpOutcomes
    """At `truth`, with `confidence_per_look`."""
    adjusted_at_worst: TopUpOutcomes

    def document(self) -> JsonObject:
        return {
            **gate_document(self.gate),
            "looks": list(self.looks.sizes),
            "truth": self.truth,
            "worst_truth": rounded(self.worst_truth),
            "confidence_per_look": rounded(self.confidence_per_look),
            "plain": self.plain.document(),
            "plain_at_worst": self.plain_at_worst.document(),
            "adjusted": self.adjusted.document(),
            "adjusted_at_worst": self.adjusted_at_worst.document(),
        }


def plan_top_up(gate: Gate, *, crowd: Crowd, truth: float, looks: Looks, seed: int) -> TopUpPlan:
    """Outcomes of the group-sequential plan, as is and with the confidence that its looks need.

    Raises InvalidInput as `plan_overlap` does.
    """
    check_truth(gate, truth=truth)
    generator = np.random.default_rng(seed)
    worst = gate.worst_passable
    at_truth = _paths(crowd.patterns(gate.statistic, truth=truth), gate, looks, generator)
    at_worst = _paths(crowd.patterns(gate.statistic, truth=worst), gate, looks, generator)
    per_look = None if gate.mode == "point" else _confidence_per_look(at_worst, gate, looks)
    strict = gate.confidence if per_look is None else per_look
    return TopUpPlan(
        gate=gate,
        looks=looks,
        truth=truth,
        confidence_per_look=per_look,
        worst_truth=worst,
        plain=_follow(at_truth, gate, looks, gate.confidence),
        plain_at_worst=_follow(at_worst, gate, looks, gate.confidence),
        adjusted=_follow(at_truth, gate, looks, strict),
        adjusted_at_worst=_follow(at_worst, gate, looks, strict),
    )


def _paths(patterns: Patterns, gate: Gate, looks: Looks, generator: np.random.Generator) -> list[Evidence]:
    """Evidence at every look; the tasks of a look include those of all before."""
    tables = np.zeros((PATHS, len(patterns.weight)), dtype=np.int64)
    found, before = [], 0
    for size in looks.sizes:
        tables = tables + generator.multinomial(size - before, patterns.weight, size=PATHS)
        found.append(evidence_of(tables, patterns, gate=gate, generator=generator))
        before = size
    return found


def _follow(paths: list[Evidence], gate: Gate, looks: Looks, confidence: float) -> TopUpOutcomes:
    passed, failed = np.zeros(PATHS, dtype=np.bool_), np.zeros(PATHS, dtype=np.bool_)
    tasks: FloatArray = np.full(PATHS, float(looks.cap))
    for size, evidence in zip(looks.sizes, paths, strict=True):
        waiting = ~(passed | failed)
        passes, fails = _outcome(evidence, gate, size, confidence)
        passed |= waiting & passes
        failed |= waiting & fails
        tasks[waiting & (passes | fails)] = size
    undecided = Chance.of(~(passed | failed))
    return TopUpOutcomes(Chance.of(passed), Chance.of(failed), undecided, float(tasks.mean()))


def _outcome(evidence: Evidence, gate: Gate, size: int, confidence: float) -> tuple[Flags, Flags]:
    enough = size >= gate.min_tasks
    return evidence.passed(gate, confidence=confidence) & enough, evidence.failed(gate) & enough


def _confidence_per_look(at_worst: list[Evidence], gate: Gate, looks: Looks) -> float | None:
    """The smallest confidence, in steps of the posterior draws, at which the looks together keep the promise."""
    steps = np.unique(np.concatenate([one.above for one in at_worst] + [one.above_margin for one in at_worst]))
    for confidence in steps[steps >= gate.confidence]:
        if _follow(at_worst, gate, looks, float(confidence)).passes.value <= 1.0 - gate.confidence:
            return float(confidence)
    return None
