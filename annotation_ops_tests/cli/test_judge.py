import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from annotation_ops.cli.main import cli
from annotation_ops.domain.errors import AnnotationOpsError

CRITERIA = """
version: 1.0.0
statistic: cohen_kappa
threshold: 0.8
mode: {mode}
min_overlap_tasks: 10
max_share_below: 0.4
"""


def judged(folder: Path, *, wrong: int, options: tuple[str, ...] = (), mode: str = "point", tasks: int = 60) -> Result:
    """Two people on half cats, half dogs; the second is wrong on the first `wrong` tasks."""
    rows = ["task_id,annotator_id,label"]
    for number in range(tasks):
        said = "cat" if number % 2 else "dog"
        other = {"cat": "dog", "dog": "cat"}[said] if number < wrong else said
        rows += [f"t{number:03},ann,{said}", f"t{number:03},bob,{other}"]
    (folder / "judgements.csv").write_text("\n".join(rows))
    (folder / "criteria.yaml").write_text(CRITERIA.format(mode=mode))
    names = ["judge", str(folder / "judgements.csv"), "--criteria", str(folder / "criteria.yaml")]
    return CliRunner().invoke(cli, [*names, "--categories", "cat,dog", *options])


def test_a_batch_that_agrees_passes_with_exit_code_0(tmp_path: Path) -> None:
    result = judged(tmp_path, wrong=2)

    assert result.exit_code == 0
    assert result.output.startswith("PASS by criteria 1.0.0")
    assert "agreement_reached" in result.output


def test_a_batch_that_does_not_agree_is_a_negative_answer_with_its_tasks(tmp_path: Path) -> None:
    result = judged(tmp_path, wrong=12)

    assert result.exit_code == 1
    assert "agreement_too_low" in result.output
    assert "t000" in result.output
    assert "and 2 more" in result.output


def test_evidence_that_does_not_suffice_is_a_negative_answer_too(tmp_path: Path) -> None:
    result = judged(tmp_path, wrong=4, mode="evidence")

    assert result.exit_code == 1
    assert result.output.startswith("INSUFFICIENT")


def test_the_verdict_document_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    first, again = (judged(tmp_path, wrong=2, options=("--json",)).stdout for _ in range(2))

    assert first == again
    document = json.loads(first)
    assert document["verdict"] == "PASS"
    assert document["statistics"]["cohen_kappa"]["value"] == pytest.approx(1 - 2 / 30, abs=1e-3)


def test_gold_answers_that_both_people_miss_fail_the_batch(tmp_path: Path) -> None:
    gold = "task_id,label\n" + "\n".join(f"t{n:03},{'dog' if n % 2 else 'cat'}" for n in range(30))
    (tmp_path / "gold.csv").write_text(gold)

    result = judged(tmp_path, wrong=0, options=("--gold", str(tmp_path / "gold.csv")))

    assert result.exit_code == 1
    assert "gold_score_too_low" in result.output


def test_few_gold_tasks_decide_nothing_and_say_so(tmp_path: Path) -> None:
    (tmp_path / "gold.csv").write_text("task_id,label\nt000,cat\n")

    result = judged(tmp_path, wrong=0, options=("--gold", str(tmp_path / "gold.csv")))

    assert result.exit_code == 0
    assert "gold_tasks_few" in result.output


def test_a_mix_that_shifted_waits_for_a_person(tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text("cat: 0.95\ndog: 0.05\n")

    result = judged(tmp_path, wrong=0, options=("--expected-mix", str(tmp_path / "mix.yaml")))

    assert result.exit_code == 1
    assert "label_mix_shifted" in result.output


def test_a_mix_with_a_label_nobody_knows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text("cat: 0.5\ncow: 0.5\n")

    result = judged(tmp_path, wrong=0, options=("--expected-mix", str(tmp_path / "mix.yaml")))

    assert isinstance(result.exception, AnnotationOpsError)
    assert "found label 'cow'" in str(result.exception)


def test_a_statistic_of_another_task_type_is_refused(tmp_path: Path) -> None:
    judged(tmp_path, wrong=0)
    (tmp_path / "criteria.yaml").write_text("version: 1.0.0\nstatistic: span_f1_exact\n")
    names = ["judge", str(tmp_path / "judgements.csv"), "--criteria", str(tmp_path / "criteria.yaml")]

    result = CliRunner().invoke(cli, [*names, "--categories", "cat,dog"])

    assert "found statistic 'span_f1_exact'" in str(result.exception)


STRUCTURES = {
    "boxes": ("label,x_min,y_min,x_max,y_max", "a,{n},0,{m},10", "mean_iou_penalised"),
    "spans": ("label,start,end", "a,{n},{m}", "span_f1_exact"),
    "polygons": ("label,points", 'a,"[[{n},0],[{m},0],[{m},9]]"', "mean_iou_penalised"),
    "masks": ("label,height,width,counts", 'a,2,40,"[{n},20,{rest}]"', "mean_iou_penalised"),
    "text": ("value", "said {n}", "exact_match"),
}


@pytest.mark.parametrize("task_type", STRUCTURES)
def test_gold_of_every_task_type_is_what_consensus_writes(tmp_path: Path, task_type: str) -> None:
    header, answer, statistic = STRUCTURES[task_type]
    rows = [f"task_id,annotator_id,{header}"]
    for n in range(30):
        said = answer.format(n=n, m=n + 9, rest=60 - n)
        rows += [f"t{n:02},ann,{said}", f"t{n:02},bob,{said}"]
    file, gold, criteria = tmp_path / "judgements.csv", tmp_path / "gold.csv", tmp_path / "criteria.yaml"
    file.write_text("\n".join(rows))
    criteria.write_text(f"version: 1.0.0\nstatistic: {statistic}\nthreshold: 0.8\nmode: point\nmin_overlap_tasks: 10\n")
    common = ("--task-type", task_type, *(() if task_type == "text" else ("--categories", "a")))
    made = CliRunner().invoke(cli, ["consensus", str(file), *common, "--method", "majority", "--out", str(gold)])
    right = CliRunner().invoke(cli, ["judge", str(file), *common, "--criteria", str(criteria), "--gold", str(gold)])
    shifted = [line.split(",", 1) for line in gold.read_text().splitlines()[1:]]
    others = [rest for _, rest in shifted[15:] + shifted[:15]]
    lines = [f"{task},{rest}" for (task, _), rest in zip(shifted, others, strict=True)]
    gold.write_text("\n".join([gold.read_text().splitlines()[0], *lines]))
    wrong = CliRunner().invoke(cli, ["judge", str(file), *common, "--criteria", str(criteria), "--gold", str(gold)])

    assert made.exit_code == 0, made.output
    assert (right.exit_code, "gold_score_reached" in right.output) == (0, True), right.output
    assert (wrong.exit_code, "gold_score_too_low" in wrong.output) == (1, True), wrong.output
