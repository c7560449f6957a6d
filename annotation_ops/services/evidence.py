"""What is known about a batch attempt when it is judged, gathered from the ledger alone."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from annotation_ops.domain.batches import STAGES, WITH_LABELS, BatchPurpose, BatchState, parse_batch_id, stage_batch_id
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.judgements import FloatArray, IntArray
from annotation_ops.domain.quality.planning.audit_estimate import AuditResult
from annotation_ops.domain.quality.verdict.evidence import ContractCheck, Evidence, gold_score
from annotation_ops.domain.quality.verdict.label_mix import MixTest, compare_mix, compare_mixes
from annotation_ops.domain.records import SYSTEM_ACTOR, Annotation, AssignmentPurpose, Attempt, Task, content_key
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.judgements import AT_RANDOM, asked_for, consensus_of
from annotation_ops.services.published_labels import known_answer
from annotation_ops.services.spot_audit import audit_result

ACCEPTED = frozenset({BatchState.PASSED, BatchState.PUBLISHED, *STAGES})

EARLIER_BATCHES = 10
"""Newest accepted batches that a label mix is compared with: enough labels, and not last year's data."""


@dataclass(frozen=True, slots=True)
class Material:
    """Everything a verdict rests on."""

    tasks: tuple[Task, ...]
    annotations: tuple[Annotation, ...]
    at_random: tuple[Annotation, ...]
    """Those that agreement may rest on."""
    class_top_up: tuple[Annotation, ...]
    topped_up_classes: tuple[str, ...]
    rounds: int
    quarantined: int
    earlier: tuple[tuple[Task, str], ...]
    """Labels of earlier accepted batches."""
    audit: AuditResult | None

    @property
    def key(self) -> str:
        """Content key: equal for equal material."""
        audited = "" if self.audit is None else json.dumps(self.audit.document(), sort_keys=True)
        parts = [annotation.annotation_key for annotation in self.annotations]
        return content_key("evidence", *parts, str(self.rounds), str(self.quarantined), audited)


def material_of(project: AnnotationProject, attempt: Attempt, *, ledger: Ledger) -> Material:
    """Reads everything that bears on the attempt; writes nothing."""
    tasks = ledger.tasks(project.name, attempt.batch_id, attempt.number)
    annotations = ledger.annotations(project.name, attempt.batch_id, attempt.number)
    assignments = ledger.assignments(project.name, attempt.batch_id, attempt.number)
    orders = [
        v.document["top_up"]
        for v in ledger.verdicts(project.name, attempt.batch_id)
        if v.attempt == attempt.number and v.in_force and v.judged_by == SYSTEM_ACTOR and v.document.get("top_up")
    ]
    keys = {task.task_key for task in tasks}
    refused = ledger.quarantined(project.name, "annotation")
    compares = project.criteria.label_mix is not None and not project.criteria.label_mix.expected
    return Material(
        tasks=tasks,
        annotations=annotations,
        at_random=asked_for(annotations, assignments, purposes=AT_RANDOM),
        class_top_up=asked_for(annotations, assignments, purposes=frozenset({AssignmentPurpose.CLASS_TOP_UP})),
        topped_up_classes=tuple(dict.fromkeys(name for order in orders for name in order["classes"])),
        rounds=len(orders),
        quarantined=sum(item.body.get("task_key") in keys for item in refused),
        earlier=_earlier(project, attempt, ledger=ledger) if compares else (),
        audit=audit_result(project, stage_batch_id(BatchPurpose.AUDIT, attempt.key), ledger=ledger),
    )


def further_evidence(project: AnnotationProject, material: Material, *, seed: int) -> Evidence:
    """The material as the verdict asks for it."""
    later: defaultdict[str, list[str]] = defaultdict(list)
    for annotation in material.class_top_up:
        later[annotation.task_key].append(str(annotation.value["label"]))
    answered = {annotation.task_key for annotation in material.annotations}
    gold = {task.task_key: answer for task in material.tasks if (answer := known_answer(task)) is not None}
    return Evidence(
        gold=gold_score(
            ((a.task_key, a.annotator_id, a.value) for a in material.annotations),
            gold=gold,
            task_type=project.contract.task_type,
            categories=project.taxonomy.names,
            confidence=project.criteria.confidence,
            seed=seed,
        )
        if project.criteria.gold is not None and gold
        else None,
        label_mix=_label_mix(project, material, seed=seed),
        audit=material.audit,
        contract=ContractCheck(
            len(material.tasks), sum(task.task_key not in answered for task in material.tasks), material.quarantined
        ),
        class_top_up=dict(later),
        topped_up_classes=material.topped_up_classes,
        earlier_rounds=material.rounds,
        limits=project.workflow.top_up,
    )


def _label_mix(project: AnnotationProject, material: Material, *, seed: int) -> MixTest | None:
    criteria = project.criteria.label_mix
    if criteria is None:
        return None
    names = project.taxonomy.names
    labels, weights = _weighted(_labelled(project, material.tasks, material.annotations), names)
    if criteria.expected:
        shares = dict(criteria.expected)
        expected = np.array([shares.get(name, 0.0) for name in names])
        return compare_mix(
            labels, expected=expected, weights=weights, alpha=criteria.alpha, min_effect=criteria.min_effect, seed=seed
        )
    reference, reference_weights = _weighted(material.earlier, names)
    return compare_mixes(
        labels,
        reference,
        weights=weights,
        reference_weights=reference_weights,
        q=len(names),
        alpha=criteria.alpha,
        min_effect=criteria.min_effect,
        seed=seed,
    )


def _earlier(project: AnnotationProject, attempt: Attempt, *, ledger: Ledger) -> tuple[tuple[Task, str], ...]:
    """Labels of the newest accepted batches planned before this one."""
    accepted = [
        other
        for other in ledger.attempts(project.name, states=ACCEPTED)
        if other.batch_id < attempt.batch_id and parse_batch_id(other.batch_id)[1] in WITH_LABELS
    ]
    found: list[tuple[Task, str]] = []
    for other in accepted[-EARLIER_BATCHES:]:
        tasks = ledger.tasks(project.name, other.batch_id, other.number)
        found += _labelled(project, tasks, ledger.annotations(project.name, other.batch_id, other.number))
    return tuple(found)


def _labelled(
    project: AnnotationProject, tasks: Sequence[Task], annotations: Sequence[Annotation]
) -> list[tuple[Task, str]]:
    """Tasks with the label they got; hidden gold tasks and tasks without one settled label are left out."""
    answers = {answer.task_id: answer.value for answer in consensus_of(project, annotations)}
    return [
        (task, str(value["label"]))
        for task in tasks
        if known_answer(task) is None and (value := answers.get(task.task_key)) is not None and "label" in value
    ]


def _weighted(labelled: Sequence[tuple[Task, str]], names: Sequence[str]) -> tuple[IntArray, FloatArray | None]:
    """Label positions and inverse inclusion probabilities.

    Samples that were drawn with a known probability speak for the pool, the others only for themselves: where any has
    one, those without are left out.
    """
    position: Mapping[str, int] = {name: at for at, name in enumerate(names)}
    drawn = [(task.inclusion_probability, label) for task, label in labelled if task.inclusion_probability]
    if not drawn:
        return np.array([position[label] for _, label in labelled], dtype=np.int64), None
    weights = np.array([1.0 / chance for chance, _ in drawn])
    return np.array([position[label] for _, label in drawn], dtype=np.int64), weights
