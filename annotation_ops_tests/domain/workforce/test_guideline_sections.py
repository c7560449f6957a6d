import pytest

from annotation_ops.domain.project.taxonomy import Label
from annotation_ops.domain.workforce.guideline_sections import explaining, sections

GUIDE = """Read everything first.

# Digits

Look at the whole image.

## Ones and sevens

A `7` has a bar. A one has none.

Fives
-----

Write 5 only with a flat top; 0.5, 15 and 5 % are no label.

```
# not a heading
```

### Not sure

Ask.
"""


def label(name: str, description: str = "") -> Label:
    return Label(name, description, False)


def test_a_guideline_is_cut_at_its_headings_and_not_inside_code() -> None:
    assert [(part.path, part.text.split("\n")[0]) for part in sections(GUIDE)] == [
        ((), "Read everything first."),
        (("Digits",), "Look at the whole image."),
        (("Digits", "Ones and sevens"), "A `7` has a bar. A one has none."),
        (("Digits", "Fives"), "Write 5 only with a flat top; 0.5, 15 and 5 % are no label."),
        (("Digits", "Fives", "Not sure"), "Ask."),
    ]
    assert "# not a heading" in sections(GUIDE)[3].text


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_any_system_cut_the_same(end: str) -> None:
    assert sections(GUIDE.replace("\n", end)) == sections(GUIDE)


@pytest.mark.parametrize("text", ["", "\n\n", "# Only\n## Headings\n"])
def test_without_text_there_is_no_section(text: str) -> None:
    assert sections(text) == ()


def test_a_rule_below_a_list_or_a_table_makes_no_heading() -> None:
    assert [part.path for part in sections("- one\n---\n\n| a |\n---\ntext")] == [()]


@pytest.mark.parametrize(
    ("labels", "titles"),
    [
        ((label("7"),), ["Ones and sevens"]),
        ((label("1", "One: a single stroke"),), ["Ones and sevens"]),
        ((label("7"), label("1", "One")), ["Ones and sevens"]),
        ((label("5"),), ["Fives"]),
        ((label("whole-image"),), ["Digits"]),
    ],
)
def test_the_sections_that_name_a_label_are_found_by_name_and_by_short_description(
    labels: tuple[Label, ...], titles: list[str]
) -> None:
    found, specific = explaining(sections(GUIDE), labels, most=3)

    assert ([part.title for part in found], specific) == (titles, True)


def test_the_section_naming_both_labels_comes_before_one_naming_a_single_label_in_its_heading() -> None:
    parts = sections("# cat\n\nFur.\n\n# Pets\n\nA cat purrs, a dog barks.\n\n# Other\n\nThe dog.\n")

    found, _ = explaining(parts, (label("cat"), label("dog")), most=2)

    assert [part.title for part in found] == ["Pets", "cat"]


@pytest.mark.parametrize("text", ["Take 0.5 of it.", "See 15.", "About 5 % of them.", "5. The fifth rule."])
def test_a_number_that_is_no_label_does_not_name_one(text: str) -> None:
    assert explaining(sections(text), (label("5"),), most=3)[1] is False


def test_where_no_section_names_the_labels_the_first_one_stands_in() -> None:
    found, specific = explaining(sections(GUIDE), (label("zebra"),), most=3)

    assert ([part.path for part in found], specific) == ([()], False)
    assert explaining((), (label("zebra"),), most=3) == ((), False)


def test_a_name_with_signs_of_regular_expressions_is_taken_as_it_is() -> None:
    parts = sections("# A\n\nUse c++ (old).\n\n# B\n\nUse ccc.\n")

    assert [part.title for part in explaining(parts, (label("c++"),), most=3)[0]] == ["A"]
