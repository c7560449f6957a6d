"""The demo through its own door, graded from outside: stores are read back and compared with the images' true labels."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_digits

from annotation_ops.adapters.project_folder import load_project
from annotation_ops.bootstrap import Parts, build
from annotation_ops.domain.audit import verify
from annotation_ops.domain.batches import makes_labels
from annotation_ops.domain.tables import GOLD_LABELS, LABEL_FEATURES, MODEL_PERFORMANCE
from annotation_ops.settings import Settings
from annotation_ops_tests.dagster.deployment import OTHERS_WARNINGS

pytestmark = [pytest.mark.slow, *OTHERS_WARNINGS]

TRUTH = [str(label) for label in load_digits().target]
RUN_SECONDS = 300
"""A run takes about 20 s on an idle machine of two cores."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Told:
    """One finished demo: what it printed, and what stood in its stores right afterwards."""

    home: Path
    summary: dict[str, Any]
    batches: list[tuple[Any, ...]]
    judgements: dict[str, list[tuple[str, str, str]]]
    """Attempt -> (sample, annotator, label)."""
    features: Rows
    gold: Rows
    performance: Rows
    incidents: list[tuple[Any, ...]]
    audit: tuple[int, str]
    """Entries but those of sweeps, whose number depends on how fast the machine is, and the first fault of the chain."""

    def labels(self) -> list[tuple[object, ...]]:
        """Everything about the published labels that no clock and no folder name decides."""
        told = ("entity_id", "label", "label_revision", "confidence", "batch_id", "attempt", "annotators")
        told += ("selection_reason", "content_digest", "uncertainty", "inclusion_probability", "model_version")
        return sorted((tuple(str(row[name]) for name in told) for row in self.features), key=str)

    def outcome(self, batch: str) -> str:
        return str(next(row["verdict"] for row in self.summary["batches"] if row["batch"] == batch))


def tell(home: Path, *, seed: int) -> Told:
    command = [sys.executable, "-m", "annotation_ops.cli.main", "demo", "--home", str(home), "--seed", str(seed)]
    done = subprocess.run(
        [*command, "--json"], cwd=home.parent, capture_output=True, text=True, check=False, timeout=RUN_SECONDS
    )
    assert done.returncode == 0, done.stderr[-2000:]
    settings = Settings.from_environment(
        {"ANNOTATION_OPS_HOME": str(home), "ANNOTATION_OPS_PROJECTS": str(home / "projects")}
    )
    parts = build(settings)
    try:
        return _read_back(home, json.loads(done.stdout), parts)
    finally:
        parts.close()


def _read_back(home: Path, summary: dict[str, Any], parts: Parts) -> Told:
    project = load_project(home / "projects" / "digits")
    ledger, name = parts.ledger, project.name
    verdicts = {(v.batch_id, v.attempt): v for v in ledger.verdicts(name)}
    batches: list[tuple[Any, ...]] = []
    judgements = {}
    for attempt in ledger.attempts(name):
        verdict = verdicts.get((attempt.batch_id, attempt.number))
        told = verdict.document if verdict else {}
        tasks = {task.task_key: task.sample_id for task in ledger.tasks(name, attempt.batch_id, attempt.number)}
        batches.append((attempt.key, attempt.state.value, verdict.outcome if verdict else None, told, len(tasks)))
        judgements[attempt.key] = [
            (tasks[a.task_key], a.annotator_id, str(a.value["label"]))
            for a in ledger.annotations(name, attempt.batch_id, attempt.number)
        ]
    entries = ledger.audit_entries()
    return Told(
        home,
        summary,
        batches,
        judgements,
        parts.lake.read(LABEL_FEATURES, partition={"project": name}).to_pylist(),
        parts.lake.read(GOLD_LABELS, partition={"project": name}).to_pylist(),
        parts.lake.read(MODEL_PERFORMANCE, partition={"project": name}).to_pylist(),
        [(i.slices, i.state.value, i.batch_id, i.model_version) for i in ledger.incidents(name)],
        (sum('"annotations.collected"' not in entry.body for entry in entries), str(verify(entries) or "")),
    )


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demos")


@pytest.fixture(scope="module")
def zero(homes: Path) -> Told:
    return tell(homes / "zero", seed=0)


@pytest.fixture(scope="module")
def two(homes: Path) -> Told:
    return tell(homes / "two", seed=2)


@pytest.fixture(scope="module")
def zero_again(two: Told) -> Told:
    """Seed 0 once more, in the home where seed 2 was."""
    return tell(two.home, seed=0)


@pytest.fixture(params=["zero", "two"])
def told(request: pytest.FixtureRequest) -> Told:
    return request.getfixturevalue(request.param)


def index_of(row: Mapping[str, Any]) -> int:
    return int(Path(row["source_uri"]).stem.removeprefix("digit-"))


def newest(rows: Rows) -> Rows:
    """The newest revision of each sample's label."""
    ordered = sorted(rows, key=lambda row: (row["event_timestamp"], row["label_revision"]))
    return list({row["entity_id"]: row for row in ordered}.values())


def test_a_rejected_batch_comes_back_whole_and_passes_with_other_people(told: Told) -> None:
    first, second = "2026-01-05-active-01.a1", "2026-01-05-active-01.a2"

    assert (told.outcome(first), told.outcome(second)) == ("FAIL", "PASS")
    assert {row[1] for row in told.batches if row[0] in {first, second}} == {"requeued", "published"}
    assert {sample for sample, _, _ in told.judgements[first]} == {sample for sample, _, _ in told.judgements[second]}
    asked = {(sample, person) for sample, person, _ in told.judgements[first]}
    assert not asked & {(sample, person) for sample, person, _ in told.judgements[second]}


