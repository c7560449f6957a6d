"""Certificates: what people showed on tasks whose answer is known, recorded as verdicts on calibration batches.

A calibration is a batch of one person. Its verdict is the person's result; where somebody stands is worked out from the
results each time it is asked for, so nothing can contradict them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from annotation_ops.domain.batches import BatchState, calibrated_annotator
from annotation_ops.domain.errors import Conflict
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.workforce import Annotator
from annotation_ops.domain.quality.agreement.measure import judgements_from_values, measure
from annotation_ops.domain.quality.agreement.report import CATEGORICAL
from annotation_ops.domain.quality.verdict.evidence import KEY
from annotation_ops.domain.records import SYSTEM_ACTOR, Attempt, JsonObject, VerdictRecord
from annotation_ops.domain.workforce.calibration import CalibrationRules
from annotation_ops.domain.workforce.grading import CalibrationResult, Round, grade, grade_scores
from annotation_ops.domain.workforce.rounds import undecided_series
from annotation_ops.domain.workforce.standing import Flagging, Standing, standing
from annotation_ops.domain.workforce.status import AnnotatorStatus
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.published_labels import known_answer

ONE_CLASS = "all"
"""The class of every gold task where an answer is more than one label."""

OUTCOMES = {
    AnnotatorStatus.CERTIFIED: "PASS",
    AnnotatorStatus.FLAGGED: "FAIL",
    AnnotatorStatus.NEEDS_MORE_EVIDENCE: "INSUFFICIENT",
}


def rules_of(project: AnnotationProject) -> CalibrationRules:
    """What the project declares; the standard rules where a round is planned by hand without any."""
    declared = project.workforce.calibration
    return declared.rules if declared is not None else CalibrationRules()


def calibration_attempts(project: AnnotationProject, *, ledger: Ledger) -> dict[str, tuple[Attempt, ...]]:
    """Annotator -> their calibrations, oldest first, whatever their state."""
    found: dict[str, list[Attempt]] = {}
    for attempt in ledger.attempts(project.name):
        if (name := calibrated_annotator(attempt.batch_id)) is not None:
            found.setdefault(name, []).append(attempt)
    return {name: tuple(sorted(own, key=lambda one: (one.planned_at, one.key))) for name, own in found.items()}


def calibration_results(project: AnnotationProject, *, ledger: Ledger) -> dict[str, tuple[CalibrationResult, ...]]:
    """Annotator -> results of their calibrations, oldest first; people without any are not in it."""
    results = {
        name: tuple(
            CalibrationResult.from_document(verdict.document["calibration"])
            for attempt in own
            if attempt.state is BatchState.SETTLED
            for verdict in ledger.verdicts(project.name, attempt.batch_id)
        )
        for name, own in calibration_attempts(project, ledger=ledger).items()
    }
    return {name: found for name, found in results.items() if found}


def standings(
    project: AnnotationProject,
    *,
    results: Mapping[str, Sequence[CalibrationResult]],
    now: datetime,
    flaggings: Mapping[str, Flagging] | None = None,
) -> dict[str, Standing]:
    """Where every declared person stands now; `results` are those of `calibration_results`."""
    return {
        person.annotator_id: standing(
            person.annotator_id,
            project.contract.task_type,
            results=results.get(person.annotator_id, ()),
            now=now,
            guideline_version=project.guideline.version,
            rules=rules_of(project),
            flagging=(flaggings or {}).get(person.annotator_id),
        )
        for person in project.workforce.annotators
    }


def certified_people(project: AnnotationProject, *, ledger: Ledger, now: datetime) -> frozenset[str] | None:
    """Who may do work that ends in labels; None where anybody may.

    A certificate is asked for when `workforce.yaml` requires it, from the first calibration on: before it there was no known
    answer to test anybody with. A flag alone takes nobody's work away; failing the round that follows does.
    """
    declared = project.workforce.calibration
    if declared is None or not declared.required or not calibration_attempts(project, ledger=ledger):
        return None
    results = calibration_results(project, ledger=ledger)
    standing_of = standings(project, results=results, now=now)
    return frozenset(name for name, one in standing_of.items() if one.status is AnnotatorStatus.CERTIFIED)


def calibrated_person(project: AnnotationProject, batch_id: str) -> Annotator:
    """Whom a calibration is about. Raises Conflict for somebody who is not declared any more."""
    name = calibrated_annotator(batch_id) or ""
    person = project.workforce.person(name)
    if person is None:
        raise Conflict(f"{batch_id}: found no annotator {name!r} in workforce.yaml, expected who is calibrated")
    return person


def settle_calibration(project: AnnotationProject, attempt: Attempt, *, ledger: Ledger, now: datetime) -> VerdictRecord:
    """Records what a COMPLETE calibration showed as its verdict. Settling twice changes nothing.

    An undecided round is graded together with the undecided ones before it that it tops up.
    """
    recorded = [v for v in ledger.verdicts(project.name, attempt.batch_id) if v.attempt == attempt.number]
    if attempt.state is BatchState.SETTLED and recorded:
        return recorded[-1]
    if attempt.state is not BatchState.COMPLETE:
        raise Conflict(
            f"{attempt.key}: found state {attempt.state}, expected complete; a calibration is graded when it is answered"
        )
    result = _graded(project, attempt, ledger=ledger, now=now)
    reason = _told(result, rules_of(project))
    outcome = OUTCOMES[result.outcome]
    document: JsonObject = {
        "verdict": outcome,
        "reasons": [{"code": f"calibration_{result.outcome.value}", "text": reason}],
        "calibration": result.document(),
    }
    record = VerdictRecord(attempt.batch_id, attempt.number, outcome, project.pinned("criteria"), document, now)
    with ledger.transaction(actor=SYSTEM_ACTOR, at=now) as tx:
        for declared in project.documents:
            tx.add_document_version(project.name, declared.kind, declared.version, declared.content_hash, declared.body)
        tx.add_verdict(project.name, record)
        tx.move_attempt(
            attempt.batch_id,
            attempt.number,
            project=project.name,
            expect={BatchState.COMPLETE},
            to=BatchState.SETTLED,
            at=now,
            reason=reason,
        )
        details = {"project": project.name, "annotator": result.annotator_id, "outcome": outcome, "look": result.look}
        tx.audit("calibration.settled", attempt.key, details)
    return record


def _graded(project: AnnotationProject, attempt: Attempt, *, ledger: Ledger, now: datetime) -> CalibrationResult:
    name = calibrated_annotator(attempt.batch_id) or ""
    version = ledger.batch(project.name, attempt.batch_id).versions.guideline.partition("+")[0]
    earlier = [one for one in calibration_attempts(project, ledger=ledger)[name] if one.state is BatchState.SETTLED]
    results = calibration_results(project, ledger=ledger).get(name, ())
    here = [one for one in results if one.task_type == project.contract.task_type and one.guideline_version == version]
    series = undecided_series(here)
    gold: dict[str, JsonObject] = {}
    answers: dict[str, JsonObject] = {}
    for one in (*earlier[len(earlier) - len(series) :], attempt):
        tasks = {task.task_key: task for task in ledger.tasks(project.name, one.batch_id, one.number)}
        for task in tasks.values():
            gold[task.sample_id] = known_answer(task) or {}
        for annotation in ledger.annotations(project.name, one.batch_id, one.number):
            answers[tasks[annotation.task_key].sample_id] = annotation.value
    of = Round(name, project.contract.task_type, version, now, look=len(series) + 1)
    return _grade(project, answers, gold, of=of)


def _grade(
    project: AnnotationProject, answers: Mapping[str, JsonObject], gold: Mapping[str, JsonObject], *, of: Round
) -> CalibrationResult:
    rules = rules_of(project)
    if of.task_type in CATEGORICAL:
        labels = {sample: str(value["label"]) for sample, value in gold.items()}
        return grade({s: str(value["label"]) for s, value in answers.items()}, labels, of=of, rules=rules)
    rows = [(sample, of.annotator_id, value) for sample, value in sorted(answers.items())]
    rows += [(sample, KEY, gold[sample]) for sample in sorted(answers)]
    judgements = judgements_from_values(of.task_type, rows, categories=project.taxonomy.names)
    report = measure(judgements, confidence=rules.confidence, seed=0, draws=1)
    scores = dict(zip(report.tasks, report.task_agreement.tolist(), strict=True))
    return grade_scores(scores, dict.fromkeys(gold, ONE_CLASS), of=of, rules=rules)


def _told(result: CalibrationResult, rules: CalibrationRules) -> str:
    found = result.accuracy
    if found.value is None:
        return "none of the gold tasks was answered, so nothing is shown"
    shown = f"{found.value:.0%} right on {found.n} gold tasks ({found.low:.0%} to {found.high:.0%})"
    line = rules.minimum - rules.margin
    if result.outcome is AnnotatorStatus.CERTIFIED:
        return f"{shown}: reaches {rules.minimum:.0%}, and a skill of {line:.0%} is excluded"
    if result.outcome is AnnotatorStatus.NEEDS_MORE_EVIDENCE:
        return f"{shown}: neither shown nor excluded to reach {rules.minimum:.0%}; more gold tasks decide it"
    weak = [one.label for one in result.classes if one.outcome is AnnotatorStatus.FLAGGED]
    return (
        f"{shown}: below {rules.class_minimum:.0%} in {', '.join(weak)}"
        if weak
        else f"{shown}: below {rules.minimum:.0%}"
    )
