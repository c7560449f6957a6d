import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.domain.errors import InvalidDocument, InvalidInput, NotFound
from annotation_ops.domain.quality.consensus.fused_answer import FusedAnswer
from annotation_ops.domain.records import JsonObject
from annotation_ops.services.gold_files import escaped, read_gold, read_mix, unescaped, write_gold

SUFFIXES = [".parquet", ".csv", ".jsonl"]


def answer(task: str, value: JsonObject | None, *, needs_human: bool = False) -> FusedAnswer:
    return FusedAnswer(task, value, 0.9, 3, needs_human, 0.75)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("task_type", "value"),
    [
        ("classification", {"label": "=cmd|calc"}),
        ("text", {"text": 'a "quoted", text'}),
        ("text", {"text": ""}),
        ("spans", {"spans": [{"label": "Ü", "start": 0, "end": 4}]}),
        ("boxes", {"boxes": []}),
    ],
)
def test_gold_comes_back_as_it_was_written(tmp_path: Path, suffix: str, task_type: str, value: JsonObject) -> None:
    path = tmp_path / f"gold{suffix}"
    rows = [answer("-1", value), answer("unsure", value, needs_human=True), answer("tied", None, needs_human=True)]

    count = write_gold(rows, path, task_type=task_type, method="majority", versions={"taxonomy_version": "1.2.0"})

    assert count == 3
    assert read_gold(path, task_type=task_type) == {"-1": value}
    assert list(tmp_path.iterdir()) == [path]


def test_a_csv_cell_is_never_a_formula(tmp_path: Path) -> None:
    rows = [answer(task, {"label": label}) for task, label in [("=1+1", "@x"), ("-2", "+3"), ("ok", "'=already")]]

    write_gold(rows, tmp_path / "gold.csv", task_type="classification", method="majority")

    with (tmp_path / "gold.csv").open(newline="") as stream:
        cells = [(row["task_id"], row["label"]) for row in csv.DictReader(stream)]
    assert cells == [("'=1+1", "'@x"), ("'-2", "'+3"), ("ok", "''=already")]
    assert set(read_gold(tmp_path / "gold.csv", task_type="classification")) == {"=1+1", "-2", "ok"}


@given(st.text("'=+-@\ta", max_size=6))
def test_escaping_can_be_undone(cell: str) -> None:
    assert unescaped(escaped(cell)) == cell
    assert escaped(cell)[:1] not in ("=", "+", "-", "@", "\t")


def test_json_lines_hold_the_version_and_the_evidence(tmp_path: Path) -> None:
    write_gold(
        [answer("t", {"label": "a"})],
        tmp_path / "gold.jsonl",
        task_type="classification",
        method="ensemble",
        versions={"guideline_version": "2.0.0"},
    )

    assert json.loads((tmp_path / "gold.jsonl").read_text()) == {
        "task_id": "t",
        "label": "a",
        "confidence": 0.9,
        "agreement": 0.75,
        "n_annotators": 3,
        "needs_human": False,
        "method": "ensemble",
        "guideline_version": "2.0.0",
    }


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    path.write_text("old")

    with pytest.raises(InvalidInput, match="suffix"):
        write_gold([answer("t", {"label": "a"})], tmp_path / "gold.txt", task_type="classification", method="m")
    with pytest.raises(NotFound):
        write_gold([answer("t", {"label": "a"})], tmp_path / "no" / "g.csv", task_type="classification", method="m")

    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task_id,label\nt,a\nt,b\n", r"gold.csv: row 2: found task 't' a second time \(the first is row 1\)"),
        ("task_id,label\n,a\n", "row 1: found task_id None"),
        ("task,label\nt,a\n", "found columns task, label, expected task_id too"),
        ("task_id,label\n", "found no rows"),
        ("", "found an empty file"),
    ],
)
def test_a_gold_file_with_a_fault_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "gold.csv").write_text(text)

    with pytest.raises(InvalidInput, match=message):
        read_gold(tmp_path / "gold.csv", task_type="classification")


def test_gold_spans_that_are_no_json_are_refused_with_their_row(tmp_path: Path) -> None:
    (tmp_path / "gold.csv").write_text("task_id,value\nt,PER\n")

    with pytest.raises(InvalidInput, match="row 1: found value 'PER', expected JSON such as"):
        read_gold(tmp_path / "gold.csv", task_type="spans")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mix.yaml", "cat: 0.25\ndog: 0.75\n"),
        ("mix.json", '{"cat": 0.25, "dog": 0.75}'),
        ("mix.csv", "label,share\ncat,0.25\ndog,0.75\n"),
    ],
)
def test_an_expected_mix_is_read_from_each_format(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    assert read_mix(tmp_path / name) == {"cat": 0.25, "dog": 0.75}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("mix.yaml", "cat: 0.25\ndog: 0.5\n", "found shares that sum to 0.75, expected 1"),
        ("mix.yaml", "cat: -0.5\ndog: 1.5\n", "cat: found share -0.5"),
        ("mix.yaml", "cat: true\n", "cat: found share True"),
        ("mix.yaml", "- cat\n", "found list, expected a mapping"),
        ("mix.csv", "label,share\ncat,0.5\ncat,0.5\n", "row 2: found label 'cat', expected each label once"),
        ("mix.csv", "label,share\ncat,half\n", "row 1: CSV conversion error to double: invalid value 'half'"),
    ],
)
def test_a_mix_that_is_none_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(InvalidInput, match=message):
        read_mix(tmp_path / name)


def test_a_mix_that_is_no_yaml_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text("cat: 0.5\ncat: 0.5\n")

    with pytest.raises(InvalidDocument, match="cat"):
        read_mix(tmp_path / "mix.yaml")
