"""What is declared about simulated people: skill, pace and bad habits. Nothing here pretends to be a person."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TruthItem:
    """The true answer to one sample, with its slices."""

    label: str
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Truth:
    """True answers by media URI: written in the document, in a JSON-lines file, or both (the document wins).

    A key matches a media URI as a whole, as the tail of its path (`2026-11-01/7.png`), or as its file name without suffix;
    query strings of presigned URLs do not count. Inline text is matched as a whole.
    """

    inline: Mapping[str, TruthItem] = field(default_factory=dict)
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class SliceModifier:
    """Multiplies a person's accuracy on samples whose slices match all pairs."""

    when: tuple[tuple[str, str], ...]
    accuracy_times: float


@dataclass(frozen=True, slots=True)
class Spammer:
    """A person who does not look: `random` label, `always` the label `of`, or `copies` of what the annotator `of` answers."""

    kind: str
    of: str = ""


@dataclass(frozen=True, slots=True)
class SimulatedPerson:
    """Probabilities are per task; seconds are simulated seconds."""

    annotator_id: str
    accuracy: float = 0.95
    confusions: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """true label -> answered label -> probability; the rest of the row is the accuracy, as far as it fits, and then
    uniform over the other labels."""
    slices: tuple[SliceModifier, ...] = ()
    median_seconds: float = 6.0
    sigma: float = 0.4
    """Standard deviation of the logarithm of the seconds per task."""
    fatigue: float = 0.0
    """Accuracy lost per 100 tasks of one session."""
    practice_tasks: int = 0
    """So many samples of a project a person needs to look at before the declared accuracy is reached."""
    unpractised_times: float = 1.0
    """Multiplies the accuracy until then."""
    dropout: float = 0.0
    """Probability that a task is never answered."""
    skips: float = 0.0
    late_edit: float = 0.0
    late_edit_seconds: float = 3600.0
    """Median time from the answer to its edit or deletion."""
    deletes: float = 0.0
    spammer: Spammer | None = None


@dataclass(frozen=True, slots=True)
class Simulation:
    """People, truth and pace; the same seed and the same sample give the same answer."""

    people: Mapping[str, SimulatedPerson]
    truth: Truth
    seed: int = 0
    speed_up: float = 1.0
    """Simulated seconds that pass in one real second. Lead times are reported in simulated seconds."""


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """What real platforms do wrong, as probabilities per call, per page item or per annotation; all drawn from `seed`."""

    seed: int = 0
    rate_limit: float = 0.0
    """Any call: 429 before anything is done."""
    lost_reply: float = 0.0
    """create_tasks: the tasks are created, then the reply is a 500."""
    partial_create: float = 0.0
    """create_tasks: only the first half is created, then a 500."""
    duplicate_items: float = 0.0
    """Page item: shown twice in the page."""
    shuffled_pages: float = 0.0
    """fetch_annotations: the page's items come in another order."""
    repeated_pages: float = 0.0
    """fetch_annotations: the page served before comes again and the cursor stays."""
    strangers: float = 0.0
    """Annotation: somebody who was never asked annotates the task too."""
    foreign_labels: float = 0.0
    """Annotation: its label is outside the taxonomy."""
    clock_back: float = 0.0
    """Annotation: the server's clock stood `clock_back_seconds` behind when it was stored, so that a cursor may lie past it
    already; only the full sweep is sure to see it."""
    clock_back_seconds: float = 120.0


WELL_BEHAVED = Misbehaviour()
