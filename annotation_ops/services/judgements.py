"""Stored annotations as judgements, and which of them a statistic may use."""

from collections.abc import Sequence

from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.agreement.measure import AnyJudgements, judgements_from_values
from annotation_ops.domain.quality.consensus.answers import consensus_answers
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.records import Annotation, Assignment, AssignmentPurpose

AT_RANDOM = frozenset({AssignmentPurpose.OVERLAP, AssignmentPurpose.TOP_UP})
"""Asked for without looking at an answer: agreement may rest on these only."""


def judgements_of(project: AnnotationProject, annotations: Sequence[Annotation]) -> AnyJudgements:
    """The judgements of one attempt; categories in taxonomy order."""
    rows = ((a.task_key, a.annotator_id, a.value) for a in annotations)
    return judgements_from_values(project.contract.task_type, rows, categories=project.taxonomy.names)


def consensus_of(project: AnnotationProject, annotations: Sequence[Annotation]) -> tuple[FusedAnswer, ...]:
    """The consensus of one attempt by the method its criteria name; every judgement counts, whyever it was asked for."""
    if not annotations:
        return ()
    return consensus_answers(judgements_of(project, annotations), method=project.criteria.consensus)


def asked_for(
    annotations: Sequence[Annotation], assignments: Sequence[Assignment], *, purposes: frozenset[AssignmentPurpose]
) -> tuple[Annotation, ...]:
    """The annotations that were asked for with one of the purposes."""
    purpose = {(a.task_key, a.annotator_id): a.purpose for a in assignments}
    return tuple(
        a for a in annotations if purpose.get((a.task_key, a.annotator_id), AssignmentPurpose.OVERLAP) in purposes
    )
