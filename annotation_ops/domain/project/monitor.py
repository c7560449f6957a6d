"""What is watched after labels are published, and what a degradation may cost."""

import re
from dataclasses import dataclass
from datetime import timedelta

from annotation_ops.domain.project.reading import IDENTIFIER, IDENTIFIER_WORDS, Parsed, Reader, parse_document

_CALLABLE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


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


def parse_monitor(text: str, *, file: str = "monitor.yaml") -> Parsed[Monitor]:
    """`monitor.yaml` as a record, or every fault in it."""
    return parse_document(text, _read, file=file)


def _read(reader: Reader) -> Monitor:
    training = None
    if reader.has("training"):
        training = reader.matching("training", _CALLABLE, "package.module:function")
    return Monitor(
        version=reader.version(),
        model=reader.identifier("model"),
        experiment=reader.text("experiment"),
        metric=reader.matching("metric", IDENTIFIER, IDENTIFIER_WORDS, default="accuracy"),
        baseline_observations=reader.integer("baseline_observations", low=2, high=10_000, default=10),
        false_alarm_rate=reader.number("false_alarm_rate", low=0, high=0.5, open_ends="low", default=0.01),
        min_drop=reader.number("min_drop", low=0, high=1, open_ends="low high", default=0.03),
        cooldown=reader.duration("cooldown", default=timedelta(hours=24)),
        relabel_budget=reader.integer("relabel_budget", low=1, high=100_000, default=100),
        training=training,
        min_new_labels=reader.integer("min_new_labels", low=1, high=1_000_000, default=50),
    )
