import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from annotation_ops.domain.errors import AnnotationOpsError, InvalidDocument, InvalidInput, NotFound
from annotation_ops.domain.project.contract import TaskType
from annotation_ops.domain.quality.agreement.measure import AnyJudgements, judgements_from_values, measure
from annotation_ops.domain.quality.judgements import Judgements
from annotation_ops.domain.records import JsonObject
from annotation_ops.services.judgement_files import (
    categories_of,
    read_class_probabilities,
    read_cohorts,
    read_judgements,
)

SUFFIXES = [".parquet", ".csv", ".jsonl"]
CORNERS = ("x_min", "y_min", "x_max", "y_max")

COLUMNS: dict[TaskType, dict[str, list[object]]] = {
    "classification": {"label": ["a", "b", "a"]},
    "ordinal": {"label": ["a", "b", "a"]},
    "boxes": {"label": ["a", "b", None], **{name: [at, at + 1.5, None] for at, name in enumerate(CORNERS)}},
    "polygons": {"label": ["a", "b", None], "points": [[[0, 0], [2, 0], [2, 2]], [[1, 1], [4, 1], [4, 4]], None]},
    "masks": {
        "label": ["a", "b", None],
        "height": [2, 2, None],
        "width": [2, 2, None],
        "counts": [[1, 2, 1], [0, 3, 1], None],
    },
    "spans": {"label": ["a", "b", None], "start": [0, 2, None], "end": [3, 5, None]},
    "text": {"value": ["one", "two words", "007"]},
}
VALUES: dict[TaskType, list[JsonObject]] = {
    "classification": [{"label": "a"}, {"label": "b"}, {"label": "a"}],
    "ordinal": [{"label": "a"}, {"label": "b"}, {"label": "a"}],
    "boxes": [
        {"boxes": [{"label": "a", "x_min": 0, "y_min": 1, "x_max": 2, "y_max": 3}]},
        {"boxes": [{"label": "b", "x_min": 1.5, "y_min": 2.5, "x_max": 3.5, "y_max": 4.5}]},
        {"boxes": []},
    ],
    "polygons": [
        {"polygons": [{"label": "a", "points": [[0, 0], [2, 0], [2, 2]]}]},
        {"polygons": [{"label": "b", "points": [[1, 1], [4, 1], [4, 4]]}]},
        {"polygons": []},
    ],
    "masks": [
        {"masks": [{"label": "a", "size": [2, 2], "counts": [1, 2, 1]}]},
        {"masks": [{"label": "b", "size": [2, 2], "counts": [0, 3, 1]}]},
        {"masks": []},
    ],
    "spans": [
        {"spans": [{"label": "a", "start": 0, "end": 3}]},
        {"spans": [{"label": "b", "start": 2, "end": 5}]},
        {"spans": []},
    ],
    "text": [{"text": "one"}, {"text": "two words"}, {"text": "007"}],
}
KEYS = {"task_id": ["t1", "t1", "t2"], "annotator_id": ["ann", "bob", "ann"]}


def write(path: Path, columns: dict[str, list[object]]) -> Path:
    if path.suffix == ".jsonl":
        rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        flat = {
            name: [json.dumps(cell) if isinstance(cell, list) else cell for cell in cells]
            for name, cells in columns.items()
        }
        pacsv.write_csv(pa.table(flat), path)
    else:
        pq.write_table(pa.table(columns), path)
    return path


def read(path: Path, task_type: TaskType, categories: tuple[str, ...] = ("a", "b")) -> AnyJudgements:
    return read_judgements(path, task_type=task_type).judgements(categories=categories)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("task_type", list(COLUMNS))
