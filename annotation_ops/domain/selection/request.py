"""What a ranking is asked for, and what it says about itself."""

from dataclasses import dataclass

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.workflow import Strategy

HISTOGRAM_BINS = 20


@dataclass(frozen=True, slots=True)
class PoolColumns:
    """The columns of a pool; `sample_id` is always there."""

    probabilities: tuple[str, ...] = ()
    """One float column a class (wide layout), in class order; empty when `probability_list` is given or nothing is."""
    probability_list: str | None = None
    """One list column with a probability a class; a null list is a sample without a score."""
    slice: str | None = None
    """String column whose values get equal shares."""
    embedding: str | None = None
    """List column of floats, of one length."""
    carry: tuple[str, ...] = ()
    """Columns that travel to the output as they are."""
    digest: str | None = None
    """Carried column compared, with the id, against the excluded versions."""


@dataclass(frozen=True, slots=True)
class RankRequest:
    """How much to rank and how. Raises InvalidInput for a budget below 1 or a share outside 0..1."""

    budget: int
    """Rows of the ranking, at most."""
    window: int
    """Batch size: quotas and the random control hold in every window of this many consecutive ranks."""
    strategy: Strategy
    random_share: float
    seed: str
    """Any text; the same text, pool and request give the same ranking. Change it with the day: a seed that never
    changes makes a control drawn from what is left of an earlier draw, which is not uniform."""

    def __post_init__(self) -> None:
        if self.budget < 1 or self.window < 1:
            raise InvalidInput(f"found budget {self.budget} and window {self.window}, expected both to be at least 1.")
        if not 0.0 <= self.random_share <= 1.0:
            raise InvalidInput(f"found a random share of {self.random_share}, expected a number between 0 and 1.")


@dataclass(frozen=True, slots=True)
class SliceShare:
    """One value of the quota slice. "" stands for samples without a value."""

    value: str
    pool: int
    eligible: int
    ranked: int
    """All ranked rows with this value, the random control included."""
    quota: int
    """The equal share it was due, the random control apart."""
    shortfall: int
    """What it lacked of that share; it went to the other values."""


@dataclass(frozen=True, slots=True)
class RankReport:
    """What was ranked, from what, and by which rule."""

    requested: int
    pool: int
    """Rows read."""
    excluded: int
    """Already in a batch."""
    unscorable: int
    """Eligible rows whose probabilities are no distribution (or missing): only the random control may hold them."""
    ranked: int
    random: int
    """Ranked rows that carry an inclusion probability."""
    strategy: str
    """The one used: the requested one, or `kmeans` (cold start), `class_balanced_margin` (no embeddings), `random`."""
    strategy_reason: str
    histogram: tuple[int, ...]
    """Scored eligible rows by uncertainty in 20 equal bins from 0 to 1."""
    slices: tuple[SliceShare, ...]
    """By value, bytewise; empty without a quota."""
