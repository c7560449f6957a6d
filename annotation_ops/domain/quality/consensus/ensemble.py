"""The default consensus: an averaged posterior of counting and estimating methods, each of which fails elsewhere.

Two mixtures. Where one label has strictly most votes, counting has half the say and it takes several members to overrule
it. Where votes are tied, the members without a prior speak too, so that ties are not broken by the frequent class alone.
Members that collapsed are left out. docs/consensus.md has the measurements behind the weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from annotation_ops.domain.quality.consensus.calibration import sharpened, sharpness
from annotation_ops.domain.quality.consensus.consensus_label import close_calls
from annotation_ops.domain.quality.consensus.members import Members, counting_members, em_members, together
from annotation_ops.domain.quality.consensus.ratings import Ratings, led, shares
from annotation_ops.domain.quality.consensus.weighted_vote import weighted_vote
from annotation_ops.domain.quality.judgements import BoolArray, FloatArray, IntArray, Judgements

LED = {"smoothed": 2.0, "agreeing": 1.0, "weighted": 1.0, "matrices": 1.0, "coins": 1.0}
TIED = {"smoothed": 1.0, "weighted": 1.0, "matrices": 1.0, "matrices_flat": 1.0, "coins_flat": 1.0}
COUNTING = frozenset({"smoothed", "agreeing", "weighted"})
"""Members that need no EM and are never left out."""
MIN_OVERLAP = 2.0
"""Judgements a task, on average, below which nothing is estimated by EM."""
MAX_DISAGREEMENT = 0.25
"""Largest share of clearly led tasks on which a member may contradict the leader."""
KEPT_OF_CLASS = 0.5
"""A member that elects a class, or believes in it, less than half as often as the votes do has lost it."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    posterior: FloatArray = field(repr=False)
    """(n_tasks, q), calibrated."""
    tied: BoolArray = field(repr=False)
    """Too close to call, or tied in votes and in skill, so that only the prior would decide, (n_tasks,)."""
    dropped: Mapping[str, str]
    """Member -> why it has no say: `overlap` (too little), `size` (too many annotators and classes), `disagrees`, `loses_class`."""
    sharpness: float
    """Exponent of the calibration; 1 changes nothing."""
    mixture: "Mixture | None" = field(repr=False)
    """None where there are two annotators or fewer, whom nothing can tell apart."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Which members speak, and how loudly, where votes are led and where they are tied."""

    members: Members
    led: Mapping[str, float]
    tied: Mapping[str, float]

    def posterior(self, counts: FloatArray) -> FloatArray:
        return np.where(led(counts)[:, None], self.members.mean(self.led), self.members.mean(self.tied))

    def left_out(self, ratings: Ratings, counts: FloatArray, rows: slice) -> FloatArray:
        """For each of these ratings, the posterior of its task without it, (n_rows, q)."""
        others = counts[ratings.task[rows]]
        others[np.arange(len(others)), ratings.label[rows]] -= 1.0
        by_leader = self.members.mean_left_out(self.led, ratings, rows)
        return np.where(led(others)[:, None], by_leader, self.members.mean_left_out(self.tied, ratings, rows))


def ensemble(judgements: Judgements, *, calibrate: bool = True) -> Ensemble:
    """Posterior of every task; what was left out and why. Needs at least one judgement a task."""
    ratings, counts = Ratings.of(judgements), judgements.counts()
    if len(judgements.annotators) <= 2 or len(judgements.categories) == 1:
        smoothed = shares(counts + 1.0 / counts.shape[1])
        return Ensemble(
            smoothed,
            close_calls(smoothed, counts),
            dict.fromkeys(sorted({*LED, *TIED} - {"smoothed"}), "overlap"),
            1.0,
            None,
        )
    weighted = weighted_vote(judgements)
    members = counting_members(ratings, weighted)
    dropped, why_absent = {}, "overlap"
    if ratings.n_tasks * MIN_OVERLAP <= len(ratings.task):
        members = together([members, em_members(ratings)])
        dropped, why_absent = collapsed(members, counts), "size"
    dropped |= dict.fromkeys(sorted({*LED, *TIED} - set(members.by_name)), why_absent)
    mixture = Mixture(members, _without(LED, dropped), _without(TIED, dropped))
    exponent = sharpness(mixture, ratings, counts) if calibrate else 1.0
    posterior = sharpened(mixture.posterior(counts), exponent)
    tied = close_calls(posterior, counts) | (~led(counts) & weighted.tied)
    return Ensemble(posterior, tied, dropped, exponent, mixture)


def collapsed(members: Members, counts: FloatArray) -> dict[str, str]:
    """Members fitted by EM that contradict the votes too often or lose a class, with the reason."""
    clear = led(counts)
    leader = counts.argmax(axis=1)
    voted = _by_class(leader[clear], counts.shape[1]), shares(counts).sum(axis=0) + 1.0
    found = {}
    for name in sorted(set(members.by_name) - COUNTING):
        posterior = members.by_name[name].posterior
        elected = posterior.argmax(axis=1)
        contradicts = float(np.mean(elected[clear] != leader[clear])) if clear.any() else 1.0
        kept = _by_class(elected[clear], counts.shape[1]) / voted[0], (posterior.sum(axis=0) + 1.0) / voted[1]
        if contradicts > MAX_DISAGREEMENT:
            found[name] = "disagrees"
        elif min(kept[0].min(), kept[1].min()) < KEPT_OF_CLASS:
            found[name] = "loses_class"
    return found


def _by_class(elected: IntArray, q: int) -> FloatArray:
    """Tasks of each class and one more, so that a class of a single task may vanish by chance, (q,)."""
    return np.bincount(elected, minlength=q).astype(np.float64) + 1.0


def _without(weights: Mapping[str, float], dropped: Mapping[str, str]) -> dict[str, float]:
    return {name: weight for name, weight in weights.items() if name not in dropped}
