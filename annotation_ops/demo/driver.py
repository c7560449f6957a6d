"""Drives the project's own sensors and runs what they request, in one process and on a persistent Dagster instance.

It does what the daemon does, without its waiting: the demo and the loop's tests see the same decisions and the same runs.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dagster as dg

from annotation_ops.bootstrap import Parts


@dataclass(slots=True)
class Driver:
    """Evaluates sensors by name and executes the runs they request."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    parts: Parts
    report: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)
    """Stage -> wall seconds spent in its runs."""
    failed: list[str] = field(default_factory=list)
    """Run ids that ended red; a rejected batch is one of them."""
    runs: int = 0
    _cursors: dict[str, str | None] = field(default_factory=dict)
    _launched: set[str] = field(default_factory=set)

    def tick(self, sensor_name: str) -> Sequence[dg.RunRequest]:
        """Evaluates the sensor once, runs what it asks for, and returns those requests."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self._cursors.get(sensor_name),
            resources={"annotation_ops": self.parts},
            sensor_name=sensor_name,
        )
        result = self.definitions.resolve_sensor_def(sensor_name)(context)
        if not isinstance(result, dg.SensorResult):
            raise TypeError(f"{sensor_name}: found {type(result).__name__}, expected a SensorResult")
        for addition in result.dynamic_partitions_requests or ():
            if isinstance(addition, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions(addition.partitions_def_name, list(addition.partition_keys))
        fresh = [request for request in result.run_requests or () if self._is_fresh(request)]
        for request in fresh:
            self.run(request, sensor_name)
        self._cursors[sensor_name] = result.cursor or self._cursors.get(sensor_name)
        return fresh

    def run(self, request: dg.RunRequest, sensor_name: str) -> bool:
        """Executes one request as a run of the instance; True when it succeeded."""
        sensor = self.definitions.resolve_sensor_def(sensor_name)
        job = self.definitions.resolve_job_def(request.job_name or sensor.job_name or "")
        tags = {**request.tags, "dagster/sensor_name": sensor_name, "dagster/run_key": request.run_key or ""}
        started = time.monotonic()
        result = job.execute_in_process(
            instance=self.instance,
            partition_key=request.partition_key,
            tags=tags,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        self.seconds[job.name] = self.seconds.get(job.name, 0.0) + time.monotonic() - started
        self.runs += 1
        if not result.success:
            self.failed.append(result.run_id)
        self.report(f"{job.name:<16} {request.partition_key or '':<40} {_ending(result)}".rstrip())
        return result.success

    def _is_fresh(self, request: dg.RunRequest) -> bool:
        """A run key never launches twice, as in the daemon."""
        if request.run_key is None:
            return True
        fresh = request.run_key not in self._launched
        self._launched.add(request.run_key)
        return fresh


def _ending(result: dg.ExecuteInProcessResult) -> str:
    if result.success:
        return "ok"
    stopped = [check.check_name for check in result.get_asset_check_evaluations() if not check.passed]
    return f"stopped by the check {', '.join(stopped)}" if stopped else "FAILED, see the run in the Dagster UI"
