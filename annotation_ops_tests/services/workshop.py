"""A small annotation business for tests of the use cases: real ledger, real lake, simulated people, a clock moved by hand."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from annotation_ops.adapters.platforms.simulated.platform import SimulatedPlatform
from annotation_ops.adapters.platforms.simulated.simulation import (
    WELL_BEHAVED,
    Misbehaviour,
    SimulatedPerson,
    Simulation,
    Truth,
    TruthItem,
)
from annotation_ops.adapters.project_folder import load_project
from annotation_ops.adapters.storage.delta_lake import DeltaLake
from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.domain.batches import parse_attempt_key
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.records import Annotation, Assignment, Attempt, Task
from annotation_ops.domain.tables import LABEL_FEATURES, RANKED_SAMPLES, RAW_SAMPLES
from annotation_ops.ports.annotation_platform import PlatformAnnotation
from annotation_ops.ports.training_trigger import TrainingReceipt, TrainingRequest, TrainingTrigger
from annotation_ops.services.collect import CollectReport, collect
from annotation_ops.services.dispatch import DispatchReport, dispatch_attempt
from annotation_ops.services.judge import JudgeReport, flush_annotations, judge_attempt
from annotation_ops.services.placement import platform_spec
from annotation_ops.services.plan import PlanReport, plan_attempt
from annotation_ops.services.publish import PublishReport, publish_attempt
from annotation_ops.services.train import request_training
from annotation_ops_tests.fakes.clock import MONDAY_NOON, ManualClock
from annotation_ops_tests.fakes.model_tracking import MemoryTracking

DIGITS = Path(__file__).parents[2] / "projects" / "digits"
DAY = MONDAY_NOON.date()
FIRST = f"{DAY}-active-01.a1"
SECOND = f"{DAY}-active-01.a2"
PEOPLE = tuple(f"ann-{number:02d}" for number in range(1, 13))
EASY_CRITERIA = {"min_overlap_tasks: 20": "min_overlap_tasks: 3", "mode: not_worse": "mode: point", "margin: 0.05": ""}
"""Six tasks cannot exclude chance; what these tests are about is not the statistics."""


def without_stages(project: Path) -> None:
    """Takes review, adjudication and audit out of a copy of the example project: what passed is published next."""
    workflow = (project / "workflow.yaml").read_text()
    kept = [line for line in workflow.splitlines() if not line.startswith(("review:", "adjudication:"))]
    (project / "workflow.yaml").write_text("\n".join(kept) + "\n")
    criteria = (project / "criteria.yaml").read_text()
    (project / "criteria.yaml").write_text(criteria.partition("audit:")[0])


@cache
def digits(edits: tuple[tuple[str, str, str], ...] = ()) -> AnnotationProject:
    """The example project with texts replaced: (file, found, put in its place)."""
    easy = [("criteria.yaml", found, put) for found, put in EASY_CRITERIA.items()]
    with TemporaryDirectory() as folder:
        copied = Path(shutil.copytree(DIGITS, Path(folder) / "digits"))
        without_stages(copied)
        for name, found, put in (*easy, *edits):
            text = (copied / name).read_text()
            assert found in text, f"{name} does not say {found!r}"
            (copied / name).write_text(text.replace(found, put))
        return load_project(copied)


def sample(number: int) -> str:
    return f"s{number:03d}"


def uri(number: int) -> str:
    return f"mem://{sample(number)}.png"


def truth(number: int) -> str:
    return str(number % 10)


def raw_rows(project: str, samples: int) -> pa.Table:
    rows = [
        dict.fromkeys(RAW_SAMPLES.schema.names)
        | {"project": project, "day": DAY.isoformat(), "sample_id": sample(n), "digest": f"d{n}", "uri": uri(n)}
        | {"object_key": f"{sample(n)}.png", "size": 1, "captured_at": datetime(2026, 11, 1, tzinfo=UTC)}
        | {"slices": f'{{"scanner":"{"abc"[n % 3]}"}}', "metadata": f'{{"sheet":"f{n}"}}'}
        for n in range(samples)
    ]
    return pa.Table.from_pylist(rows, RAW_SAMPLES.schema)


def ranked_rows(project: str, samples: int, day: date = DAY) -> pa.Table:
    rows = [
        {"project": project, "day": day.isoformat(), "rank": n, "sample_id": sample(n), "digest": f"d{n}"}
        | {"uri": uri(n), "slices": f'{{"scanner":"{"abc"[n % 3]}"}}', "uncertainty": 1 / (n + 2)}
        | {"selection_reason": "uncertain", "inclusion_probability": 0.5, "strategy": "margin_kmeans"}
        | {"model_version": "3"}
        for n in range(samples)
    ]
    return pa.Table.from_pylist(rows, RANKED_SAMPLES.schema)


@cache
def _template(project: str, samples: int) -> TemporaryDirectory[str]:
    """A home with the migrated ledger and the two tables; copied for every test, as making one takes half a second."""
    folder = TemporaryDirectory()
    home = Path(folder.name)
    with SqlLedger(f"sqlite:///{home / 'ledger.sqlite'}") as ledger:
        ledger.initialise()
    lake = DeltaLake(str(home / "lake"))
    lake.upsert(RAW_SAMPLES, raw_rows(project, samples), partition={"project": project})
    partition = {"project": project, "day": DAY.isoformat()}
    lake.overwrite_partition(RANKED_SAMPLES, ranked_rows(project, samples), partition=partition)
    return folder


class CountingTrigger(TrainingTrigger):
    """Trains in no time; a request key that was seen gives the earlier receipt."""

    def __init__(self) -> None:
        self.requests: list[TrainingRequest] = []
        self.trained: dict[str, TrainingReceipt] = {}

    def submit(self, request: TrainingRequest) -> TrainingReceipt:
        self.requests.append(request)
        number = len(self.trained) + 1
        return self.trained.setdefault(
            request.request_key, TrainingReceipt(request.request_key, f"training-{number}", str(number))
        )


@dataclass
class Workshop:
    """One deployment in `home`; the steps of the loop as methods, at the clock's time."""

    home: Path
    project: AnnotationProject
    ledger: SqlLedger
    lake: DeltaLake
    platform: SimulatedPlatform
    clock: ManualClock
    samples: int
    tracking: MemoryTracking = field(default_factory=MemoryTracking)
    trigger: CountingTrigger = field(default_factory=CountingTrigger)

    @classmethod
    def build(cls, home: Path, *, project: AnnotationProject | None = None, samples: int = 6) -> "Workshop":
        declared = project or digits()
        shutil.copytree(_template(declared.name, samples).name, home, dirs_exist_ok=True)
        clock = ManualClock()
        platform = people_at_work(home, clock=clock, samples=samples)
        return cls(home, declared, ledger_in(home), DeltaLake(str(home / "lake")), platform, clock, samples)

    def staff(self, *, misbehave: Misbehaviour = WELL_BEHAVED, **habits: float) -> None:
        """From now on people have these habits, and the platform these."""
        self.platform = people_at_work(
            self.home, clock=self.clock, samples=self.samples, misbehave=misbehave, habits=habits
        )

    def plan(self, key: str = FIRST) -> PlanReport:
        return plan_attempt(self.project, key, lake=self.lake, ledger=self.ledger, seed=1, now=self.clock.now())

    def dispatch(self, key: str = FIRST, *, owner: str = "run-1") -> DispatchReport:
        return dispatch_attempt(
            self.project,
            key,
            ledger=self.ledger,
            lake=self.lake,
            platform=self.platform,
            owner=owner,
            now=self.clock.now(),
        )

    def send(self, key: str = FIRST) -> DispatchReport:
        self.plan(key)
        return self.dispatch(key)

    def work(self, hours: float = 3) -> None:
        """People have this long."""
        self.clock.advance(timedelta(hours=hours))

    def collect(self) -> CollectReport:
        return collect(self.project, ledger=self.ledger, lake=self.lake, platform=self.platform, now=self.clock.now())

    def judge(self, key: str = FIRST) -> JudgeReport:
        flush_annotations(self.project, key, ledger=self.ledger, lake=self.lake)
        return judge_attempt(self.project, key, ledger=self.ledger, now=self.clock.now())

    def publish(self, key: str = FIRST) -> PublishReport:
        return publish_attempt(
            self.project,
            key,
            ledger=self.ledger,
            lake=self.lake,
            tracking=self.tracking,
            lake_uri=str(self.home / "lake"),
            now=self.clock.now(),
        )

    def train(self) -> TrainingReceipt:
        return request_training(
            self.project,
            ledger=self.ledger,
            lake=self.lake,
            trigger=self.trigger,
            lake_uri=str(self.home / "lake"),
            now=self.clock.now(),
        )

    def annotate(self, key: str = FIRST) -> CollectReport:
        """The attempt from its planning to the last answer."""
        self.send(key)
        self.work()
        return self.collect()

    def complete(self, key: str = FIRST) -> PublishReport:
        """The attempt from its planning to its publication."""
        self.annotate(key)
        self.judge(key)
        return self.publish(key)

    def reject(self, key: str = FIRST) -> JudgeReport:
        """The attempt from its planning to its rejection: people guess."""
        self.staff(accuracy=0.1)
        self.annotate(key)
        return self.judge(key)

    def attempt(self, key: str = FIRST) -> Attempt:
        return self.ledger.attempt(self.project.name, *parse_attempt_key(key))

    def tasks(self, key: str = FIRST) -> tuple[Task, ...]:
        return self.ledger.tasks(self.project.name, *parse_attempt_key(key))

    def assignments(self, key: str = FIRST) -> tuple[Assignment, ...]:
        return self.ledger.assignments(self.project.name, *parse_attempt_key(key))

    def annotations(self, key: str = FIRST) -> tuple[Annotation, ...]:
        return self.ledger.annotations(self.project.name, *parse_attempt_key(key))

    def platform_project(self) -> str:
        return self.platform.ensure_project(platform_spec(self.project)).project_id

    def answers(self, number: int, key: str = FIRST) -> list[PlatformAnnotation]:
        """What the platform shows for one sample of an attempt, by annotator."""
        (task,) = [task.task_key for task in self.tasks(key) if task.sample_id == sample(number)]
        shown = self.platform.fetch_annotations(self.platform_project(), cursor=None, limit=1000).items
        return sorted((item for item in shown if item.task_key == task), key=lambda item: item.annotator_id)

    def relabel(self, number: int, *labels: str) -> None:
        """The people who answered about a sample change their answers to these, in order of their ids."""
        for item, label in zip(self.answers(number), labels, strict=False):
            self.platform.edit_annotation(item.platform_annotation_id, value={"label": label})

    def relabel_task(self, task_key: str, label: str) -> None:
        """Whoever answered the task changes the answer."""
        shown = self.platform.fetch_annotations(self.platform_project(), cursor=None, limit=1000).items
        [item] = [item for item in shown if item.task_key == task_key]
        self.platform.edit_annotation(item.platform_annotation_id, value={"label": label})

    def features(self) -> list[dict[str, object]]:
        rows = self.lake.read(LABEL_FEATURES, partition={"project": self.project.name}).to_pylist()
        return sorted(rows, key=lambda row: (row["entity_id"], row["event_timestamp"], row["label_revision"]))

    def current_labels(self) -> Mapping[str, str]:
        """sample -> its newest label, as a reader of the feature table sees it."""
        newest: dict[str, dict[str, object]] = {}
        for row in self.features():
            newest[str(row["entity_id"])] = row
        return {entity: str(row["label"]) for entity, row in newest.items() if not row["is_deleted"]}

    def events(self) -> list[str]:
        """What the audit chain says happened, oldest first."""
        return [json.loads(entry.body)["event"] for entry in self.ledger.audit_entries()]


def ledger_in(home: Path) -> SqlLedger:
    return SqlLedger(f"sqlite:///{home / 'ledger.sqlite'}")


def people_at_work(
    home: Path,
    *,
    clock: ManualClock,
    samples: int,
    misbehave: Misbehaviour = WELL_BEHAVED,
    habits: Mapping[str, float] | None = None,
) -> SimulatedPlatform:
    """The declared workforce on a simulated platform; without habits they are always right."""
    manner = {"accuracy": 1.0, **(habits or {})}
    people = {name: SimulatedPerson(name, **manner) for name in PEOPLE}
    answers = Truth(inline={uri(number): TruthItem(truth(number)) for number in range(samples)})
    return SimulatedPlatform(
        home / "platform.sqlite", simulation=Simulation(people, answers, seed=7), clock=clock, misbehave=misbehave
    )
