"""Reports: what the ledger says about one batch or a whole project, as view models for a renderer.

Only records decide what is in them: no clock and no chance, so the same ledger gives the same report.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

from annotation_ops.domain.batches import WITH_LABELS, BatchState
from annotation_ops.domain.errors import InvalidInput, NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.criteria import Criteria, parse_criteria
from annotation_ops.domain.quality.agreement.measure import measure
from annotation_ops.domain.quality.agreement.report import CATEGORICAL
from annotation_ops.domain.quality.consensus.answers import consensus_answers
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.planning.adaptive_overlap import Savings, savings
from annotation_ops.domain.records import Annotation, Attempt, Batch, LabelCommit, VerdictRecord
from annotation_ops.domain.reporting.batch_report import BatchReport, batch_report
from annotation_ops.domain.reporting.project_report import ProjectReport, project_report
from annotation_ops.domain.reporting.summary import AttemptSummary, summarise
from annotation_ops.domain.reporting.tallies import Tallies, tallies_of, tallies_of_document
from annotation_ops.ports.ledger import Ledger
from annotation_ops.services.annotators import report_workforce
from annotation_ops.services.judge import verdict_in_force
from annotation_ops.services.judgements import AT_RANDOM, asked_for, judgements_of
from annotation_ops.services.published_labels import known_answer

FEW_DRAWS = 100
"""Draws behind statistics of shapes, spans and texts whose intervals a report makes itself."""
EARLIER = 20
"""Newest accepted attempts whose label mix a batch is shown against."""

IN_HAND = frozenset({BatchState.PLANNED, BatchState.IN_ANNOTATION})
"""States in which people may still answer: what is spent so far would pass for what was saved."""


class _Collector:
    """Reads one project's ledger; what several attempts share is read once."""

    def __init__(self, project: AnnotationProject, ledger: Ledger) -> None:
        self.project = project
        self.ledger = ledger
        self.batches: Mapping[str, Batch] = {batch.batch_id: batch for batch in ledger.batches(project.name)}
        self._commits: dict[tuple[str, int], LabelCommit] = {}
        for commit in ledger.label_commits(project.name):
            self._commits[commit.batch_id, commit.attempt] = commit
        self._verdicts: dict[tuple[str, int], list[VerdictRecord]] = {}
        for verdict in ledger.verdicts(project.name):
            self._verdicts.setdefault((verdict.batch_id, verdict.attempt), []).append(verdict)
        self._criteria: dict[str, Criteria | None] = {project.pinned("criteria"): project.criteria}

    def summary(self, attempt: Attempt) -> AttemptSummary:
        name, place = self.project.name, (attempt.batch_id, attempt.number)
        annotations = self.ledger.annotations(name, *place)
        tasks = self.ledger.tasks(name, *place)
        verdicts = self._verdicts.get(place, [])
        in_force = verdict_in_force(name, attempt.key, ledger=self.ledger) if verdicts else None
        criteria = self._criteria_of(in_force.criteria) if in_force else None
        labels = _labels(self.project, annotations, criteria or self.project.criteria)
        at_random = asked_for(annotations, self.ledger.assignments(name, *place), purposes=AT_RANDOM)
        commit = self._commits.get(place)
        return summarise(
            self.batches[attempt.batch_id],
            attempt,
            annotations=annotations,
            tallies=_tallies(self.project, at_random, labels, in_force),
            verdicts=verdicts,
            in_force=in_force,
            criteria=criteria,
            label_counts=Counter(
                labels[task.task_key] for task in tasks if task.task_key in labels and known_answer(task) is None
            ),
            n_tasks=len(tasks),
            accepted_labels=commit.n_labels if commit else 0,
            committed_at=commit.committed_at if commit else None,
            savings=self._savings(attempt, annotations),
        )

    def _savings(self, attempt: Attempt, annotations: Sequence[Annotation]) -> Savings | None:
        batch = self.batches[attempt.batch_id]
        if attempt.state in IN_HAND or batch.purpose not in WITH_LABELS:
            return None
        judgements = _labelled(self.project, annotations)
        return savings(judgements, fixed_overlap=batch.overlap) if judgements is not None else None

    def _criteria_of(self, pinned: str) -> Criteria | None:
        if pinned not in self._criteria:
            self._criteria[pinned] = self._stored_criteria(pinned)
        return self._criteria[pinned]

    def _stored_criteria(self, pinned: str) -> Criteria | None:
        try:
            text = self.ledger.document_body(self.project.name, "criteria", pinned.partition("+")[0])
        except NotFound:
            return None
        return parse_criteria(text).record


def collect_batch_report(project: AnnotationProject, key: str, *, ledger: Ledger, price: float = 1.0) -> BatchReport:
    """`key` names an attempt (`2026-11-23-active-01.a2`), or a batch, of which the newest attempt is meant.

    Raises NotFound naming batches that exist.
    """
    collector = _Collector(project, ledger)
    every = ledger.attempts(project.name)
    chosen = _chosen(project, key, every)
    summaries = [collector.summary(one) for one in every if one.batch_id == chosen.batch_id]
    summary = next(one for one in summaries if one.attempt.number == chosen.number)
    batch_id, number = chosen.batch_id, chosen.number
    return batch_report(
        summary,
        attempts=summaries,
        earlier=_accepted_before(collector, every, summary),
        tasks=ledger.tasks(project.name, batch_id, number),
        annotations=ledger.annotations(project.name, batch_id, number),
        task_type=project.contract.task_type,
        labels=_categories(project, [summary]),
        price=price,
    )


