"""The demo's story with its ledger on a real PostgreSQL."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from annotation_ops.adapters.project_folder import load_project
from annotation_ops.bootstrap import build
from annotation_ops.defs.mount import annotation_project_definitions
from annotation_ops.demo import digits
from annotation_ops.demo.driver import Driver
from annotation_ops.demo.runner import example_project
from annotation_ops.demo.story import Story, StoryClock
from annotation_ops.domain.audit import verify
from annotation_ops.domain.batches import attempt_key, makes_labels
from annotation_ops.domain.records import IncidentState
from annotation_ops.domain.tables import LABEL_FEATURES
from annotation_ops.settings import Settings
from annotation_ops_tests.postgres import new_database, postgres_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    # The training runs inside this process: MLflow warns of itself while it is imported, as it does in the demo.
    pytest.mark.filterwarnings("ignore"),
]


def test_the_whole_story_runs_on_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    shutil.copytree(example_project("digits"), home / "projects" / "digits")
    # The training reads the environment, as it does in a run that the daemon starts.
    monkeypatch.setenv("ANNOTATION_OPS_HOME", str(home))
    monkeypatch.setenv("ANNOTATION_OPS_SEED", "0")
    with postgres_server() as server:
        url = new_database(server)
        settings = Settings.from_environment(
            {
                "ANNOTATION_OPS_HOME": str(home),
                "ANNOTATION_OPS_PROJECTS": str(home / "projects"),
                "ANNOTATION_OPS_LEDGER": url,
                "ANNOTATION_OPS_COLLECT_SECONDS": "0",
            }
        )
        clock, chapters, reports = StoryClock(), list[str](), list[str]()
        parts = build(settings, clock=clock)
        try:
            project = load_project(settings.projects / "digits")
            definitions = dg.Definitions.merge(
                annotation_project_definitions(project), dg.Definitions(resources={"annotation_ops": parts})
            )
            with dg.DagsterInstance.ephemeral() as instance:
                driver = Driver(definitions, instance, parts, report=reports.append)
                Story(project, parts, driver, clock, digits.load(seed=0), 0, chapters.append).run()

            verdicts = {(v.batch_id, v.attempt): v.outcome for v in parts.ledger.verdicts("digits")}
            rows = parts.lake.read(LABEL_FEATURES, partition={"project": "digits"}).to_pylist()
            (incident,) = parts.ledger.incidents("digits")
            entries = parts.ledger.audit_entries()
        finally:
            parts.close()

    assert not (home / "ledger.sqlite").exists()
    assert verdicts["2026-01-05-active-01", 1] == "FAIL"
    assert verdicts["2026-01-05-active-01", 2] == "PASS"
    assert verdicts[str(incident.batch_id), 1] == "PASS"
    passed = {batch for batch, outcome in verdicts.items() if outcome == "PASS" and makes_labels(attempt_key(*batch))}
    assert {(row["batch_id"], row["attempt"]) for row in rows} == passed
    assert len(rows) > 150
    assert (incident.slices, incident.state) == (("scanner:c",), IncidentState.RESOLVED)
    assert len(entries) > 40
    assert verify(entries) is None
    assert chapters[-1] == "production is measured again"
