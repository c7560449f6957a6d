import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.project.strict_yaml import MAX_CHARACTERS, MAX_DEPTH, read_yaml


@pytest.mark.parametrize(
    ("text", "path", "found"),
    [
        ("a: 1\na: 2", "a", "the key twice"),
        ("a: {b: 1, b: 2}", "a.b", "the key twice"),
        ("x:\n  - k: 1\n  - {k: 1, 'k': 2}", "x[1].k", "the key twice"),
        ("a: &x [1]\nb: *x", "line 1, column 4", "the anchor &x"),
        ("a: *x", "line 1, column 4", "the alias *x"),
        ("a: !!python/object/apply:os.system ['true']", "line 1, column 4", "the tag"),
        ("a: !!str 1", "line 1, column 4", "the tag"),
        ("a: 1\n---\nb: 2", "line 2, column 1", "a second document"),
        ("a: .nan", "a", "the number .nan"),
        ("a: [1, -.inf]", "a[1]", "the number -.inf"),
        ("a: 1e999", "a", "the number 1e999"),
        ("a: " + "9" * 5000, "a", "the number 9999"),
        ("1: x", "1", "the key the number 1"),
        ("true: x", "true", "the key true"),
        ("[a]: x", "line 1, column 1", "a list or mapping as a key"),
        ("a: x\x00y", "line 1", "the character U+0000"),
        ("a: 1\nb: x\u202ey", "line 2", "the character U+202E"),
        ('a: "x\\u202ey"', "a", "'x\\u202ey'"),
        ('a: "x\\0y"', "a", "'x\\x00y'"),
        ("a: [", "line 2, column 1", "a YAML syntax error"),
        ("a: 'b", "line 1, column 6", "a YAML syntax error"),
        ("\ta: 1", "line 1, column 1", "a YAML syntax error"),
    ],
)
def test_what_surprises_or_attacks_is_a_fault_at_its_place(text, path, found):
    _, faults = read_yaml(text, file="f.yaml")

    assert [(fault.file, fault.path) for fault in faults] == [("f.yaml", path)]
    assert faults[0].found.startswith(found)


def test_all_faults_of_form_are_collected():
    _, faults = read_yaml("a: .nan\nb: 1\nb: 2\nc: {1: x}", file="f")

    assert [fault.path for fault in faults] == ["a", "b", "c.1"]


def test_faults_below_a_refused_key_are_not_reported_twice():
    content, faults = read_yaml("a: 1\na: {b: .nan, c: [.inf]}\nd: 2", file="f")

    assert [fault.path for fault in faults] == ["a"]
    assert content == {"a": 1, "d": 2}


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "{a: " * 100_000, "- " * 100_000, "[\n" * 100_000])
def test_a_hundred_thousand_levels_are_refused_at_once(text):
    started = time.perf_counter()
    _, faults = read_yaml(text, file="f")

    assert len(faults) == 1
    assert time.perf_counter() - started < 2


def test_the_deepest_allowed_nesting_is_read():
    depth = MAX_DEPTH - 1
    assert read_yaml("[" * depth + "1" + "]" * depth, file="f")[1] == ()
    assert read_yaml("[" * (depth + 2) + "]" * (depth + 2), file="f")[1] != ()


def test_an_alias_bomb_is_refused_before_it_grows():
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    )
    assert read_yaml(bomb, file="f")[1][0].path == "line 1, column 4"


def test_a_document_that_is_too_long_is_refused():
    assert read_yaml("x" * (MAX_CHARACTERS + 1), file="f")[1][0].found == f"{MAX_CHARACTERS + 1:,} characters"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("2026-01-05", "2026-01-05"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0o17", 15),
        ("0x1F", 31),
        ("010", 10),
        ("1e3", 1000.0),
        ("+.5", 0.5),
        ("~", None),
        ("True", True),
        ("'1'", "1"),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("1.0.0", "1.0.0"),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text, value):
    content, faults = read_yaml(f"a: {text}", file="f")

    assert faults == ()
    assert content == {"a": value}
    assert type(content["a"]) is type(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc:#-{ \u00fc", min_size=1, max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_value_is_read_back_from_its_yaml(value):
    text = json.dumps({"v": value}, ensure_ascii=False)

    assert read_yaml(text, file="f") == ({"v": value}, ())


@given(st.text())
def test_no_text_makes_the_reader_fail(text):
    content, faults = read_yaml(text, file="f")

    assert content is None or not [fault for fault in faults if fault.path.startswith("line")]