def test_every_task_type_is_read_from_every_format(tmp_path: Path, task_type: TaskType, suffix: str) -> None:
    path = write(tmp_path / f"j{suffix}", {**KEYS, "created_at": ["x", "y", "z"], **COLUMNS[task_type]})

    found = read(path, task_type)

    rows = zip(KEYS["task_id"], KEYS["annotator_id"], VALUES[task_type], strict=True)
    expected = judgements_from_values(task_type, rows, categories=("a", "b"))
    assert type(found) is type(expected)
    assert measure(found, seed=0, draws=20).document() == measure(expected, seed=0, draws=20).document()
    assert (found.tasks, found.annotators, found.n_judgements) == (("t1", "t2"), ("ann", "bob"), 3)


def test_ids_and_labels_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    path = write(tmp_path / "j.csv", {"task_id": ["007"], "annotator_id": ["01"], "label": ["1.0"]})

    found = read(path, "classification", ("1.0",))

    assert (found.tasks, found.annotators) == (("007",), ("01",))


def test_whole_numbers_in_parquet_become_their_decimal_text(tmp_path: Path) -> None:
    path = write(tmp_path / "j.parquet", {"task_id": [7, 8], "annotator_id": [1, 2], "label": [0, 1]})

    table = read_judgements(path, task_type="classification")

    assert table.labels() == ("0", "1")
    assert table.judgements(categories=("0", "1")).tasks == ("7", "8")


def test_an_empty_cell_of_a_csv_is_an_empty_text_but_no_label(tmp_path: Path) -> None:
    (tmp_path / "text.csv").write_text("task_id,annotator_id,value\nt,ann,\nt,bob,\n")
    (tmp_path / "label.csv").write_text("task_id,annotator_id,label\nt,ann,a\nt,bob,\n")

    assert measure(read(tmp_path / "text.csv", "text"), seed=0).statistics["exact_match"].value == 1.0
    with pytest.raises(InvalidInput, match=r"label.csv: row 2: found label None"):
        read(tmp_path / "label.csv", "classification")


HEAD = "task_id,annotator_id,label\n"


@pytest.mark.parametrize(
    ("text", "task_type", "message"),
    [
        ("", "classification", "j.csv: found an empty file"),
        (HEAD, "classification", "j.csv: found no rows"),
        ("task_id,label\nt,a\n", "classification", "found columns task_id, label, expected annotator_id too"),
        ("task_id,annotator_id,task_id,label\nt,x,t,a\n", "classification", "found column task_id more than once"),
        (HEAD + "t,x,a\nt,y,c\n", "classification", "j.csv: row 2: found label 'c', expected one of 'a', 'b'"),
        (HEAD + "t,x,a\nu,x,a\nt,x,b\n", "classification", r"j.csv: row 3: found a second judgement of annotator 'x'"),
        (HEAD + "t,x,a\n,x,a\n", "classification", "j.csv: row 2: found task_id None"),
        (HEAD + "t,x,a\nu,,a\n", "classification", "j.csv: row 2: found annotator_id None"),
        (HEAD + "t,x,a\nu,x\n", "classification", "j.csv: .*row 2: Expected 3 columns, got 2"),
        (HEAD + "t,x,a\n", "text", "expected value too. The file has the columns of classification"),
        (
            "task_id,annotator_id,label,x_min,y_min,x_max,y_max\nt,x,a,0,0,1,1\n",
            "classification",
            "found columns x_min, y_min, x_max, y_max beside label.* did you mean --task-type boxes",
        ),
        (
            "task_id,annotator_id,label,start,end\nt,x,a,0,1\nt,x,a,3,4\n",
            "classification",
            "row 2: found a second judgement.* did you mean --task-type spans",
        ),
        ("task_id,annotator_id,label,start,end\nt,x,a,5,3\n", "spans", "row 1: found a span from 5 to 3"),
        ("task_id,annotator_id,label,start,end\nt,x,a,5,8\nt,y,a,x,3\n", "spans", "column start: row 2: .*'x'"),
        (
            "task_id,annotator_id,label,x_min,y_min,x_max,y_max\nt,x,a,4,0,1,1\n",
            "boxes",
            "j.csv: row 1: found",
        ),
    ],
)
def test_a_bad_file_is_refused_with_file_row_and_mend(
    tmp_path: Path, text: str, task_type: TaskType, message: str
) -> None:
    (tmp_path / "j.csv").write_text(text)

    with pytest.raises(InvalidInput, match=message):
        read(tmp_path / "j.csv", task_type)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"task_id": "t", "annotator_id": "x", "label": "a"}, {"task_id": "t", "annotator_id": "y", "label": 7}],
         "j.jsonl: row 2: found label 7, expected text in quotes"),
        ([{"task_id": "t", "annotator_id": "x", "label": "a"}, [1]], "row 2: found list, expected an object"),
        ([{"task_id": "t", "annotator_id": "x", "label": "a"}, {"task_id": "u", "annotator_id": "x"}],
         "row 2: found label None"),
        ([[1]], "line 1: found list, expected a JSON object"),
    ],
)  # fmt: skip
def test_a_bad_json_line_is_named(tmp_path: Path, lines: list[object], message: str) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    with pytest.raises(InvalidInput, match=message):
        read(path, "classification")


