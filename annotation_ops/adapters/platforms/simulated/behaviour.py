"""What a simulated person does with one task: the answer, the time it takes, second thoughts.

Every draw depends on (seed, person, sample) alone, never on the task or the attempt: asked again about the same sample, a
person says the same. Fatigue is the one thing that depends on when the sample comes; the platform therefore remembers
first answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotation_ops.adapters.platforms.simulated.draws import lognormal, pick, pick_weighted, uniform
from annotation_ops.adapters.platforms.simulated.simulation import SimulatedPerson, Simulation, TruthItem


@dataclass(frozen=True, slots=True)
class Visit:
    """One person in front of one sample."""

    identity: str
    """What makes it the same sample in another task: its key in the truth, else its media URI or inline text."""
    truth: TruthItem | None
    labels: tuple[str, ...]
    session_tasks: int
    """Tasks done since the last break."""
    samples_seen: int = 0
    """Samples of this project the person answered before."""


def answer(person: SimulatedPerson, visit: Visit, *, simulation: Simulation, look: str = "first") -> str:
    """The label the person gives; `look` names independent looks at the same sample."""
    if person.spammer is not None and person.spammer.kind == "copies":
        return answer(simulation.people[person.spammer.of], visit, simulation=simulation, look=look)
    if person.spammer is not None and person.spammer.kind == "always":
        return person.spammer.of
    u = uniform(simulation.seed, "answer", look, person.annotator_id, visit.identity)
    if person.spammer is not None or visit.truth is None:
        return pick(u, visit.labels)
    probabilities = answer_probabilities(
        person, visit.truth, visit.labels, session_tasks=visit.session_tasks, samples_seen=visit.samples_seen
    )
    return pick_weighted(u, probabilities)


def answer_probabilities(
    person: SimulatedPerson, truth: TruthItem, labels: Sequence[str], *, session_tasks: int, samples_seen: int = 0
) -> Mapping[str, float]:
    """label -> probability for one sample, the true label first; sums to 1.

    Declared confusions keep their probability; the true label gets the accuracy after slice modifiers, lack of practice and fatigue, as far
    as the row has room; what is left is spread evenly over the labels that the row does not name.
    """
    practice = 1.0 if samples_seen >= person.practice_tasks else person.unpractised_times
    accuracy = person.accuracy * practice * _slice_factor(person, truth.slices) - person.fatigue * session_tasks / 100
    row = {
        label: probability for label, probability in person.confusions.get(truth.label, {}).items() if label in labels
    }
    correct = min(max(accuracy, 0.0), 1.0 - sum(row.values()))
    rest = 1.0 - correct - sum(row.values())
    others = [label for label in labels if label != truth.label and label not in row] or list(row) or [truth.label]
    probabilities = {truth.label: correct, **row}
    for label in others:
        probabilities[label] = probabilities.get(label, 0.0) + rest / len(others)
    return probabilities


def _slice_factor(person: SimulatedPerson, slices: Mapping[str, str]) -> float:
    factor = 1.0
    for modifier in person.slices:
        if all(slices.get(name) == value for name, value in modifier.when):
            factor *= modifier.accuracy_times
    return factor


def seconds_needed(person: SimulatedPerson, identity: str, *, simulation: Simulation) -> float:
    """Simulated seconds for the task."""
    u = uniform(simulation.seed, "seconds", person.annotator_id, identity)
    return lognormal(u, median=person.median_seconds, sigma=person.sigma)


def happens(probability: float, what: str, person: SimulatedPerson, identity: str, *, simulation: Simulation) -> bool:
    """Whether an event of this probability befalls this person on this sample."""
    return probability > 0 and uniform(simulation.seed, "happens", what, person.annotator_id, identity) < probability


def seconds_to_edit(person: SimulatedPerson, identity: str, *, simulation: Simulation) -> float:
    """Simulated seconds from the answer to second thoughts."""
    u = uniform(simulation.seed, "edit delay", person.annotator_id, identity)
    return lognormal(u, median=person.late_edit_seconds, sigma=0.5)
