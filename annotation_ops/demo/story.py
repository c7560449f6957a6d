"""What happens in the demo, in order. Every step is a sensor tick of the project's own sensors and the runs it requests.

The images are real. The people are simulated and called so; the days are made up; production traffic is drawn from images
that are never labelled.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time

import numpy as np

from annotation_ops.adapters.mlops.function_trigger import TrainingContext
from annotation_ops.bootstrap import Parts
from annotation_ops.demo import digits, training
from annotation_ops.demo.driver import Driver
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import AnnotationOpsError
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.monitor import Monitor
from annotation_ops.ports.clock import Clock

FIRST_DELIVERY, SECOND_DELIVERY, BROKEN_DELIVERY = date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 14)
FIRST_SIZE, SECOND_SIZE = 450, 300
QUIET_DAYS = tuple(date(2026, 1, day) for day in range(7, 14))
DROP_DAYS = (date(2026, 1, 14), date(2026, 1, 15))
RECOVERY_DAYS = (date(2026, 1, 16), date(2026, 1, 17))
BROKEN_SCANNER = "c"
WINDOW = 100
"""Images a scanner and production day whose truth becomes known."""
PATIENCE_SECONDS = 60.0
"""The simulated people need about a second for a batch; a loop that stands still for a minute is broken."""


class StoryClock(Clock):
    """Runs like the system's clock, from nine in the morning of the story's current day."""

    def __init__(self) -> None:
        self.set_day(FIRST_DELIVERY)

    def set_day(self, day: date) -> None:
        self._start = datetime.combine(day, clock_time(9), UTC)
        self._since = time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._since)


@dataclass(frozen=True, slots=True)
class Story:
    project: AnnotationProject
    parts: Parts
    driver: Driver
    clock: StoryClock
    world: digits.Digits
    seed: int
    chapter: Callable[[str], None]
    people: Callable[[], int] = lambda: 0
    """Lets people work and says how many answers they gave; those of the simulated platform work by themselves."""

    def run(self) -> None:
        """The whole story; afterwards everything stands in the stores."""
        first, second, last = self._deliveries()
        self._tell_truth(first, second, last)
        self.chapter("a first model is trained on 60 labels that existed before")
        self._first_model()
        self._log_window(FIRST_DELIVERY, broken=False)
        self.chapter(
            f"{len(first)} images arrive; a batch of uncertain ones goes to simulated annotators who are new to the task"
        )
        self._deliver(first, FIRST_DELIVERY, broken=None)
        self._settle()
        self.chapter(f"{len(second)} more images arrive; the next batch")
        self._deliver(second, SECOND_DELIVERY, broken=None)
        self._settle()
        self.chapter("a week of production: metrics are logged, nothing happens")
        for day in QUIET_DAYS:
            self._log_window(day, broken=False)
        self._tick("degradation")
        self.chapter(f"the lamp of scanner {BROKEN_SCANNER} fades; production metrics drop")
        self._deliver(last, BROKEN_DELIVERY, broken=BROKEN_SCANNER)
        for day in DROP_DAYS:
            self._log_window(day, broken=True)
        self._tick("degradation")
        self.chapter("the incident's relabel batch goes out; the model is trained again")
        self._settle()
        self.chapter("production is measured again")
        for day in RECOVERY_DAYS:
            self._log_window(day, broken=True)
        self._tick("degradation")

    def _deliveries(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        pool = self.world.pool
        return pool[:FIRST_SIZE], pool[FIRST_SIZE : FIRST_SIZE + SECOND_SIZE], pool[FIRST_SIZE + SECOND_SIZE :]

    def _tell_truth(self, *deliveries: tuple[int, ...]) -> None:
        """What the images show, for the simulated people to look at."""
        days = (FIRST_DELIVERY, SECOND_DELIVERY, BROKEN_DELIVERY)
        lines = [
            digits.truth_lines(self.world, indices, day=day) for indices, day in zip(deliveries, days, strict=True)
        ]
        path = self.parts.settings.home / "data" / "truth" / "digits.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines))

    def _first_model(self) -> None:
        monitor = self._monitor
        chosen = list(self.world.seed_set)
        model = training.fit(self.world.pixels[chosen], [self.world.labels[index] for index in chosen])
        uri = self.parts.settings.tracking
        context = TrainingContext(
            uri, uri, monitor.model, monitor.experiment, {"annotation_ops.label_commit_trained": "seed set"}
        )
        training.register(model, n_labels=len(chosen), context=context)

    def _deliver(self, indices: tuple[int, ...], day: date, *, broken: str | None) -> None:
        self._reach(day)
        digits.deliver(self.world, indices, day=day, store=self.parts.store(self.project), broken_scanner=broken)
        self._tick("new_data")

    def _reach(self, day: date) -> None:
        """Moves the story's clock to a later day; the current day goes on."""
        if day > self.clock.now().date():
            self.clock.set_day(day)

    def _tick(self, sensor: str) -> int:
        return len(self.driver.tick(f"{self.project.name}_{sensor}"))

    def _settle(self) -> None:
        """Ticks the conductor until nothing is due and nobody holds a task."""
        ledger, name = self.parts.ledger, self.project.name
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            started = self._tick("conductor") + self._tick("milestone")
            waiting = ledger.attempts(name, states={BatchState.IN_ANNOTATION, BatchState.PLANNED})
            if not started and not waiting:
                return
            if self.people():
                deadline = time.monotonic() + PATIENCE_SECONDS
            elif not started:
                time.sleep(0.2)
        raise AnnotationOpsError(
            f"the loop stood still for {PATIENCE_SECONDS:g} s; see the failed runs in the Dagster UI"
        )

    def _log_window(self, day: date, *, broken: bool) -> None:
        """Lets one production day pass and logs it: accuracy per scanner on images whose truth became known, by the current model."""
        from mlflow import MlflowClient
        from mlflow.entities import Metric, RunTag

        self._reach(day)
        monitor = self._monitor
        version = self.parts.tracking.latest_model(monitor.model)
        if version is None:
            raise AnnotationOpsError("found no registered model, expected the first training to have made one")
        scorer = self.parts.tracking.load_scorer(version)
        client = MlflowClient(self.parts.settings.tracking)
        experiment = client.get_experiment_by_name(monitor.experiment)
        if experiment is None:
            raise AnnotationOpsError(
                f"found no experiment {monitor.experiment}, expected the first training to have made one"
            )
        moment = int(datetime.combine(day, clock_time(23, 30), UTC).timestamp() * 1000)
        tags = {"annotation_ops.model": monitor.model, "annotation_ops.model_version": version.version}
        run = client.create_run(experiment.experiment_id, run_name=f"production {day}", tags=tags, start_time=moment)
        rng = np.random.default_rng([self.seed, day.toordinal()])
        total = correct = 0
        metrics = []
        for scanner in digits.SCANNERS:
            traffic = [index for index in self.world.held_out if self.world.scanner(index) == scanner]
            drawn = [int(index) for index in rng.choice(traffic, size=WINDOW, replace=False)]
            pixels = self.world.pixels[drawn]
            if broken and scanner == BROKEN_SCANNER:
                pixels = digits.faded(pixels)
            answers = scorer.predict_proba(pixels).argmax(axis=1)
            right = sum(scorer.classes[a] == self.world.labels[i] for a, i in zip(answers, drawn, strict=True))
            total, correct = total + WINDOW, correct + right
            metrics += [Metric(f"slice/scanner:{scanner}/accuracy", right / WINDOW, moment, 0)]
            metrics += [Metric(f"slice/scanner:{scanner}/n", WINDOW, moment, 0)]
        metrics += [Metric("accuracy", correct / total, moment, 0), Metric("n", total, moment, 0)]
        client.log_batch(run.info.run_id, metrics=metrics, tags=[RunTag("day", day.isoformat())])
        client.set_terminated(run.info.run_id)

    @property
    def _monitor(self) -> Monitor:
        if self.project.monitor is None:
            raise AnnotationOpsError("the digits project must declare monitor.yaml")
        return self.project.monitor
