import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.project.guideline import Guideline
from annotation_ops.domain.project.taxonomy import Label, Taxonomy
from annotation_ops.domain.quality.consensus.consensus_label import ConsensusLabel
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.workforce.training_pack import OwnError, TrainingPack, escaped, own_errors, training_pack

LABELS = ("cat", "dog", "fox")
TAXONOMY = Taxonomy("1.0.0", tuple(Label(name, "", False) for name in LABELS), False)
GUIDE = Guideline("1.2.0", "1.0.0", "How to work.\n\n# Pets\n\nA cat purrs, a dog barks.\n")
GOLD = {f"{name}-{at}": name for name in LABELS for at in range(8)}
ERRORS = (
    OwnError("t1", "dog", "cat", 0.9),
    OwnError("t2", "dog", "cat", 1.0),
    OwnError("t3", "cat", "fox", 0.95),
)


def pack(
    errors: tuple[OwnError, ...] = ERRORS,
    *,
    gold: dict[str, str] = GOLD,
    exclude: tuple[str, ...] = (),
    name: str = "ann",
    reasons: tuple[str, ...] = (),
    most_lessons: int = 5,
) -> TrainingPack:
    return training_pack(
        name,
        task_type="classification",
        errors=errors,
        guideline=GUIDE,
        taxonomy=TAXONOMY,
        gold=gold,
        reasons=reasons,
        exclude=exclude,
        most_lessons=most_lessons,
        seed=3,
    )


def consensus(task: str, label: str | None, confidence: float) -> ConsensusLabel:
    return ConsensusLabel(task, label, confidence, (confidence, 1 - confidence, 0.0), 3, label is None, confidence)


def test_own_errors_are_the_answers_that_gold_or_a_sure_consensus_contradicts() -> None:
    rows = [(f"t{at}", "ann", "dog") for at in range(1, 6)] + [("t6", "bob", "dog")]
    labels = [
        consensus("t1", "cat", 0.9),
        consensus("t2", "cat", 0.7),
        consensus("t3", "dog", 0.99),
        consensus("t4", "cat", 0.95),
        consensus("t5", None, 0.5),
        consensus("t6", "cat", 0.99),
    ]
    judged = Judgements.from_rows(rows, categories=LABELS)

    found = own_errors("ann", judgements=judged, labels=labels, gold={"t4": "dog", "t5": "fox"})

    # t2 is unsure, t3 right, t4 right by gold whatever the others said, t6 somebody else's.
    assert found == (OwnError("t1", "dog", "cat", 0.9), OwnError("t5", "dog", "fox", 1.0))
    assert own_errors("nobody", judgements=judged, labels=labels) == ()


def test_the_most_frequent_confusion_is_the_first_lesson_with_its_surest_error_first() -> None:
    first, second = pack().lessons

    assert (first.label, first.answer, [error.task_id for error in first.errors]) == ("cat", "dog", ["t2", "t1"])
    assert (second.label, second.answer) == ("fox", "cat")
    assert [len(one.lessons) for one in (pack(most_lessons=1), pack(()))] == [1, 0]


def test_each_lesson_shows_the_sections_that_explain_it_or_says_that_none_does() -> None:
    first, second = pack().lessons
    (foxes,) = pack((OwnError("t9", "fox", "fox", 1.0),)).lessons

    assert ([part.title for part in first.sections], first.general) == (["Pets"], False)
    assert second.general is False
    assert (foxes.sections[0].text, foxes.general) == ("How to work.", True)


def test_practice_is_of_both_labels_comes_once_and_never_from_the_next_round_or_the_own_errors() -> None:
    wrong = OwnError("cat-0", "dog", "cat", 1.0)
    found = pack((*ERRORS, wrong), exclude=("cat-1", "dog-2", "fox-3"))

    drawn = [task for lesson in found.lessons for task in lesson.practice]
    assert len(drawn) == len(set(drawn)) == 4 + 4 + 4 + 2
    assert not {"cat-0", "cat-1", "dog-2", "fox-3"} & set(drawn)
    assert {GOLD[task] for task in found.lessons[0].practice} == {"cat", "dog"}


def test_without_gold_there_is_no_practice() -> None:
    assert [lesson.practice for lesson in pack(gold={}).lessons] == [(), ()]


@given(st.permutations(ERRORS), st.permutations(sorted(GOLD)))
def test_the_order_of_errors_and_gold_does_not_matter(errors: list[OwnError], order: list[str]) -> None:
    assert pack(tuple(errors), gold={task: GOLD[task] for task in order}) == pack()


def test_a_label_the_taxonomy_does_not_have_names_the_task() -> None:
    with pytest.raises(InvalidInput, match=r"'t7'.*'elk'"):
        pack((OwnError("t7", "elk", "cat", 1.0),))


def test_the_page_shows_reasons_errors_guideline_and_practice() -> None:
    text = pack(reasons=("accuracy 61%",)).markdown()

    assert "## 1. You said dog where cat was accepted (2 times)" in text
    assert "| t2 | dog | cat | 100% |" in text
    assert "### Guideline: Pets\n\n> A cat purrs, a dog barks." in text
    assert "- accuracy 61%" in text
    assert "No error of yours" in pack(()).markdown()


@pytest.mark.parametrize(
    "hostile",
    [
        "[x](javascript:alert(1))",
        "<script>alert(1)</script>",
        "a\n\n# Owned",
        "![i](http://e.example/p)",
        "a|b",
        "`c`",
        "&lt;b&gt;",
    ],
)
def test_no_id_reason_or_label_can_add_markup_to_the_page(hostile: str) -> None:
    text = pack((OwnError(hostile, "dog", "cat", 1.0),), name=hostile, reasons=(hostile,)).markdown()
    plain = pack((OwnError("id", "dog", "cat", 1.0),), name="id", reasons=("id",)).markdown()

    assert hostile not in text
    assert "<" not in text
    assert len(text.split("\n")) == len(plain.split("\n"))
    assert text.count("# Owned") == text.count("\\# Owned")


@given(st.text(max_size=40))
def test_escaped_text_is_one_line_whose_every_mark_is_escaped(text: str) -> None:
    found = escaped(text)

    assert len(found.splitlines()) <= 1
    bare = found.replace("\\\\", "")
    assert all(bare[at - 1] == "\\" for at, mark in enumerate(bare) if mark in "`*_[]()#|!>:")


def test_the_document_is_json_and_counts_the_errors_shown() -> None:
    document = json.loads(json.dumps(pack().document()))

    assert (document["n_errors"], len(document["lessons"])) == (3, 2)
