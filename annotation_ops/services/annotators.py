"""The people of a project: how good their work is, where they stand, what would help them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from annotation_ops.domain.batches import WITH_LABELS, BatchState, parse_batch_id
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.quality.agreement.report import CATEGORICAL
from annotation_ops.domain.quality.consensus.methods import consensus
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.records import Annotation, JsonObject, content_key
from annotation_ops.domain.workforce.cohorts import CohortReport, GoldScore, compare_cohorts
from annotation_ops.domain.workforce.drift import Drift, drift, histories
from annotation_ops.domain.workforce.flags import Assessment, FlagRules, assess
from annotation_ops.domain.workforce.grading import CalibrationResult
from annotation_ops.domain.workforce.reference import left_out_reference
from annotation_ops.domain.workforce.skill import AnnotatorSkill, skill
from annotation_ops.domain.workforce.standing import Flagging, Need, Standing
from annotation_ops.domain.workforce.status import AnnotatorStatus
from annotation_ops.domain.workforce.training_pack import OwnError, TrainingPack, own_errors, training_pack
from annotation_ops.ports.lake import Lake
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.certification import calibration_results, rules_of, standings
from annotation_ops.services.judgements import judgements_of
from annotation_ops.services.published_labels import current_labels, known_answer, sure_labels

LOOKED_AT = 20
"""Newest batch attempts that skill is estimated from: recent work, and a bounded read."""

NOT_ANSWERED = frozenset({BatchState.PLANNED, BatchState.IN_ANNOTATION})


@dataclass(frozen=True, slots=True)
class Work:
    """Recent judgements of label batches, and the answers that are known."""

    annotations: tuple[Annotation, ...]
    gold: Mapping[str, str]
    """Task key -> label of hidden gold tasks."""
    samples: Mapping[str, str]
    """Task key -> sample id."""
    last_at: Mapping[str, datetime]
    """Annotator -> when their newest judgement was submitted."""


@dataclass(frozen=True, slots=True)
class AnnotatorReport:
    annotator_id: str
    cohort: str
    standing: Standing
    assessment: Assessment | None
    """None while there is no work to assess: nothing judged, or a task type whose answers are more than one label."""
    skill: AnnotatorSkill | None
    drift: Drift | None

    @property
    def status(self) -> AnnotatorStatus:
        return self.standing.status

    def document(self) -> JsonObject:
        return {
            "annotator_id": self.annotator_id,
            "cohort": self.cohort,
            "standing": self.standing.document(),
            "assessment": None if self.assessment is None else self.assessment.document(),
            "skill": None if self.skill is None else self.skill.document(),
            "drift": None if self.drift is None else self.drift.document(),
        }


@dataclass(frozen=True, slots=True)
class WorkforceReport:
    annotators: tuple[AnnotatorReport, ...]
    """Every declared person, ordered by id."""
    flaggings: Mapping[str, Flagging]
    """Evidence against somebody's work since their last decided calibration."""
    results: Mapping[str, tuple[CalibrationResult, ...]]
    cohorts: CohortReport
    """On the gold tasks of the calibrations, each person's newest round."""

    def document(self) -> JsonObject:
        return {"annotators": [one.document() for one in self.annotators], **self.cohorts.document()}


def report_workforce(project: AnnotationProject, *, ledger: Ledger, now: datetime) -> WorkforceReport:
    """Skill, drift, flags and standing of everybody, from the ledger alone; writes nothing.

    Work before a person's last decided calibration speaks no more: the calibration answered it.
    """
    results = calibration_results(project, ledger=ledger)
    decided = {name: at for name, own in results.items() if (at := _decided_at(own)) is not None}
    work = recent_work(project, ledger=ledger, since=decided)
    judged = judgements_of(project, work.annotations)
    skills, drifts = _measured(judged, work) if isinstance(judged, Judgements) else ((), ())
    cohorts = {person.annotator_id: person.cohort for person in project.workforce.annotators}
    rules = _flag_rules(project)
    flags = {one.annotator_id: one for one in assess(skills, drifts=drifts, cohorts=cohorts, rules=rules)}
    flaggings = {
        name: Flagging(work.last_at[name], "; ".join(reason.text for reason in one.reasons))
        for name, one in flags.items()
        if one.status is AnnotatorStatus.FLAGGED
    }
    standing_of = standings(project, results=results, now=now, flaggings=flaggings)
    assessed = assess(skills, drifts=drifts, cohorts=cohorts, standings=standing_of, rules=rules)
    assessment_of = {one.annotator_id: one for one in assessed}
    skill_of = {one.annotator_id: one for one in skills}
    drift_of = {one.annotator_id: one for one in drifts}
    return WorkforceReport(
        tuple(
            AnnotatorReport(
                name,
                cohorts[name],
                standing_of[name],
                assessment_of.get(name),
                skill_of.get(name),
                drift_of.get(name),
            )
            for name in sorted(standing_of)
        ),
        flaggings,
        results,
        compare_cohorts(
            (_gold_score(own[-1]) for own in results.values() if own[-1].n_answered),
            cohorts=cohorts,
            confidence=rules.confidence,
        ),
    )


