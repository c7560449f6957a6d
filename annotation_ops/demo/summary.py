"""The demo's summary, computed from the stores: ledger, lake, MLflow. The true labels only grade it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation_ops.bootstrap import Parts
from annotation_ops.demo import digits, training
from annotation_ops.demo.driver import Driver
from annotation_ops.domain.batches import BatchState, parse_attempt_key
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.tables import LABEL_FEATURES, MODEL_PERFORMANCE
from annotation_ops.services.judge import false_judgements, verdict_in_force
from annotation_ops.services.stages import labels_of

RANDOM_SEEDS = 5
RANDOM_STEP = 20


@dataclass(frozen=True, slots=True)
class Grader:
    """Compares what the stores hold with what the images really show."""

    project: AnnotationProject
    parts: Parts
    world: digits.Digits
    broken_scanner: str

    def summary(self, driver: Driver, *, seconds: float) -> dict[str, Any]:
        labels = self._labels()
        return {
            "seconds": round(seconds, 1),
            "dagster_runs": driver.runs,
            "seconds_per_stage": {name: round(spent, 1) for name, spent in sorted(driver.seconds.items())},
            "batches": self._batches(),
            "labels": {
                "in_feature_table": len(labels),
                "truly_wrong": sum(row["label"] != self._truth(row) for row in labels),
                "false_judgements_caught": self._caught(),
                "judgements": self._judgements(),
            },
            "accuracy": self._accuracy(),
            "incidents": self._incidents(),
            "against_random": self._against_random(labels),
        }

    def _labels(self) -> list[Mapping[str, Any]]:
        table = self.parts.lake.read(LABEL_FEATURES, partition={"project": self.project.name})
        return [dict(row) for row in training.newest_labels(table.to_pylist())]

    def _truth(self, row: Mapping[str, Any]) -> str:
        stem = str(row["source_uri"]).rpartition("/")[2].removesuffix(".png")
        return self.world.labels[int(stem.removeprefix("digit-"))]

    def _batches(self) -> list[dict[str, Any]]:
        ledger, name, statistic = self.parts.ledger, self.project.name, self.project.criteria.statistic
        rows = []
        for attempt in ledger.attempts(name):
            verdict = verdict_in_force(name, attempt.key, ledger=ledger)
            document = verdict.document if verdict else {}
            evidence = document.get("statistics", {}).get(statistic, {})
            rows.append(
                {
                    "batch": attempt.key,
                    "tasks": len(ledger.tasks(name, attempt.batch_id, attempt.number)),
                    "verdict": verdict.outcome if verdict else None,
                    "why": document["reasons"][0]["text"] if verdict else None,
                    "statistic": statistic,
                    **{key: evidence.get(key) for key in ("value", "low", "high")},
                    "state": attempt.state.value,
                }
            )
        return rows

    def _published(self) -> list[str]:
        return [a.key for a in self.parts.ledger.attempts(self.project.name, states={BatchState.PUBLISHED})]

    def _caught(self) -> int:
        """Single judgements that the labels of a published batch overrule, rightly by the images' truth."""
        ledger, name = self.parts.ledger, self.project.name
        caught = 0
        for key in self._published():
            tasks = ledger.tasks(name, *parse_attempt_key(key))
            annotations = ledger.annotations(name, *parse_attempt_key(key))
            truth = {task.task_key: self._truth({"source_uri": task.uri}) for task in tasks}
            answers = [label.answer for label in labels_of(self.project, key, ledger=ledger)]
            right = [answer for answer in answers if answer.value == {"label": truth[answer.task_id]}]
            caught += false_judgements(tasks, annotations, right)
        return caught

    def _judgements(self) -> int:
        ledger, name = self.parts.ledger, self.project.name
        return sum(len(ledger.annotations(name, a.batch_id, a.number)) for a in ledger.attempts(name))

    def _accuracy(self) -> list[dict[str, Any]]:
        """Per model version and slice: first and last logged accuracy, as the watching stage stored it."""
        table = self.parts.lake.read(MODEL_PERFORMANCE, partition={"project": self.project.name})
        rows = sorted(
            (row for row in table.to_pylist() if row["metric"] == "accuracy"),
            key=lambda row: (int(row["model_version"]), row["slice"], row["observed_at"]),
        )
        shown: dict[tuple[str, str], dict[str, Any]] = {}
        for row in rows:
            entry = shown.setdefault(
                (row["model_version"], row["slice"]),
                {"model_version": row["model_version"], "slice": row["slice"] or "overall", "first": row["value"]},
            )
            entry["last"], entry["windows"] = row["value"], entry.get("windows", 0) + 1
        return list(shown.values())

    def _incidents(self) -> list[dict[str, Any]]:
        return [
            {
                "incident": i.incident_id,
                "slices": list(i.slices),
                "state": i.state.value,
                "relabel_batch": i.batch_id,
                "mlflow_run": i.run_id,
                "outcome": i.outcome,
            }
            for i in self.parts.ledger.incidents(self.project.name)
        ]

    def _against_random(self, labels: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """How many random labels (true ones) a model needs to be as good as ours was before the scanner broke."""
        active = [row for row in labels if "-active-" in row["batch_id"]]
        goal = self._score([self._index(row) for row in active], [str(row["label"]) for row in active])
        needed = []
        for seed in range(RANDOM_SEEDS):
            order = np.random.default_rng(seed).permutation(len(self.world.pool))
            counts = range(RANDOM_STEP, len(order), RANDOM_STEP)
            needed.append(next((n for n in counts if self._random_score(order[:n]) >= goal), len(order)))
        return {
            "labels_spent": len(active),
            "accuracy_reached": round(goal, 4),
            "random_labels_needed_median": int(np.median(needed)),
            "random_labels_needed": needed,
        }

    def _index(self, row: Mapping[str, Any]) -> int:
        return int(str(row["source_uri"]).rpartition("digit-")[2].removesuffix(".png"))

    def _random_score(self, positions: NDArray[np.int64]) -> float:
        chosen = [self.world.pool[int(position)] for position in positions]
        return self._score(chosen, [self.world.labels[index] for index in chosen])

    def _score(self, indices: Sequence[int], labels: Sequence[str]) -> float:
        """Accuracy on the held-out images of a model trained on the seed set and these labels."""
        seed_set = list(self.world.seed_set)
        model = training.fit(
            self.world.pixels[[*seed_set, *indices]], [*(self.world.labels[index] for index in seed_set), *labels]
        )
        held_out = list(self.world.held_out)
        return float(model.score(self.world.pixels[held_out], [self.world.labels[index] for index in held_out]))


def lines(summary: Mapping[str, Any]) -> list[str]:
    """The summary as a person reads it."""
    labels, random = summary["labels"], summary["against_random"]
    out = ["", f"{'batch':<40} tasks  {'verdict':<12}  {'agreement (95% interval), or result':<38}  state"]
    for row in summary["batches"]:
        measured = row["value"] is not None
        # A batch that makes no labels has a result instead of agreement.
        found = (
            f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
            if measured
            else (row["why"] or "–").partition(":")[0]
        )
        out.append(f"{row['batch']:<40} {row['tasks']:>5}  {row['verdict'] or '–':<12}  {found:<38}  {row['state']}")
    out += ["", "model  slice       windows  accuracy first -> last"]
    out += [
        f"{r['model_version']:<6} {r['slice']:<11} {r['windows']:>7}  {r['first']:.3f} -> {r['last']:.3f}"
        for r in summary["accuracy"]
    ]
    for incident in summary["incidents"]:
        out += ["", f"incident {incident['incident'][:12]}: {', '.join(incident['slices'])} fell; relabel batch "
                f"{incident['relabel_batch']}; {incident['state']} after retraining"]  # fmt: skip
    out += [
        "",
        f"{labels['in_feature_table']} labels in the feature table, {labels['truly_wrong']} of them truly wrong; "
        f"{labels['false_judgements_caught']} false judgements of simulated people overruled (of {labels['judgements']} judgements)",
        f"{random['labels_spent']} chosen labels reach {random['accuracy_reached']:.3f}; "
        f"random choice needs {random['random_labels_needed_median']} (median of {RANDOM_SEEDS} seeds)",
        f"{summary['dagster_runs']} Dagster runs in {summary['seconds']} s",
    ]
    return out
