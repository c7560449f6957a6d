"""A deployment in a temporary folder: the digits project with its own start date, real parts, real images."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from annotation_ops.adapters.project_folder import load_project
from annotation_ops.bootstrap import Parts, build
from annotation_ops.defs.mount import annotation_project_definitions
from annotation_ops.demo import digits
from annotation_ops.domain.batches import BatchState, parse_attempt_key
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.ports.clock import Clock
from annotation_ops.settings import Settings
from annotation_ops_tests.dagster.server import ROOT
from annotation_ops_tests.fakes.clock import ManualClock
from annotation_ops_tests.services.workshop import without_stages

FIRST_DAY = date(2026, 11, 4)
TODAY = date(2026, 11, 23)
"""Twenty days from the first one on, both included; what the manual clock says at the start."""

OTHERS_WARNINGS = (
    pytest.mark.filterwarnings("ignore:Parameter `owners` of initializer `SensorDefinition"),
    pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
)
"""Dagster of itself, Dagster of Pydantic 2.14, MLflow of SQLAlchemy 2.1: nothing that our code can mend."""


QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class Deployment:
    home: Path
    settings: Settings
    environment: Mapping[str, str]

    @property
    def project_folder(self) -> Path:
        return self.settings.projects / "digits"

    @property
    def project(self) -> AnnotationProject:
        """As its folder says now."""
        return load_project(self.project_folder)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replaces the first `old` in one of the project's documents; fails when it is not there."""
        path = self.project_folder / file
        text = path.read_text()
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new, 1))

    @contextmanager
    def parts(self, clock: Clock | None = None) -> Iterator[Parts]:
        parts = build(self.settings, clock=clock)
        try:
            yield parts
        finally:
            parts.close()

    def deliver(self, parts: Parts, indices: Sequence[int], *, day: date) -> None:
        """Images of the real data set arrive; what they show is told to the simulated people first."""
        world = digits.load(seed=0)
        store = parts.store(self.project)
        truth = self.settings.home / "data" / "truth" / "digits.jsonl"
        truth.parent.mkdir(parents=True, exist_ok=True)
        with truth.open("a") as lines:
            lines.write(digits.truth_lines(world, indices, day=day))
        digits.deliver(world, indices, day=day, store=store, broken_scanner=None)


def deployment(home: Path, *, start: date, **environment: str) -> Deployment:
    """Writes the project, without stages, into `home` and names its variables; further ones, e.g. ANNOTATION_OPS_DATA, are added."""
    without_stages(shutil.copytree(ROOT / "projects" / "digits", home / "projects" / "digits"))
    sources = home / "projects" / "digits" / "sources.yaml"
    sources.write_text(re.sub(r"start: \d{4}-\d\d-\d\d", f"start: {start.isoformat()}", sources.read_text()))
    variables = {
        "ANNOTATION_OPS_HOME": str(home),
        "ANNOTATION_OPS_PROJECTS": str(home / "projects"),
        "ANNOTATION_OPS_COLLECT_SECONDS": "5",
        "ANNOTATION_OPS_RETRY_SECONDS": "0",
        "ANNOTATION_OPS_SEED": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **environment,
    }
    return Deployment(home, Settings.from_environment(variables), variables)


def definitions(project: AnnotationProject, parts: Parts) -> dg.Definitions:
    """The project on parts that are open already."""
    return dg.Definitions.merge(
        annotation_project_definitions(project), dg.Definitions(resources={"annotation_ops": parts})
    )


@dataclass(frozen=True, slots=True)
class Loop:
    """The loop in one process, a step at a time: what sensors and daemon do, on an instance of the test's own."""

    here: Deployment
    parts: Parts
    instance: dg.DagsterInstance
    clock: ManualClock

    @property
    def definitions(self) -> dg.Definitions:
        return definitions(self.here.project, self.parts)

    def run(self, stage: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
        """One run of `digits_<stage>`, red or green."""
        if partition is not None and stage != "ingest":
            self.instance.add_dynamic_partitions("digits_batches", [partition])
        return self.definitions.resolve_job_def(f"digits_{stage}").execute_in_process(
            instance=self.instance, partition_key=partition, raise_on_error=False, run_config=QUIET
        )

    def sensor(self, name: str, *, cursor: str | None = None) -> dg.SensorResult:
        """One tick of `digits_<name>`; nothing is launched."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=cursor,
            resources={"annotation_ops": self.parts},
            sensor_name=f"digits_{name}",
        )
        result = self.definitions.resolve_sensor_def(f"digits_{name}")(context)
        assert isinstance(result, dg.SensorResult)
        return result

    def work(self) -> None:
        """People have the night."""
        self.clock.advance(timedelta(hours=12))

    def annotate(self, batch: str, indices: Sequence[int], *, day: date = TODAY) -> None:
        """Images arrive on the day, go out as the batch and come back; the batch is complete, not judged."""
        self.here.deliver(self.parts, indices, day=day)
        assert self.run("ingest", day.isoformat()).success
        assert self.run("dispatch", batch).success
        self.work()
        assert self.run("collect").success
        batch_id, number = parse_attempt_key(batch)
        assert self.parts.ledger.attempt("digits", batch_id, number).state is BatchState.COMPLETE


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, dict[str, object]]:
    """Partition -> the metadata of what the run materialized there."""
    events = result.asset_materializations_for_node(f"digits__{asset}")
    return {str(event.partition): {name: value.value for name, value in event.metadata.items()} for event in events}
