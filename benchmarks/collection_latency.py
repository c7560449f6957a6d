"""From the last answer on a real Label Studio server to the verdict in the ledger, through the real daemon: with webhooks and without.

Both ways run the same daemon, server and people, one after the other, with the shipped settings: collected every 30 s.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from annotation_ops.adapters.platforms.label_studio.connection import load_connection
from annotation_ops.adapters.platforms.simulated.declaration import load_simulation
from annotation_ops.bootstrap import local_label_studio, served_folder
from annotation_ops.demo import digits
from annotation_ops.demo.annotators import SimulatedCrew
from annotation_ops.domain.records import BatchState
from annotation_ops_tests.dagster.deployment import Deployment, deployment
from annotation_ops_tests.dagster.server import dagster_server

SAMPLES = int(sys.argv[1]) if len(sys.argv) > 1 else 6
CACHE = Path(__file__).parents[1] / ".label_studio"
PATIENCE_SECONDS = 300.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def crew_of(here: Deployment) -> SimulatedCrew:
    server = local_label_studio(here.settings)
    running = server.start(document_root=served_folder(here.settings))
    connection = load_connection(here.project_folder / "label_studio.yaml")
    people = [connection.sign_in(one.annotator_id) for one in here.project.workforce.annotators]
    return SimulatedCrew(
        running.url,
        server.accounts(people),
        connection=connection,
        simulation=load_simulation(here.project_folder / "simulation.yaml", data_root=here.home / "data"),
        labels=here.project.taxonomy.names,
    )


def latencies(here: Deployment) -> list[float]:
    """Seconds of each batch, in order."""
    crew = crew_of(here)
    spent: list[float] = []
    with dagster_server(here.home, here.environment) as dagster, here.parts() as parts:
        dagster.start_sensors("digits_new_data", "digits_conductor")
        here.deliver(parts, digits.load(seed=0).pool[:400], day=datetime.now(UTC).date())
        waited = time.monotonic()
        while len(spent) < SAMPLES and time.monotonic() - waited < PATIENCE_SECONDS:
            known = len(parts.ledger.verdicts("digits"))
            if not parts.ledger.attempts("digits", states={BatchState.IN_ANNOTATION}) or not crew.work():
                time.sleep(0.5)
                continue
            answered = time.monotonic()
            while len(parts.ledger.verdicts("digits")) == known:
                time.sleep(0.05)
            spent.append(time.monotonic() - answered)
            waited = time.monotonic()
    crew.close()
    return spent


def main() -> None:
    for webhooks in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            here = deployment(
                Path(folder) / "home",
                start=datetime.now(UTC).date() - timedelta(days=2),
                ANNOTATION_OPS_COLLECT_SECONDS="30",
                ANNOTATION_OPS_CACHE=str(CACHE),
                ANNOTATION_OPS_URL=f"http://127.0.0.1:{port}",
            )
            here.edit("workflow.yaml", "platform: simulated", "platform: label_studio")
            here.edit("workflow.yaml", "batch_size: 60", "batch_size: 12")
            serve = None
            if webhooks:
                command = [str(Path(sys.executable).with_name("annotation-ops")), "serve", "--port", str(port)]
                serve = subprocess.Popen(command, env={**os.environ, **here.environment}, stderr=subprocess.DEVNULL)
            try:
                spent = latencies(here)
            finally:
                if serve is not None:
                    serve.terminate()
                    serve.wait()
                local_label_studio(here.settings).stop()
            way = "with webhooks" if webhooks else "interval of 30 s only"
            each = ", ".join(f"{one:.1f}" for one in spent)
            print(
                f"{way:22s} median {statistics.median(spent):5.1f} s, worst {max(spent):5.1f} s   ({each})", flush=True
            )


if __name__ == "__main__":
    main()
