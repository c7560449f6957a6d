"""What is watched after labels are published, and what a degradation may cost."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Monitor:
    version: str
    model: str
    """Registered model name."""
    experiment: str
    """MLflow experiment whose runs carry the metrics."""
    metric: str
    """`accuracy`; per slice `slice/<name>:<value>/accuracy` with `slice/<name>:<value>/n`."""
    baseline_observations: int
    """How many observations of the current model version form the baseline."""
    false_alarm_rate: float
    """Probability that a flat noisy metric trips one window."""
    min_drop: float
    """Smallest drop worth anybody's work (hysteresis: an incident closes when the drop is under half of it)."""
    cooldown: timedelta
    relabel_budget: int
    """Tasks in one relabel batch, at most."""
    training: str | None
    """`package.module:function` called with the TrainingRequest after publishing; None = the user's pipeline watches the table."""
    min_new_labels: int
    """Publishes this many new labels before a training is requested."""