def test_a_bad_json_line_far_into_the_file_has_its_own_row_number(tmp_path: Path) -> None:
    good = "".join(f'{{"task_id": "t{at}", "annotator_id": "x", "label": "a"}}\n' for at in range(120_000))
    (tmp_path / "j.jsonl").write_text(good + '{"task_id": "t", "annotator_id": 5, "label": "a"}\n')

    with pytest.raises(InvalidInput, match="row 120001: found annotator_id 5"):
        read(tmp_path / "j.jsonl", "classification")


@pytest.mark.parametrize("body", [b"t,x,\xff\xfe\n", b"t,\xe9,a\n"])
def test_a_csv_that_is_not_utf_8_is_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "j.csv").write_bytes(HEAD.encode() + body)

    with pytest.raises(InvalidInput, match="row 1: CSV conversion error to string: invalid UTF8 data"):
        read(tmp_path / "j.csv", "classification")


@pytest.mark.parametrize("column", ["task_id", "annotator_id", "label"])
def test_parquet_text_that_is_not_utf_8_is_refused(tmp_path: Path, column: str) -> None:
    columns = {name: pa.array([b"a", b"b"]) for name in ("task_id", "annotator_id", "label")}
    columns[column] = pa.array([b"a", b"\xff"])
    text = {name: pa.Array.from_buffers(pa.string(), 2, values.buffers()) for name, values in columns.items()}
    pq.write_table(pa.table(text), tmp_path / "j.parquet")

    with pytest.raises(InvalidInput, match=r"j.parquet: .*UTF-8"):
        read(tmp_path / "j.parquet", "classification")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"task_id": ["t"], "annotator_id": ["x"], "label": [0.5]}, "column label: found type double, expected text"),
        ({"task_id": [b"t"], "annotator_id": ["x"], "label": ["a"]}, "column task_id: found type binary"),
    ],
)
def test_a_parquet_column_of_another_type_is_refused(
    tmp_path: Path, columns: dict[str, list[object]], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(write(tmp_path / "j.parquet", columns), "classification")


def test_a_file_of_another_suffix_or_of_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j.xlsx").write_text("x")
    (tmp_path / "j.parquet").write_text("no parquet")

    with pytest.raises(InvalidInput, match=r"found suffix '\.xlsx'"):
        read(tmp_path / "j.xlsx", "classification")
    with pytest.raises(InvalidInput, match="found no readable Parquet file"):
        read(tmp_path / "j.parquet", "classification")
    with pytest.raises(NotFound):
        read(tmp_path / "none.csv", "classification")


def test_categories_come_from_the_taxonomy_the_list_or_the_labels_found(tmp_path: Path) -> None:
    table = read_judgements(write(tmp_path / "j.csv", {**KEYS, "label": ["b", "a", "b"]}), task_type="classification")
    taxonomy = tmp_path / "taxonomy.yaml"
    taxonomy.write_text("version: '1.0.0'\nlabels:\n  - {name: c}\n  - {name: b}\n  - {name: a}\n")

    assert categories_of(table, taxonomy=taxonomy).names == ("c", "b", "a")
    assert categories_of(table, named="b, a").names == ("b", "a")
    assert (categories_of(table).names, categories_of(table).source) == (("a", "b"), "labels found")
    with pytest.raises(InvalidInput, match="expected one of the two"):
        categories_of(table, taxonomy=taxonomy, named="a,b")


def test_ordinal_labels_need_an_order(tmp_path: Path) -> None:
    table = read_judgements(write(tmp_path / "j.csv", {**KEYS, "label": ["low", "high", "low"]}), task_type="ordinal")

    with pytest.raises(InvalidInput, match="found no order of the labels high, low"):
        categories_of(table)


def test_a_taxonomy_with_faults_is_refused_with_their_places(tmp_path: Path) -> None:
    table = read_judgements(write(tmp_path / "j.csv", {**KEYS, "label": ["a", "b", "a"]}), task_type="classification")
    (tmp_path / "taxonomy.yaml").write_text("version: '1.0.0'\nlabels:\n  - {name: a}\n  - {name: a}\n")

    with pytest.raises(InvalidDocument, match=r"taxonomy.yaml: labels\[1\].name"):
        categories_of(table, taxonomy=tmp_path / "taxonomy.yaml")


def test_a_part_of_the_annotators_is_a_table_of_its_own(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = write(tmp_path / f"j{suffix}", {**KEYS, "label": ["a", "b", "a"]})

        part = read_judgements(path, task_type="classification").of_annotators(["ann"])

        assert part.judgements(categories=("a", "b")).annotators == ("ann",)
        assert part.n_rows == 2


def test_cohorts_are_read_and_an_annotator_in_two_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cohorts.csv"
    path.write_text("annotator_id,cohort\nann,vendor\nbob,house\n")
    assert read_cohorts(path) == {"ann": "vendor", "bob": "house"}

    path.write_text("annotator_id,cohort\nann,vendor\nann,house\n")
    with pytest.raises(InvalidInput, match="row 2: found annotator 'ann' a second time"):
        read_cohorts(path)


def test_class_probabilities_follow_the_order_of_tasks_and_categories(tmp_path: Path) -> None:
    judgements = Judgements.from_rows([("t2", "x", "a"), ("t1", "x", "b"), ("t3", "x", "a")], categories=("b", "a"))
    path = tmp_path / "p.csv"
    path.write_text("sample_id,p_a,p_b\nt9,0.5,0.5\nt2,0.9,0.1\nt1,0.3,0.7\n")

    found = read_class_probabilities(path, judgements)

    np.testing.assert_array_equal(found, [[0.7, 0.3], [0.1, 0.9], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample_id,p_a\nt,1\n", "expected p_b too"),
        ("sample_id,p_a,p_b\nt,0.5,0.5\nt,0.5,0.5\n", "found a sample_id more than once"),
        ("sample_id,p_a,p_b\nu,0.5,0.5\n", "found none of the 1 tasks"),
    ],
)
def test_class_probabilities_that_do_not_fit_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(text)

    with pytest.raises(AnnotationOpsError, match=message):
        read_class_probabilities(tmp_path / "p.csv", Judgements.from_rows([("t", "x", "a")], categories=("a", "b")))


def test_half_a_million_rows_of_parquet_take_about_a_second(tmp_path: Path) -> None:
    n = 500_000
    columns = {
        "task_id": pa.array(np.char.mod("task-%07d", np.arange(n) // 3)),
        "annotator_id": pa.array(np.char.mod("ann-%d", np.arange(n) % 3)),
        "label": pa.array(np.array(["a", "b"])[np.arange(n) % 2]),
    }
    pq.write_table(pa.table(columns), tmp_path / "j.parquet")

    begin = time.process_time()
    found = read(tmp_path / "j.parquet", "classification")

    # Measured 0.25 s; a loop over rows takes ten times as long.
    assert time.process_time() - begin < 2.0
    assert found.n_judgements == n