def collect_project_report(
    project: AnnotationProject,
    *,
    ledger: Ledger,
    price: float = 1.0,
    raised: Mapping[str, Sequence[str]] | None = None,
) -> ProjectReport:
    """All batches of the project; `raised` are reasons to look at somebody's work, by annotator, instead of those that skill
    and drift in recent work raise. One attempt is in memory at a time."""
    collector = _Collector(project, ledger)
    summaries = [collector.summary(attempt) for attempt in ledger.attempts(project.name)]
    summaries.sort(key=lambda one: (one.attempt.planned_at, one.key))
    return project_report(
        summaries,
        project=project.name,
        task_type=project.contract.task_type,
        labels=_categories(project, summaries),
        cohorts={person.annotator_id: person.cohort for person in project.workforce.annotators},
        incidents=ledger.incidents(project.name),
        price=price,
        raised=_raised(project, summaries, ledger=ledger) if raised is None else raised,
    )


def _raised(
    project: AnnotationProject, summaries: Sequence[AttemptSummary], *, ledger: Ledger
) -> dict[str, tuple[str, ...]]:
    """As of the newest record, so that a report does not change while nothing happens."""
    if not summaries:
        return {}
    try:
        found = report_workforce(project, ledger=ledger, now=max(one.newest for one in summaries))
    except InvalidInput:
        # Answers to an earlier taxonomy or contract: skill under today's is not to be had.
        return {}
    reasons = {name: flagging.reason.rstrip(".") for name, flagging in found.flaggings.items()}
    return {name: (f"{reason[:1].upper()}{reason[1:]}.",) for name, reason in reasons.items()}


def _chosen(project: AnnotationProject, key: str, every: Sequence[Attempt]) -> Attempt:
    matching = [one for one in every if key in (one.key, one.batch_id)]
    if not matching:
        newest = ", ".join(one.key for one in every[-5:]) or "none: nothing is planned yet"
        raise NotFound(f"batch {key!r} of {project.name}: not found; the newest are {newest}")
    return matching[-1]


def _accepted_before(
    collector: _Collector, every: Sequence[Attempt], summary: AttemptSummary
) -> tuple[AttemptSummary, ...]:
    """Accepted attempts of other batches with labels, judged before this one."""
    decided = summary.in_force.judged_at if summary.in_force else None
    others = [one for one in every if one.batch_id != summary.batch.batch_id and one.judged_at is not None]
    before = [one for one in others if decided is None or (one.judged_at is not None and one.judged_at < decided)]
    newest = sorted(before, key=lambda one: (one.judged_at or one.planned_at, one.key), reverse=True)
    found = (collector.summary(one) for one in newest)
    return tuple(islice((one for one in found if one.accepted and one.with_labels), EARLIER))


def _tallies(
    project: AnnotationProject,
    annotations: Sequence[Annotation],
    labels: Mapping[str, str],
    verdict: VerdictRecord | None,
) -> Tallies:
    """Who agreed with whom; where the answers are no labels, by the statistic of their task type."""
    judgements = _labelled(project, annotations)
    if judgements is not None:
        return tallies_of(judgements, consensus=labels)
    if project.contract.task_type in CATEGORICAL or not annotations:
        return Tallies()
    try:
        report = measure(judgements_of(project, annotations), seed=0, draws=FEW_DRAWS)
    except InvalidInput:
        # Answers to an earlier taxonomy or contract: the verdict still names the people.
        return tallies_of_document(verdict.document if verdict else {})
    return tallies_of_document(report.document())


def _labelled(project: AnnotationProject, annotations: Sequence[Annotation]) -> Judgements | None:
    """Labels as judgements, those that only an older taxonomy knew behind the present ones; None if there are none."""
    rows = [(a.task_key, a.annotator_id, a.value.get("label")) for a in annotations]
    labelled = [(task, who, label) for task, who, label in rows if isinstance(label, str)]
    if project.contract.task_type not in CATEGORICAL or not labelled:
        return None
    known = project.taxonomy.names
    older = sorted({label for _, _, label in labelled} - set(known))
    return Judgements.from_rows(labelled, categories=(*known, *older))


def _labels(project: AnnotationProject, annotations: Sequence[Annotation], criteria: Criteria) -> dict[str, str]:
    """Task -> its consensus label, from every judgement, whyever it was asked for."""
    judgements = _labelled(project, annotations)
    if judgements is None:
        return {}
    answers = consensus_answers(judgements, method=criteria.consensus)
    return {one.task_id: str(one.value["label"]) for one in answers if one.value is not None}


def _categories(project: AnnotationProject, summaries: Sequence[AttemptSummary]) -> tuple[str, ...]:
    """The taxonomy's labels, then those only older attempts used."""
    used = {label for one in summaries for _, label in one.tallies.by_cell}
    used |= {label for one in summaries for label in one.label_counts}
    return (*project.taxonomy.names, *sorted(used - set(project.taxonomy.names)))