def test_only_batches_that_passed_are_in_the_feature_table_and_their_labels_are_true(told: Told) -> None:
    with_verdict = {row["batch"] for row in told.summary["batches"] if row["verdict"] == "PASS"}
    passed = {batch for batch in with_verdict if makes_labels(batch)}
    rows = newest(told.features)

    assert {f"{row['batch_id']}.a{row['attempt']}" for row in told.features} == passed
    assert {row["verdict"] for row in told.features} == {"PASS"}
    assert len(rows) > 150
    wrong = [row["entity_id"] for row in rows if row["label"] != TRUTH[index_of(row)]]
    assert len(wrong) <= 0.02 * len(rows)


def test_the_incident_names_the_scanner_that_faded_and_asks_for_no_more_than_its_budget(told: Told) -> None:
    (incident,) = told.incidents
    slices, state, batch, _ = incident
    monitor = load_project(told.home / "projects" / "digits").monitor
    assert monitor is not None

    assert slices == ("scanner:c",)
    assert state == "resolved", told.summary["incidents"][0]["outcome"]["reason"]
    (tasks,) = [row[4] for row in told.batches if row[0] == f"{batch}.a1"]
    assert 0 < tasks <= monitor.relabel_budget


def test_the_faded_scanner_falls_while_the_others_stay_and_recovers_after_retraining(told: Told) -> None:
    shown = {(row["model_version"], row["slice"]): row for row in told.summary["accuracy"]}
    versions = sorted({version for version, _ in shown}, key=int)
    before, after = versions[-2], versions[-1]

    assert shown[before, "scanner:c"]["last"] < shown[before, "scanner:c"]["first"] - 0.1
    for healthy in ("scanner:a", "scanner:b"):
        assert abs(shown[before, healthy]["last"] - shown[before, healthy]["first"]) < 0.1
    assert shown[after, "scanner:c"]["last"] > shown[before, "scanner:c"]["last"] + 0.1


def test_the_summary_says_what_the_stores_say(told: Told) -> None:
    labels, rows = told.summary["labels"], newest(told.features)
    gold = {row["sample_id"]: row["label"] for row in told.gold}
    truth = {row["entity_id"]: TRUTH[index_of(row)] for row in told.features}
    overruled = sum(
        label != gold[sample]
        for key, answers in told.judgements.items()
        if told.outcome(key) == "PASS" and makes_labels(key)
        for sample, _, label in answers
        if truth.get(sample) == gold[sample]
    )

    assert labels["in_feature_table"] == len(rows)
    assert labels["truly_wrong"] == sum(row["label"] != truth[row["entity_id"]] for row in rows)
    assert labels["judgements"] == sum(len(answers) for answers in told.judgements.values())
    # Tasks that wait for a person have a true consensus too, but no published label.
    unsettled = sum(row["needs_human"] for row in told.gold)
    assert overruled <= labels["false_judgements_caught"] <= overruled + 3 * unsettled
    assert [row["batch"] for row in told.summary["batches"]] == [row[0] for row in told.batches]
    for row, (_, state, verdict, document, tasks) in zip(told.summary["batches"], told.batches, strict=True):
        assert (row["state"], row["verdict"], row["tasks"]) == (state, verdict, tasks)
        assert row["value"] == document.get("statistics", {}).get(row["statistic"], {}).get("value")
        assert (row["value"] is not None) == makes_labels(row["batch"])


def test_the_summary_s_accuracies_are_the_first_and_last_values_watched(told: Told) -> None:
    for entry in told.summary["accuracy"]:
        slice_name = "" if entry["slice"] == "overall" else entry["slice"]
        values = [
            row["value"]
            for row in sorted(told.performance, key=lambda row: row["observed_at"])
            if (row["model_version"], row["slice"], row["metric"]) == (entry["model_version"], slice_name, "accuracy")
        ]
        assert (entry["first"], entry["last"], entry["windows"]) == (values[0], values[-1], len(values))


def test_the_summary_on_disk_is_the_one_that_was_printed(zero: Told) -> None:
    assert json.loads((zero.home / "summary.json").read_text()) == zero.summary


def test_the_audit_chain_is_whole(told: Told) -> None:
    entries, fault = told.audit

    assert (entries > 40, fault) == (True, "")


def test_chosen_labels_are_worth_more_than_random_ones(told: Told) -> None:
    against = told.summary["against_random"]

    assert against["labels_spent"] < against["random_labels_needed_median"]


def test_the_same_seed_tells_the_same_story_in_another_home(zero: Told, zero_again: Told) -> None:
    assert zero_again.judgements == zero.judgements
    assert zero_again.batches == zero.batches
    assert zero_again.labels() == zero.labels()
    assert zero_again.incidents == zero.incidents
    assert zero_again.summary["accuracy"] == zero.summary["accuracy"]
    assert zero_again.summary["against_random"] == zero.summary["against_random"]


def test_another_seed_tells_another_story(zero: Told, two: Told) -> None:
    assert two.labels() != zero.labels()


def test_a_run_in_the_home_of_an_earlier_demo_replaces_it(zero: Told, zero_again: Told) -> None:
    assert json.loads((zero_again.home / "demo.json").read_text())["seed"] == 0
    assert len(zero_again.features) == len(zero.features)
    assert zero_again.audit[0] == zero.audit[0]
