"""The simulated platform as a bench of the conformance suite."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotation_ops.adapters.platforms.simulated.platform import SimulatedPlatform
from annotation_ops.adapters.platforms.simulated.simulation import (
    WELL_BEHAVED,
    Misbehaviour,
    SimulatedPerson,
    Simulation,
    Truth,
    TruthItem,
)
from annotation_ops.ports.annotation_platform import PlatformAnnotation, PlatformProjectSpec
from annotation_ops_tests.contracts.annotation_platform import PlatformBench
from annotation_ops_tests.fakes.clock import ManualClock

DIGITS = tuple("0123456789")
SPEC = PlatformProjectSpec(
    name="digits",
    task_type="classification",
    labels=DIGITS,
    instructions="Which digit is it?",
    media="image",
    version="1.0.0+aaaaaaaaaaaa",
)
A_MONTH = 30 * 24 * 3600.0


def uri(number: int) -> str:
    return f"s3://raw/2026-11-01/{number}.png"


def truth_of(count: int) -> Truth:
    """Sample `number` shows the digit `number % 10`."""
    return Truth(inline={uri(number): TruthItem(str(number % 10)) for number in range(count)})


def crowd_of(*people: SimulatedPerson) -> Mapping[str, SimulatedPerson]:
    return {person.annotator_id: person for person in people}


def three_people(**habits: Any) -> Mapping[str, SimulatedPerson]:
    return crowd_of(*(SimulatedPerson(name, **habits) for name in ("ann", "bob", "cem")))


class SimulatedBench(PlatformBench):
    platform: SimulatedPlatform

    def __init__(
        self,
        database: Path,
        *,
        people: Mapping[str, SimulatedPerson] | None = None,
        misbehave: Misbehaviour = WELL_BEHAVED,
        samples: int = 12,
        seed: int = 7,
    ) -> None:
        self.clock = ManualClock()
        self.spec = SPEC
        self.simulation = Simulation(people or three_people(), truth_of(samples), seed=seed)
        self.platform = SimulatedPlatform(database, simulation=self.simulation, clock=self.clock, misbehave=misbehave)
        self.people = tuple(self.simulation.people)
        self.samples = tuple({"image": uri(number)} for number in range(samples))

    def let_people_work(self) -> None:
        self.clock.advance(seconds=A_MONTH)

    def edit(self, annotation: PlatformAnnotation, *, label: str) -> None:
        self.platform.edit_annotation(annotation.platform_annotation_id, value={"label": label})

    def delete(self, annotation: PlatformAnnotation) -> None:
        self.platform.delete_annotation(annotation.platform_annotation_id)
