"""What one annotator should look at before recertification: own errors, the guideline that explains them, practice.

It is written for that person: no other annotator appears in it, nor how others voted.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.guideline import Guideline
from annotation_ops.domain.project.taxonomy import Taxonomy
from annotation_ops.domain.quality.consensus.consensus_label import ConsensusLabel
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.quality.statistic import rounded
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.selection.stable_hash import seed_word
from annotation_ops.domain.workforce.guideline_sections import Section, explaining, sections

SURE = 0.8
"""Accepted labels less sure than this are not held up to anybody as the right answer."""
MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>:])")
ENTITIES = {"&": "&amp;", "<": "&lt;"}


@dataclass(frozen=True, slots=True)
class OwnError:
    """One answer of the annotator that was not accepted."""

    task_id: str
    answer: str
    label: str
    """The accepted label."""
    confidence: float
    """Of the accepted label; 1 on gold tasks."""

    def document(self) -> JsonObject:
        return {
            "task_id": self.task_id,
            "answer": self.answer,
            "label": self.label,
            "confidence": rounded(self.confidence),
        }


@dataclass(frozen=True, slots=True)
class Lesson:
    """All errors of one kind."""

    label: str
    answer: str
    errors: tuple[OwnError, ...]
    """The surest first, then by task_id."""
    sections: tuple[Section, ...]
    general: bool
    """No section names either label; the guideline's first section stands in."""
    practice: tuple[str, ...]
    """Gold tasks of either label, in an order that does not tell which."""

    def document(self) -> JsonObject:
        return {
            "label": self.label,
            "answer": self.answer,
            "n_errors": len(self.errors),
            "errors": [error.document() for error in self.errors],
            "sections": [{"path": list(part.path), "text": part.text} for part in self.sections],
            "general": self.general,
            "practice": list(self.practice),
        }


@dataclass(frozen=True, slots=True)
class TrainingPack:
    annotator_id: str
    task_type: str
    guideline_version: str
    reasons: tuple[str, ...]
    """Why the person is asked to train, in the words of the flag."""
    lessons: tuple[Lesson, ...]
    """Most frequent confusion first."""

    def document(self) -> JsonObject:
        return {
            "annotator_id": self.annotator_id,
            "task_type": self.task_type,
            "guideline_version": self.guideline_version,
            "reasons": list(self.reasons),
            "n_errors": sum(len(lesson.errors) for lesson in self.lessons),
            "lessons": [lesson.document() for lesson in self.lessons],
        }

    def markdown(self) -> str:
        """The pack as a page. Ids, labels and reasons are escaped; the guideline's own Markdown is quoted as it is."""
        parts = [f"# Training pack for {escaped(self.annotator_id)}"]
        parts.append(f"Task type {escaped(self.task_type)}, guideline {escaped(self.guideline_version)}.")
        if self.reasons:
            parts.append("\n".join(f"- {escaped(reason)}" for reason in self.reasons))
        if not self.lessons:
            parts.append("No error of yours has an accepted label that is sure enough to learn from.")
        for number, lesson in enumerate(self.lessons, start=1):
            parts.extend(_lesson_markdown(number, lesson))
        parts.append("After this comes a new calibration round; passing it certifies you again.")
        return "\n\n".join(parts) + "\n"


def own_errors(
    annotator_id: str,
    *,
    judgements: Judgements,
    labels: Iterable[ConsensusLabel],
    gold: Mapping[str, str] | None = None,
    least_confidence: float = SURE,
) -> tuple[OwnError, ...]:
    """The annotator's answers that differ from the accepted label: gold, else a consensus at least this sure.

    Ordered by task_id; empty for somebody who judged nothing.
    """
    accepted = {
        one.task_id: (one.label, one.confidence)
        for one in labels
        if one.label is not None and one.confidence >= least_confidence
    }
    accepted.update({task: (label, 1.0) for task, label in (gold or {}).items()})
    if annotator_id not in judgements.annotators:
        return ()
    own = judgements.annotator_index == judgements.annotators.index(annotator_id)
    found = []
    for task_at, label_at in zip(
        judgements.task_index[own].tolist(), judgements.label_index[own].tolist(), strict=True
    ):
        task, answer = judgements.tasks[task_at], judgements.categories[label_at]
        label, confidence = accepted.get(task, (answer, 0.0))
        if label != answer:
            found.append(OwnError(task, answer, label, confidence))
    return tuple(found)


