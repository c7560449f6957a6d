"""Faults that show only when the documents of an annotation project are read together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from annotation_ops.domain.errors import Fault
from annotation_ops.domain.project.contract import Contract
from annotation_ops.domain.project.criteria import Criteria
from annotation_ops.domain.project.guideline import Guideline
from annotation_ops.domain.project.monitor import Monitor
from annotation_ops.domain.project.places import listing, suggestion
from annotation_ops.domain.project.routing import Routing
from annotation_ops.domain.project.sources import Sources
from annotation_ops.domain.project.staffing import staffing_faults
from annotation_ops.domain.project.taxonomy import Taxonomy
from annotation_ops.domain.project.webhooks import Webhooks
from annotation_ops.domain.project.workflow import Workflow
from annotation_ops.domain.project.workforce import StageRole, Workforce

_NOMINAL = ("percent_agreement", "cohen_kappa", "fleiss_kappa", "krippendorff_alpha_nominal", "gwet_ac1")
_WEIGHTED = ("weighted_kappa_linear", "weighted_kappa_quadratic", "gwet_ac2")
_ORDERED = (*_WEIGHTED, "krippendorff_alpha_ordinal", "krippendorff_alpha_interval")
_SHAPES = ("mean_iou_matched", "mean_iou_penalised", "f1_at_50", "f1_at_75", "f1_averaged")
_REGIONS = (*_SHAPES, "mean_dice", "panoptic_quality")
STATISTICS_OF_TASK: dict[str, tuple[str, ...]] = {
    "classification": _NOMINAL,
    "ordinal": (*_ORDERED, *_NOMINAL),
    "boxes": _SHAPES,
    "polygons": _REGIONS,
    "masks": _REGIONS,
    "spans": ("span_f1_exact", "span_f1_overlap", "exact_match"),
    "text": ("exact_match",),
}
_TWO_RATERS = frozenset({"cohen_kappa", "weighted_kappa_linear", "weighted_kappa_quadratic"})
_LEAST_LABELS = {"classification": 2, "ordinal": 2, "text": 0}
"""Task type -> labels without which there is nothing to decide; one for the others."""


@dataclass(frozen=True, slots=True)
class Documents:
    """What is readable of a project; a document with faults of its own is None, and what needs it is not compared."""

    contract: Contract | None
    taxonomy: Taxonomy | None
    guideline: Guideline | None
    criteria: Criteria | None
    workforce: Workforce | None
    workflow: Workflow | None
    routing: Routing | None
    sources: Sources | None
    monitor: Monitor | None
    webhooks: Webhooks | None = None


def consistency_faults(documents: Documents) -> tuple[Fault, ...]:
    """Every disagreement between the documents, each at the place where it is mended."""
    return (
        *_of_guideline(documents),
        *_of_taxonomy(documents),
        *_of_criteria(documents),
        *_of_workflow(documents),
        *_of_stages(documents),
        *_of_routing(documents),
        *_of_sources(documents),
        *_of_monitor(documents),
    )


def _of_guideline(documents: Documents) -> Iterator[Fault]:
    guideline, taxonomy = documents.guideline, documents.taxonomy
    if guideline and taxonomy and guideline.taxonomy_version != taxonomy.version:
        yield Fault(
            "guideline.md",
            "taxonomy_version",
            repr(guideline.taxonomy_version),
            f"{taxonomy.version!r}, the version of taxonomy.yaml",
            "Revise the guideline for the new labels, then raise both of its versions.",
        )


def _of_taxonomy(documents: Documents) -> Iterator[Fault]:
    contract, taxonomy = documents.contract, documents.taxonomy
    if not (contract and taxonomy):
        return
    least = _LEAST_LABELS.get(contract.task_type, 1)
    if len(taxonomy.labels) < least:
        expected = f"at least {least} for the task type {contract.task_type}"
        yield Fault("taxonomy.yaml", "labels", f"a list of {len(taxonomy.labels)}", expected, "Add the missing labels.")
    if contract.task_type == "ordinal" and not taxonomy.ordered:
        mend = "List the labels from lowest to highest and write ordered: true."
        yield Fault("taxonomy.yaml", "ordered", "false", "true for the task type ordinal", mend)


def _of_criteria(documents: Documents) -> Iterator[Fault]:
    criteria, contract, workflow = documents.criteria, documents.contract, documents.workflow
    if criteria and contract:
        suitable = STATISTICS_OF_TASK[contract.task_type]
        if criteria.statistic not in suitable:
            expected = f"{listing(suitable)} for the task type {contract.task_type}"
            yield Fault("criteria.yaml", "statistic", repr(criteria.statistic), expected)
    if criteria and workflow:
        if criteria.statistic in _TWO_RATERS and workflow.overlap != 2:
            found = f"{criteria.statistic!r} with an overlap of {workflow.overlap}"
            expected = "a statistic for any number of judgements, such as fleiss_kappa or gwet_ac2"
            yield Fault("criteria.yaml", "statistic", found, expected, "Change it, or set overlap: 2 in workflow.yaml.")
        if criteria.gold is not None and workflow.gold_share == 0:
            expected = "a gold_share above 0 in workflow.yaml: no batch has gold tasks to score"
            yield Fault(
                "criteria.yaml", "gold", "bounds for a gold score", expected, "Declare it, or remove gold here."
            )
        if criteria.min_overlap_tasks > workflow.batch_size:
            expected = f"at most the batch_size {workflow.batch_size} of workflow.yaml"
            mend = "Lower it: as it stands, every batch is INSUFFICIENT."
            yield Fault(
                "criteria.yaml", "min_overlap_tasks", f"the number {criteria.min_overlap_tasks}", expected, mend
            )


def _of_workflow(documents: Documents) -> Iterator[Fault]:
    workflow, contract = documents.workflow, documents.contract
    if workflow and workflow.overlap < 2:
        mend = "Ask two people or more: one judgement shows no agreement."
        yield Fault("workflow.yaml", "overlap", f"the number {workflow.overlap}", "at least 2", mend)
    if workflow and contract and workflow.slice_quota is not None:
        yield from _undeclared_slice(workflow.slice_quota, contract, file="workflow.yaml", path="slice_quota")
    if workflow and contract and documents.workforce and documents.routing:
        yield from staffing_faults(
            contract,
            workforce=documents.workforce,
            routing=documents.routing,
            workflow=workflow,
            file="workflow.yaml",
        )


def _of_stages(documents: Documents) -> Iterator[Fault]:
    workflow, workforce, taxonomy = documents.workflow, documents.workforce, documents.taxonomy
    if workflow is None:
        return
    stages: list[tuple[str, StageRole]] = [("review", "reviewer")] if workflow.review is not None else []
    stages += [("adjudication", "adjudicator")] if workflow.adjudication else []
    for path, role in stages:
        if workforce and not any(person.may(role) for person in workforce.annotators):
            mend = f"Give somebody in workforce.yaml `senior: true` or `roles: [{role}]`."
            yield Fault("workflow.yaml", path, "a stage for which there is nobody", f"at least one {role}", mend)
    for position, name in enumerate(workflow.review.classes if workflow.review is not None and taxonomy else ()):
        if taxonomy and name not in taxonomy.names:
            expected = f"one of {listing(taxonomy.names)}, the labels of taxonomy.yaml"
            yield Fault(
                "workflow.yaml", f"review.classes[{position}]", repr(name), expected, suggestion(name, taxonomy.names)
            )


def _undeclared_slice(name: str, contract: Contract, *, file: str, path: str) -> Iterator[Fault]:
    if name not in contract.slice_fields:
        declared = listing(contract.slice_fields) or "no slice: contract.yaml declares none"
        mend = suggestion(name, contract.slice_fields) or "Tag the field with slice in contract.yaml."
        yield Fault(file, path, repr(name), declared, mend)


def _of_routing(documents: Documents) -> Iterator[Fault]:
    routing, contract, workforce = documents.routing, documents.contract, documents.workforce
    for position, rule in enumerate(routing.rules if routing else ()):
        place = f"rules[{position}]"
        if contract:
            for name, value in rule.when:
                yield from _undeclared_slice(name, contract, file="routing.yaml", path=f"{place}.when.{name}")
                yield from _impossible_value(name, value, contract, path=f"{place}.when.{name}")
            if rule.same_region and contract.region_field is None:
                mend = "Tag the field that holds the region with region in contract.yaml."
                yield Fault("routing.yaml", f"{place}.same_region", "true", "a region on every sample", mend)
        if workforce:
            people = workforce.annotators
            yield from _unknown(rule.skills, (skill for p in people for skill in p.skills), f"{place}.skills")
            yield from _unknown(
                rule.languages, (spoken for p in people for spoken in p.languages), f"{place}.languages"
            )
            yield from _unknown(rule.domains, (domain for p in people for domain in p.domains), f"{place}.domains")
            yield from _unknown(rule.cohorts, (p.cohort for p in people), f"{place}.cohorts")


def _impossible_value(name: str, value: str, contract: Contract, *, path: str) -> Iterator[Fault]:
    allowed = next((field.allowed for field in contract.metadata if field.name == name), ())
    if allowed and value not in allowed:
        expected = f"{listing(allowed)}, the values that contract.yaml allows"
        yield Fault("routing.yaml", path, repr(value), expected, suggestion(value, allowed))


def _unknown(asked: tuple[str, ...], held: Iterable[str], path: str) -> Iterator[Fault]:
    known = sorted(set(held))
    for position, name in enumerate(asked):
        if name not in known:
            expected = f"{listing(known)}, what people of workforce.yaml have" if known else "what somebody has"
            mend = suggestion(name, known) or "Give it to somebody in workforce.yaml, or remove it here."
            yield Fault("routing.yaml", f"{path}[{position}]", repr(name), expected, mend)


def _of_sources(documents: Documents) -> Iterator[Fault]:
    sources, contract = documents.sources, documents.contract
    if sources and contract:
        media = {"pixels": "image", "text": "text"}.get(sources.scoring.features or "")
        if media is not None and contract.media != media:
            expected = f"features that suit the media {contract.media} of contract.yaml"
            mend = "Name a prediction log (log_uri) instead of a model." if contract.media in ("audio", "video") else ""
            yield Fault("sources.yaml", "scoring.features", repr(sources.scoring.features), expected, mend)


def _of_monitor(documents: Documents) -> Iterator[Fault]:
    monitor, sources, criteria = documents.monitor, documents.sources, documents.criteria
    if monitor and sources and sources.scoring.model is not None and monitor.model != sources.scoring.model:
        expected = f"{sources.scoring.model!r}, the model of sources.yaml"
        yield Fault("monitor.yaml", "model", repr(monitor.model), expected, "Watch the model that ranks the samples.")
    if monitor and criteria and monitor.relabel_budget < criteria.min_overlap_tasks:
        expected = f"at least the min_overlap_tasks {criteria.min_overlap_tasks} of criteria.yaml"
        mend = "Raise it: as it stands, every relabel batch is INSUFFICIENT."
        yield Fault("monitor.yaml", "relabel_budget", f"the number {monitor.relabel_budget}", expected, mend)
