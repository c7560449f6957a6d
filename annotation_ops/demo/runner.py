"""Sets the demo's stage and runs it: a home with its own project, Dagster instance and stores."""

import io
import json
import logging
import os
import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr
from pathlib import Path
from typing import Any

import dagster as dg

from annotation_ops.adapters.dagster_instance import initialise_instance
from annotation_ops.adapters.platforms.label_studio.connection import load_connection
from annotation_ops.adapters.platforms.simulated.declaration import load_simulation
from annotation_ops.adapters.project_folder import load_project
from annotation_ops.bootstrap import build, local_label_studio, served_folder
from annotation_ops.defs.mount import annotation_project_definitions
from annotation_ops.demo import digits
from annotation_ops.demo.annotators import SimulatedCrew
from annotation_ops.demo.driver import Driver
from annotation_ops.demo.story import BROKEN_SCANNER, Story, StoryClock
from annotation_ops.demo.summary import Grader
from annotation_ops.domain.errors import Conflict
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.settings import Settings

MARKER = "demo.json"
"""Written first: a home with it holds a demo and may be replaced by the next one. A file of that name that no demo wrote does
not count."""

WRITTEN_BY = "annotation-ops demo"


def run(home: Path, *, seed: int, say: Callable[[str], None], platform: str = "simulated") -> dict[str, Any]:
    """Runs the story in `home` and returns the summary, which is also written to `summary.json` there.

    With platform `label_studio` the same simulated people sign in to a real server on this machine, stopped at the end.

    Replaces an earlier demo. Raises Conflict for a home that holds anything else.
    """
    _quiet()
    settings = _prepare(home, seed=seed, platform=platform)
    started = time.monotonic()
    clock = StoryClock()
    parts = build(settings, clock=clock)
    instance = dg.DagsterInstance.from_config(str(settings.dagster_home))
    opened = ExitStack()
    try:
        project = load_project(settings.projects / "digits")
        people = _crew(project, settings, opened, say) if platform == "label_studio" else lambda: 0
        definitions = dg.Definitions.merge(
            annotation_project_definitions(project), dg.Definitions(resources={"annotation_ops": parts})
        )
        driver = Driver(definitions, instance, parts, report=lambda line: say(f"    {line}"))
        world = digits.load(seed=seed)

        def chapter(title: str) -> None:
            say(f"[{time.monotonic() - started:5.1f} s] {title}")

        Story(project, parts, driver, clock, world, seed, chapter, people).run()
        spent = time.monotonic() - started
        result = Grader(project, parts, world, BROKEN_SCANNER).summary(driver, seconds=spent)
    finally:
        opened.close()
        instance.dispose()
        parts.close()
    (home / "summary.json").write_text(json.dumps(result, indent=2) + "\n")
    return result


def example_project(name: str) -> Path:
    """A worked example: shipped inside the installed package, or the checkout's own `projects/` folder."""
    package = Path(__file__).parents[1]
    shipped = package / "examples" / name
    return shipped if shipped.is_dir() else package.parent / "projects" / name


def _crew(
    project: AnnotationProject, settings: Settings, opened: ExitStack, say: Callable[[str], None]
) -> Callable[[], int]:
    """Starts Label Studio with an account for everybody; gives the call that lets them work."""
    say("    starting Label Studio; the first time it is installed, which takes two minutes")
    server = local_label_studio(settings)
    running = server.start(document_root=served_folder(settings))
    opened.callback(server.stop)
    folder = settings.projects / project.name
    connection = load_connection(folder / "label_studio.yaml")
    crew = SimulatedCrew(
        running.url,
        server.accounts(connection.sign_in(one.annotator_id) for one in project.workforce.annotators),
        connection=connection,
        simulation=load_simulation(folder / "simulation.yaml", data_root=settings.home / "data"),
        labels=project.taxonomy.names,
    )
    opened.callback(crew.close)
    return crew.work


def _prepare(home: Path, *, seed: int, platform: str) -> Settings:
    if home.exists() and any(home.iterdir()) and not _is_demo(home):
        raise Conflict(
            f"{home}: found files that no demo wrote, expected an empty folder or an earlier demo; name another with --home"
        )
    if home.exists():
        local_label_studio(Settings.from_environment({"ANNOTATION_OPS_HOME": str(home)})).stop()
        shutil.rmtree(home)
    home.mkdir(parents=True)
    (home / MARKER).write_text(json.dumps({"written_by": WRITTEN_BY, "seed": seed}) + "\n")
    shutil.copytree(example_project("digits"), home / "projects" / "digits")
    workflow = home / "projects" / "digits" / "workflow.yaml"
    workflow.write_text(workflow.read_text().replace("platform: simulated", f"platform: {platform}"))
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
        "ANNOTATION_OPS_CACHE",
    }


def _quiet() -> None:
    """One line a run is the demo's log; Dagster's and MLflow's own go to the UI."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    for name in ("dagster", "mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL if name == "dagster" else logging.ERROR)
    warnings.simplefilter("ignore")
