import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from annotation_ops.cli.consensus import METHODS, consensus
from annotation_ops.services.gold_files import read_gold


@pytest.fixture
def judgements(tmp_path: Path) -> Path:
    path = tmp_path / "judgements.csv"
    rows = ["1,ann,cat", "1,bob,cat", "1,cy,dog", "2,ann,dog", "2,bob,dog", "3,ann,cat", "3,bob,dog", "4,ann,cat"]
    path.write_text("task_id,annotator_id,label\n" + "\n".join(rows) + "\n")
    return path


def run(path: Path, *arguments: object, task_type: str = "classification") -> Result:
    return CliRunner().invoke(consensus, [str(path), "--task-type", task_type, *map(str, arguments)])


def test_it_writes_gold_and_says_what_goes_to_people(judgements: Path, tmp_path: Path) -> None:
    result = run(judgements, "--method", "majority", "--out", tmp_path / "gold.csv")

    assert result.exit_code == 0, result.output
    assert "4 tasks by majority into" in result.output
    assert "3 settled; 1 for a person: 1 tied, 0 less sure than 0.6" in result.output
    assert "1 tasks rest on a single judgement" in result.output
    assert read_gold(tmp_path / "gold.csv", task_type="classification") == {
        "1": {"label": "cat"}, "2": {"label": "dog"}, "4": {"label": "cat"}
    }  # fmt: skip


def test_what_is_less_sure_than_asked_for_goes_to_people(judgements: Path, tmp_path: Path) -> None:
    result = run(
        judgements, "--method", "majority", "--min-confidence", 0.7, "--out", tmp_path / "gold.parquet", "--json"
    )

    told = json.loads(result.output)
    rows = {row["task_id"]: row for row in pq.read_table(tmp_path / "gold.parquet").to_pylist()}
    assert (told["n_tasks"], told["settled"], told["needs_human"], told["ties"]) == (4, 2, 2, 1)
    assert told["mean_confidence"] == pytest.approx((2 / 3 + 1 + 1 / 2 + 1) / 4)
    assert (rows["1"]["label"], rows["1"]["needs_human"]) == ("cat", True)
    assert rows["3"]["label"] is None


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("model-assisted", "crowdlab")])
def test_every_method_settles_what_everybody_agrees_on(judgements: Path, tmp_path: Path, method: str) -> None:
    result = run(judgements, "--method", method, "--out", tmp_path / "gold.jsonl", "--min-confidence", 0)

    assert result.exit_code == 0, result.output
    assert read_gold(tmp_path / "gold.jsonl", task_type="classification")["2"] == {"label": "dog"}


def test_a_model_breaks_a_tie(judgements: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "p.csv"
    predictions.write_text("sample_id,p_cat,p_dog\n1,0.9,0.1\n2,0.05,0.95\n3,0.02,0.98\n4,0.9,0.1\n")
    arguments = ["--method", "model-assisted", "--min-confidence", 0, "--out", tmp_path / "gold.csv"]

    result = run(judgements, *arguments, "--predictions", predictions)

    assert result.exit_code == 0, repr(result.exception)
    assert read_gold(tmp_path / "gold.csv", task_type="classification")["3"] == {"label": "dog"}


@pytest.mark.parametrize(
    ("task_type", "arguments", "message"),
    [
        ("classification", ["--method", "model-assisted"], "without --predictions"),
        ("classification", ["--method", "majority", "--predictions", "p.csv"], "which uses none"),
        ("spans", ["--method", "ensemble"], "expected majority: only labels have the other methods"),
        ("classification", ["--method", "magic"], "weighted-vote"),
    ],
)
def test_wrong_use_ends_with_2_and_writes_nothing(
    judgements: Path, tmp_path: Path, task_type: str, arguments: list[str], message: str
) -> None:
    result = run(judgements, *arguments, "--out", tmp_path / "gold.csv", task_type=task_type)

    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "gold.csv").exists()


def test_spans_and_texts_are_fused(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("task_id,annotator_id,label,start,end\nt,ann,a,0,4\nt,bob,a,0,4\nt,cy,,,\n")
    (tmp_path / "t.csv").write_text("task_id,annotator_id,value\nt,ann,=so\nt,bob,=so\nt,cy,no\n")

    for name, task_type in (("s", "spans"), ("t", "text")):
        out = tmp_path / f"{name}_gold.csv"
        result = run(tmp_path / f"{name}.csv", "--method", "majority", "--out", out, task_type=task_type)
        assert result.exit_code == 0, result.output

    assert read_gold(tmp_path / "s_gold.csv", task_type="spans") == {
        "t": {"spans": [{"label": "a", "start": 0, "end": 4}]}
    }
    assert read_gold(tmp_path / "t_gold.csv", task_type="text") == {"t": {"text": "=so"}}


def test_bad_rows_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "j.csv").write_text("task_id,annotator_id,label\nt,ann,a\nt,ann,b\n")

    result = run(tmp_path / "j.csv", "--method", "majority", "--out", tmp_path / "gold.csv")

    assert "row 2: found a second judgement" in str(result.exception)
    assert not (tmp_path / "gold.csv").exists()
