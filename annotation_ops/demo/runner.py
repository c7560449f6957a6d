"""Sets the demo's stage and runs it: a home with its own project, Dagster instance and stores."""

import io
import json
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import dagster as dg

from annotation_ops.adapters.dagster_instance import initialise_instance
from annotation_ops.adapters.project_folder import load_project
from annotation_ops.bootstrap import build
from annotation_ops.defs.mount import annotation_project_definitions
from annotation_ops.demo import digits
from annotation_ops.demo.driver import Driver
from annotation_ops.demo.story import BROKEN_SCANNER, Story, StoryClock
from annotation_ops.demo.summary import Grader
from annotation_ops.domain.errors import Conflict
from annotation_ops.settings import Settings

MARKER = "demo.json"
"""Written first: a home with it holds a demo and may be replaced by the next one. A file of that name that no demo wrote does
not count."""

WRITTEN_BY = "annotation-ops demo"


def run(home: Path, *, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs the story in `home` and returns the summary, which is also written to `summary.json` there.

    Replaces an earlier demo. Raises Conflict for a home that holds anything else.
    """
    _quiet()
    settings = _prepare(home, seed=seed)
    started = time.monotonic()
    clock = StoryClock()
    parts = build(settings, clock=clock)
    instance = dg.DagsterInstance.from_config(str(settings.dagster_home))
    try:
        project = load_project(settings.projects / "digits")
        definitions = dg.Definitions.merge(
            annotation_project_definitions(project), dg.Definitions(resources={"annotation_ops": parts})
        )
        driver = Driver(definitions, instance, parts, report=lambda line: say(f"    {line}"))
        world = digits.load(seed=seed)

        def chapter(title: str) -> None:
            say(f"[{time.monotonic() - started:5.1f} s] {title}")

        Story(project, parts, driver, clock, world, seed, chapter).run()
        spent = time.monotonic() - started
        result = Grader(project, parts, world, BROKEN_SCANNER).summary(driver, seconds=spent)
    finally:
        instance.dispose()
        parts.close()
    (home / "summary.json").write_text(json.dumps(result, indent=2) + "\n")
    return result


def example_project(name: str) -> Path:
    """A worked example: shipped inside the installed package, or the checkout's own `projects/` folder."""
    package = Path(__file__).parents[1]
    shipped = package / "examples" / name
    return shipped if shipped.is_dir() else package.parent / "projects" / name


def _prepare(home: Path, *, seed: int) -> Settings:
    if home.exists() and any(home.iterdir()) and not _is_demo(home):
        raise Conflict(
            f"{home}: found files that no demo wrote, expected an empty folder or an earlier demo; name another with --home"
        )
    if home.exists():
        shutil.rmtree(home)
    home.mkdir(parents=True)
    (home / MARKER).write_text(json.dumps({"written_by": WRITTEN_BY, "seed": seed}) + "\n")
    shutil.copytree(example_project("digits"), home / "projects" / "digits")
    os.environ.update(
        {
            "ANNOTATION_OPS_HOME": str(home),
            "ANNOTATION_OPS_PROJECTS": str(home / "projects"),
            "ANNOTATION_OPS_SEED": str(seed),
            "ANNOTATION_OPS_COLLECT_SECONDS": "0",
        }
    )
    settings = Settings.from_environment(
        {name: value for name, value in os.environ.items() if name.startswith("ANNOTATION_OPS_") and _embedded(name)}
    )
    settings.dagster_home.mkdir()
    shutil.copy(Path(__file__).parents[1] / "scaffold" / "dagster.yaml", settings.dagster_home)
    with redirect_stderr(io.StringIO()):  # Dagster tells of migrations that an empty home does not need
        initialise_instance(settings.dagster_home)
    return settings


def _is_demo(home: Path) -> bool:
    marker = home / MARKER
    return marker.is_file() and f'"written_by": "{WRITTEN_BY}"' in marker.read_text(errors="replace")


def _embedded(name: str) -> bool:
    """The demo always runs on embedded defaults, whatever ledger, lake or bucket the shell points to."""
    return name in {
        "ANNOTATION_OPS_HOME",
        "ANNOTATION_OPS_PROJECTS",
        "ANNOTATION_OPS_SEED",
        "ANNOTATION_OPS_COLLECT_SECONDS",
    }


def _quiet() -> None:
    """One line a run is the demo's log; Dagster's and MLflow's own go to the UI."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    for name in ("dagster", "mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL if name == "dagster" else logging.ERROR)
    warnings.simplefilter("ignore")
