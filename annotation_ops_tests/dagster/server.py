"""A real deployment on loopback: webserver, daemon and code server, as `dagster dev` starts them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from annotation_ops.adapters.dagster_instance import initialise_instance

ROOT = Path(__file__).parents[2]
START_SECONDS = 180
"""Three processes import Dagster at once; a busy machine of two cores takes a minute."""
STOP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class DagsterServer:
    url: str
    environment: Mapping[str, str]
    log: Path

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """The data of a GraphQL answer; fails with the server's words."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            document: dict[str, Any] = json.load(answer)
        assert "errors" not in document, document["errors"]
        return dict(document["data"])

    def start_sensors(self, *names: str) -> None:
        """Switches sensors on, as a person does in the UI."""
        for name in names:
            selector = {
                "repositoryName": "__repository__",
                "repositoryLocationName": "annotation_ops",
                "sensorName": name,
            }
            answer = self.ask(
                "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) "
                "{ __typename ... on Sensor { sensorState { status } } ... on PythonError { message } } }",
                s=selector,
            )["startSensor"]
            assert answer.get("sensorState") == {"status": "RUNNING"}, answer

    def runs(self) -> list[dict[str, Any]]:
        """Every run, newest first: runId, jobName, status, and its tags as a mapping."""
        found = self.ask(
            "{ runsOrError { __typename ... on Runs { results { runId jobName status tags { key value } } } } }"
        )["runsOrError"]["results"]
        return [{**run, "tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def sensor_errors(self, name: str) -> list[str]:
        """Messages of the sensor's failed ticks."""
        selector = {"repositoryName": "__repository__", "repositoryLocationName": "annotation_ops", "sensorName": name}
        answer = self.ask(
            "query($s: SensorSelector!) { sensorOrError(sensorSelector: $s) { ... on Sensor "
            "{ sensorState { ticks(limit: 50) { status error { message } } } } } }",
            s=selector,
        )["sensorOrError"]
        return [tick["error"]["message"] for tick in answer["sensorState"]["ticks"] if tick["error"]]


def run_dagster(
    arguments: Sequence[str], environment: Mapping[str, str], *, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """One `dagster ...` command as a person types it, to its end."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("dagster")), *arguments],
        env=dict(environment),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=True,
    )


@contextmanager
def dagster_server(home: Path, environment: Mapping[str, str]) -> Iterator[DagsterServer]:
    """`dagster dev` on the deployment in `home`, up when the block begins and gone, with all its children, after it.

    `environment` is what the deployment adds to the shell's variables. The log is `home/dagster-dev.log`.
    """
    dagster_home = _instance_home(home)
    everything = {**os.environ, **environment, "DAGSTER_HOME": str(dagster_home)}
    everything.pop("PYTHONWARNINGS", None)
    port = _free_port()
    log = home / "dagster-dev.log"
    command = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", str(ROOT / "workspace.yaml")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            env=everything,
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            server = DagsterServer(f"http://127.0.0.1:{port}", everything, log)
            _wait_until_loaded(server, process)
            yield server
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_loaded(server: DagsterServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"dagster dev ended:\n{server.log.read_text()[-4000:]}"
        try:
            locations = server.ask(
                "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus "
                "locationOrLoadError { __typename ... on PythonError { message } } } } } }"
            )["workspaceOrError"]["locationEntries"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
            continue
        if locations and all(entry["loadStatus"] == "LOADED" for entry in locations):
            loaded = [entry["locationOrLoadError"] for entry in locations]
            assert all(one["__typename"] == "RepositoryLocation" for one in loaded), loaded
            return
        time.sleep(0.5)
    raise AssertionError(
        f"dagster dev was not up after {START_SECONDS} s, its log ends:\n{server.log.read_text()[-4000:]}"
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the session that was started for the server, and nothing else."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)


def open_instance(home: Path) -> dg.DagsterInstance:
    """The deployment's instance, to prepare it before the server starts or to read beside it."""
    return dg.DagsterInstance.from_config(str(_instance_home(home)))


def _instance_home(home: Path) -> Path:
    """DAGSTER_HOME of the deployment, set up with the repository's settings when it is new."""
    dagster_home = home / "dagster"
    dagster_home.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "dagster.yaml", dagster_home / "dagster.yaml")
    initialise_instance(dagster_home)
    return dagster_home