def recent_work(project: AnnotationProject, *, ledger: Ledger, since: Mapping[str, datetime] | None = None) -> Work:
    """Judgements of the newest answered label batches; of a person in `since`, only later ones.

    Labels that the taxonomy does not have any more are left out.
    """
    attempts = [
        attempt
        for attempt in ledger.attempts(project.name)
        if attempt.state not in NOT_ANSWERED and parse_batch_id(attempt.batch_id)[1] in WITH_LABELS
    ]
    names = project.taxonomy.names
    annotations: list[Annotation] = []
    gold: dict[str, str] = {}
    samples: dict[str, str] = {}
    for attempt in sorted(attempts, key=lambda one: (one.planned_at, one.key))[-LOOKED_AT:]:
        for task in ledger.tasks(project.name, attempt.batch_id, attempt.number):
            samples[task.task_key] = task.sample_id
            if (answer := known_answer(task)) is not None and answer.get("label") in names:
                gold[task.task_key] = str(answer["label"])
        annotations += ledger.annotations(project.name, attempt.batch_id, attempt.number)
    earliest, after = datetime.min.replace(tzinfo=UTC), since or {}
    kept = [
        a
        for a in annotations
        if a.value.get("label", names[0]) in names and after.get(a.annotator_id, earliest) < a.submitted_at
    ]
    last_at = {a.annotator_id: a.submitted_at for a in sorted(kept, key=lambda one: one.submitted_at)}
    return Work(tuple(kept), gold, samples, last_at)


def training_packs(
    project: AnnotationProject, names: Collection[str], *, report: WorkforceReport, ledger: Ledger, lake: Lake
) -> dict[str, TrainingPack]:
    """The training packs of these people: own errors in recent work and in the last calibration, and what explains them.

    Right is what is published now; for samples without a label, a consensus that is sure.

    Raises InvalidInput for task types whose answers are more than one label.
    """
    if project.contract.task_type not in CATEGORICAL:
        raise InvalidInput(
            f"{project.name}: found task type {project.contract.task_type}, expected {' or '.join(CATEGORICAL)}: a training "
            "pack lists labels that were confused. Look at the person's tasks in the platform instead."
        )
    work = recent_work(project, ledger=ledger)
    judged = judgements_of(project, work.annotations)
    labels = consensus(judged, method="ensemble") if isinstance(judged, Judgements) else ()
    published = current_labels(project, lake=lake)
    accepted = {task: published[sample]["label"] for task, sample in work.samples.items() if sample in published}
    how_sure = {sample: row["confidence"] for sample, row in published.items() if row["confidence"] is not None}
    sure = {sample: str(row["label"]) for sample, row in sure_labels(project, lake=lake).items()}
    standing_of = {one.annotator_id: one.standing for one in report.annotators}
    packs = {}
    for name in sorted(names):
        in_work = (
            own_errors(name, judgements=judged, labels=labels, gold=accepted | dict(work.gold))
            if isinstance(judged, Judgements)
            else ()
        )
        in_round = [error for result in report.results.get(name, ())[-1:] for error in result.errors]
        packs[name] = training_pack(
            name,
            task_type=project.contract.task_type,
            errors=[
                *(
                    replace(error, task_id=sample, confidence=min(error.confidence, how_sure.get(sample, 1.0)))
                    for error in in_work
                    for sample in (work.samples[error.task_id],)
                ),
                *(OwnError(sample, answer, label, 1.0) for sample, answer, label in in_round),
            ],
            guideline=project.guideline,
            taxonomy=project.taxonomy,
            gold=sure,
            reasons=(standing_of[name].reason,),
            seed=int(content_key("training pack", project.name, name)[:8], 16),
        )
    return packs


def _measured(judged: Judgements, work: Work) -> tuple[tuple[AnnotatorSkill, ...], tuple[Drift, ...]]:
    if not work.annotations:
        return (), ()
    reference = left_out_reference(judged, gold=work.gold)
    made_at = {(a.task_key, a.annotator_id): a.submitted_at for a in work.annotations}
    return (
        skill(judged, gold=work.gold, reference=reference),
        drift(histories(judged, reference=reference, made_at=made_at)),
    )


def _flag_rules(project: AnnotationProject) -> FlagRules:
    rules = rules_of(project)
    return FlagRules(
        minimum=rules.minimum - rules.margin, class_minimum=rules.class_minimum, confidence=rules.confidence
    )


def _decided_at(results: Sequence[CalibrationResult]) -> datetime | None:
    decided = [one.graded_at for one in results if one.outcome is not AnnotatorStatus.NEEDS_MORE_EVIDENCE]
    return decided[-1] if decided else None


def _gold_score(result: CalibrationResult) -> GoldScore:
    return GoldScore(result.annotator_id, (result.accuracy.value or 0.0) * result.n_answered, result.n_answered)


def flagged_packs(
    project: AnnotationProject, *, report: WorkforceReport, ledger: Ledger, lake: Lake
) -> dict[str, TrainingPack]:
    """The packs of everybody who is to train now; none for task types whose answers are more than one label."""
    names = {one.annotator_id for one in report.annotators if one.standing.needs is Need.TRAINING}
    if not names or project.contract.task_type not in CATEGORICAL:
        return {}
    return training_packs(project, names, report=report, ledger=ledger, lake=lake)
