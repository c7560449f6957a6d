import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from annotation_ops.cli.agreement import agreement
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import JsonObject


@pytest.fixture
def judgements(tmp_path: Path) -> Path:
    path = tmp_path / "judgements.csv"
    rows = ["1,ann,cat", "1,bob,cat", "1,cy,dog", "2,ann,dog", "2,bob,dog", "3,ann,cat", "3,bob,dog", "4,ann,cat"]
    path.write_text("task_id,annotator_id,label\n" + "\n".join(rows) + "\n")
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(agreement, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def document(*arguments: object) -> JsonObject:
    found: JsonObject = json.loads(run(*arguments, "--json"))
    return found


def test_the_table_says_what_was_measured_on_what(judgements: Path) -> None:
    lines = run(judgements, "--task-type", "classification", "--confidence", "0.9").splitlines()

    assert lines[0] == "8 judgements by 3 annotators on 4 tasks, 3 of them judged twice or more"
    assert lines[1] == "2 labels (labels found): cat, dog"
    assert any(line.startswith("percent_agreement") and " 0.444 " in line for line in lines)
    assert "cohen_kappa                  undefined: it needs exactly two annotators" in lines
    assert any("90% interval" in line for line in lines)
    assert any(line.startswith("ann / cy") for line in lines)


def test_json_is_the_agreement_document(judgements: Path) -> None:
    found = document(judgements, "--task-type", "classification")

    assert (found["n_tasks"], found["n_annotators"], found["n_judgements"]) == (4, 3, 8)
    assert found["statistics"]["percent_agreement"]["value"] == pytest.approx(4 / 9, abs=1e-6)
    assert found["statistics"]["cohen_kappa"] == {
        "value": None, "reason": "not_two_annotators", "low": None, "high": None, "n": 3
    }  # fmt: skip
    assert [item["label"] for item in found["classes"]] == ["cat", "dog"]
    assert len(found["pairs"]) == 3
    assert found["categories"] == {"names": ["cat", "dog"], "source": "labels found"}


def test_a_category_nobody_used_counts_for_ac1_when_it_is_declared(judgements: Path) -> None:
    seen = document(judgements, "--task-type", "classification")
    declared = document(judgements, "--task-type", "classification", "--categories", "cat,dog,bird")

    assert declared["categories"]["source"] == "--categories"
    assert declared["statistics"]["gwet_ac1"]["value"] > seen["statistics"]["gwet_ac1"]["value"]


def test_the_same_seed_gives_the_same_bytes(judgements: Path) -> None:
    first, again, other = (
        run(judgements, "--task-type", "classification", "--seed", seed, "--json") for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def test_ordinal_labels_take_their_order_from_the_categories(judgements: Path) -> None:
    found = document(judgements, "--task-type", "ordinal", "--categories", "cat,dog")

    assert found["task_type"] == "ordinal"
    assert "krippendorff_alpha_ordinal" in found["statistics"]


def test_boxes_spans_and_texts_are_measured_too(tmp_path: Path) -> None:
    files = {
        "boxes": "label,x_min,y_min,x_max,y_max\nt,ann,a,0,0,2,2\nt,bob,a,0,0,2,2\nu,ann,,,,,\nu,bob,,,,,\n",
        "spans": "label,start,end\nt,ann,a,0,2\nt,bob,a,0,2\nu,ann,,,\nu,bob,,,\n",
        "text": "value\nt,ann,one\nt,bob,one\nu,ann,\nu,bob,\n",
    }
    names = {"boxes": "f1_at_50", "spans": "span_f1_exact", "text": "exact_match"}
    for task_type, text in files.items():
        path = tmp_path / f"{task_type}.csv"
        path.write_text("task_id,annotator_id," + text)

        assert document(path, "--task-type", task_type)["statistics"][names[task_type]]["value"] == 1.0
        assert names[task_type] in run(path, "--task-type", task_type)


def test_cohorts_of_labels_are_compared_with_each_other(judgements: Path, tmp_path: Path) -> None:
    cohorts = tmp_path / "cohorts.csv"
    cohorts.write_text("annotator_id,cohort\nann,house\nbob,house\ncy,vendor\n")

    found = document(judgements, "--task-type", "classification", "--cohorts", cohorts)
    shown = run(judgements, "--task-type", "classification", "--cohorts", cohorts)

    assert [item["cohorts"] for item in found["cohorts"]] == [
        ["house", "house"], ["house", "vendor"], ["vendor", "vendor"]
    ]  # fmt: skip
    assert found["cohorts"][0]["percent_agreement"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert "within vendor: kappa" in shown
    assert "house / vendor: percent_agreement" in shown


def test_cohorts_of_texts_are_measured_each_by_itself(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("task_id,annotator_id,value\nt,ann,x\nt,bob,x\nt,cy,y\n")
    (tmp_path / "cohorts.csv").write_text("annotator_id,cohort\nann,house\nbob,house\ncy,vendor\n")

    found = document(tmp_path / "t.csv", "--task-type", "text", "--cohorts", tmp_path / "cohorts.csv")

    assert [item["cohorts"] for item in found["cohorts"]] == [["house", "house"], ["vendor", "vendor"]]
    assert found["cohorts"][0]["exact_match"]["value"] == 1.0
    assert found["cohorts"][1]["exact_match"]["reason"] == "no_overlap"

    (tmp_path / "cohorts.csv").write_text("annotator_id,cohort\nann,house\n")
    arguments = [str(tmp_path / "t.csv"), "--task-type", "text", "--cohorts", str(tmp_path / "cohorts.csv")]
    assert "no cohort for annotator 'bob' (2 such)" in str(CliRunner().invoke(agreement, arguments).exception)


def test_one_task_and_one_annotator_say_why_there_is_nothing_to_measure(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("task_id,annotator_id,label\nt,ann,a\n")

    shown = run(path, "--task-type", "classification")

    assert "1 judgements by 1 annotator on 1 task, 0 of them judged twice" in shown
    assert "percent_agreement            undefined: no task was judged by two annotators" in shown


def test_a_batch_of_one_class_says_that_chance_leaves_nothing_to_measure(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("task_id,annotator_id,label\nt,ann,a\nt,bob,a\nu,ann,a\nu,bob,a\n")

    found = document(path, "--task-type", "classification", "--categories", "a,b")

    assert found["statistics"]["percent_agreement"]["value"] == 1.0
    assert found["statistics"]["cohen_kappa"]["reason"] == "single_category"
    assert "everybody used one and the same label" in run(path, "--task-type", "classification", "--categories", "a,b")


def test_ten_thousand_annotators_are_listed_up_to_twenty(tmp_path: Path) -> None:
    n = 30_000
    columns = {
        "task_id": pa.array([f"t{at // 3}" for at in range(n)]),
        "annotator_id": pa.array([f"a{at % 10_000:05d}" for at in range(n)]),
        "label": pa.array(np.array(["a", "b", "c"])[np.random.default_rng(0).integers(0, 3, n)]),
    }
    pq.write_table(pa.table(columns), tmp_path / "j.parquet")

    shown = run(tmp_path / "j.parquet", "--task-type", "classification")

    assert "... and 9,980 more annotators; --json lists them all" in shown
    assert "more pairs; --json lists them all" in shown
    assert len(shown.splitlines()) < 80
    assert len(document(tmp_path / "j.parquet", "--task-type", "classification")["annotators"]) == 10_000


def test_bad_input_raises_the_error_that_main_turns_into_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "j.csv").write_text("")

    result = CliRunner().invoke(agreement, [str(tmp_path / "j.csv"), "--task-type", "classification"])

    assert isinstance(result.exception, InvalidInput)
    assert "found an empty file" in str(result.exception)


def test_the_installed_command_ends_with_2_and_one_message_for_bad_input(tmp_path: Path) -> None:
    (tmp_path / "j.csv").write_text("task_id,annotator_id,label,start,end\nt,a,x,3,1\n")
    command = [sys.executable, "-m", "annotation_ops.cli.main", "agreement", str(tmp_path / "j.csv")]

    done = subprocess.run([*command, "--task-type", "spans"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "j.csv: row 1: found a span from 3 to 1" in done.stderr
    assert len(done.stderr.splitlines()) == 1