def training_pack(
    annotator_id: str,
    *,
    task_type: str,
    errors: Sequence[OwnError],
    guideline: Guideline,
    taxonomy: Taxonomy,
    gold: Mapping[str, str],
    reasons: Sequence[str] = (),
    exclude: Collection[str] = (),
    most_lessons: int = 5,
    most_errors: int = 10,
    most_sections: int = 3,
    practice: int = 4,
    seed: int,
) -> TrainingPack:
    """The pack for these errors.

    Per lesson at most `most_errors` errors, `most_sections` sections and `practice` gold tasks of each of its two labels; practice uses
    each gold task once, none of `exclude` (the coming calibration round) and none the annotator got wrong already. Raises
    InvalidInput for an error whose labels the taxonomy does not have.
    """
    kinds = _kinds(errors, frozenset(taxonomy.names))
    known = {label.name: label for label in taxonomy.labels}
    parts = sections(guideline.text)
    used = set(exclude) | {error.task_id for error in errors}
    lessons = []
    for (label, answer), own in kinds[:most_lessons]:
        chosen, specific = explaining(parts, (known[label], known[answer]), most=most_sections)
        drawn = _practice((label, answer), gold, used, practice, f"{seed}/{annotator_id}")
        used.update(drawn)
        lessons.append(Lesson(label, answer, own[:most_errors], chosen, not specific, drawn))
    return TrainingPack(annotator_id, task_type, guideline.version, tuple(reasons), tuple(lessons))


def _kinds(errors: Sequence[OwnError], names: Collection[str]) -> list[tuple[tuple[str, str], tuple[OwnError, ...]]]:
    """Errors by (accepted label, answer), most frequent kind first, then by name."""
    kinds: dict[tuple[str, str], list[OwnError]] = defaultdict(list)
    for error in errors:
        for name in (error.label, error.answer):
            if name not in names:
                raise InvalidInput(
                    f"error on task {error.task_id!r}: found label {name!r}, which the taxonomy does not have. "
                    "Use the taxonomy version the answer was given under."
                )
        kinds[error.label, error.answer].append(error)
    return [
        (kind, tuple(sorted(kinds[kind], key=lambda error: (-error.confidence, error.task_id))))
        for kind in sorted(kinds, key=lambda kind: (-len(kinds[kind]), kind))
    ]


def _practice(
    pair: tuple[str, str], gold: Mapping[str, str], used: Collection[str], each: int, salt: str
) -> tuple[str, ...]:
    drawn: list[str] = []
    for name in pair:
        fitting = [task for task, label in gold.items() if label == name and task not in used]
        drawn.extend(sorted(fitting, key=lambda task: (seed_word("practice", salt, task), task))[:each])
    return tuple(sorted(drawn, key=lambda task: (seed_word("practice order", salt, task), task)))


def _lesson_markdown(number: int, lesson: Lesson) -> list[str]:
    times = "once" if len(lesson.errors) == 1 else f"{len(lesson.errors)} times"
    parts = [f"## {number}. You said {escaped(lesson.answer)} where {escaped(lesson.label)} was accepted ({times})"]
    rows = [
        f"| {escaped(error.task_id)} | {escaped(error.answer)} | {escaped(error.label)} | {error.confidence:.0%} |"
        for error in lesson.errors
    ]
    parts.append("\n".join(["| task | you said | accepted | sure |", "|---|---|---|---|", *rows]))
    if lesson.general:
        parts.append("No section of the guideline names these labels; this is how to work in general:")
    for section in lesson.sections:
        quote = "\n".join(f"> {line}".rstrip() for line in section.text.split("\n"))
        heading = " / ".join(escaped(title) for title in section.path) or "Introduction"
        parts.append(f"### Guideline: {heading}")
        parts.append(quote)
    if lesson.practice:
        parts.append("### Practice")
        parts.append("\n".join(f"- {escaped(task)}" for task in lesson.practice))
    return parts


def escaped(text: str) -> str:
    """Text that Markdown shows as it is: on one line, without markup, links or HTML."""
    line = " ".join("".join(ENTITIES.get(mark, mark) for mark in text).split())
    return MARKDOWN.sub(r"\\\1", line)
