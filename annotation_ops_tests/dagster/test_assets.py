"""What a run does and what the UI shows of it."""

import re
from types import ModuleType

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation_ops.defs import predictions, ranked_samples, raw_samples
from annotation_ops.defs.metadata import table
from annotation_ops.demo import digits
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.tables import LABEL_FEATURES
from annotation_ops_tests.dagster.deployment import OTHERS_WARNINGS, QUIET, TODAY, Loop, metadata_of

pytestmark = [*OTHERS_WARNINGS]

BATCH = "2026-11-23-active-01.a1"
POOL = digits.load(seed=0).pool


def features(loop: Loop) -> list[dict[str, object]]:
    return list(loop.parts.lake.read(LABEL_FEATURES, partition={"project": "digits"}).to_pylist())


def started(result: dg.ExecuteInProcessResult) -> list[str]:
    return [event.step_key or "" for event in result.all_events if event.event_type_value == "STEP_START"]


def test_a_day_s_run_tells_how_many_came_how_many_were_scored_and_what_comes_next(loop: Loop) -> None:
    loop.here.deliver(loop.parts, POOL[:9], day=TODAY)
    loop.parts.store(loop.here.project).put(f"{TODAY}/broken.png", b"no image", metadata={})

    result = loop.run("ingest", TODAY.isoformat())

    day = TODAY.isoformat()
    arrived = metadata_of(result, "raw_samples")[day]
    assert (arrived["listed"], arrived["registered"], arrived["quarantined"]) == (10, 9, 1)
    assert metadata_of(result, "predictions")[day]["model_version"] == "none yet"
    ranked = metadata_of(result, "ranked_samples")[day]
    assert (ranked["pool"], ranked["ranked"]) == (9, 9)


def test_a_batch_that_passes_reaches_the_feature_table_with_its_evidence(loop: Loop) -> None:
    loop.here.edit("criteria.yaml", "threshold: 0.85", "threshold: 0.3")
    loop.here.edit("criteria.yaml", "max_share_below: 0.10", "max_share_below: 0.90")
    loop.annotate(BATCH, POOL[:60])

    result = loop.run("judge", BATCH)

    assert result.success
    assert [check.passed for check in result.get_asset_check_evaluations()] == [True]
    shown = metadata_of(result, "qa_passed_labels")[BATCH]
    assert shown["verdict"] == "PASS"
    assert 0.3 < float(str(shown["krippendorff_alpha_nominal"])) <= 1.0
    assert str(shown["evidence"]).startswith("![agreement](data:image/png;base64,")
    published = metadata_of(loop.run("publish", BATCH), "label_features")[BATCH]
    assert published["labels"] == len(features(loop)) > 40
    sent = loop.run("dispatch", BATCH)
    assert (metadata_of(sent, "annotation_batches")[BATCH]["tasks_created"], len(features(loop))) == (
        0,
        published["labels"],
    )


def test_a_rejected_batch_turns_its_run_red_and_reaches_no_table(loop: Loop) -> None:
    loop.here.edit("criteria.yaml", "threshold: 0.85", "threshold: 0.999")
    loop.annotate(BATCH, POOL[:60])

    result = loop.run("judge", BATCH)

    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.check_name, check.blocking) == (False, "batch_passed_qa", True)
    assert check.severity is dg.AssetCheckSeverity.ERROR
    assert features(loop) == []
    assert loop.parts.ledger.attempt("digits", "2026-11-23-active-01", 1).state is BatchState.FAILED
    by_hand = loop.run("publish", BATCH)
    assert not by_hand.success, "the gate is the verdict, not the check"
    assert features(loop) == []


def test_a_run_over_judging_and_publishing_stops_at_the_check_of_a_rejected_batch(loop: Loop) -> None:
    loop.here.edit("criteria.yaml", "threshold: 0.85", "threshold: 0.999")
    loop.annotate(BATCH, POOL[:60])
    names = ("annotations", "qa_passed_labels", "label_features")

    result = loop.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=loop.instance,
        partition_key=BATCH,
        asset_selection=[dg.AssetKey(["digits", name]) for name in names],
        raise_on_error=False,
    )

    assert not result.success
    assert started(result) == ["digits__annotations", "digits__qa_passed_labels"]
    assert features(loop) == []


EVIL = "<script>alert(1)</script> | ![x](https://evil.example/a.png) `code` & <img src=x onerror=alert(1)>"


def test_text_that_came_with_an_object_cannot_become_markup_in_the_ui(loop: Loop) -> None:
    contract = (loop.here.project_folder / "contract.yaml").read_text()
    open_to_anything, found = re.subn(
        r"\n        quality:\n          - metric: invalidValues.*?mustBe: 0", "", contract, flags=re.S
    )
    assert found == 1
    (loop.here.project_folder / "contract.yaml").write_text(open_to_anything)
    body = digits.png(digits.load(seed=0).pixels[POOL[0]])
    facts = {"scanner": EVIL, "sheet": "sheet-1", "captured_at": "2026-11-23T09:00:00Z"}
    loop.parts.store(loop.here.project).put(f"{TODAY}/one.png", body, metadata=facts)

    result = loop.run("ingest", TODAY.isoformat())

    arrived = metadata_of(result, "raw_samples")[TODAY.isoformat()]
    assert arrived["registered"] == 1
    shown = str(arrived["by_slice"])
    assert "alert(1)" in shown, "the value is shown"
    assert not re.search(r"[<`\[]", shown)
    assert [line.count("|") for line in shown.splitlines()] == [3, 3, 3]


@given(st.lists(st.text(), min_size=2, max_size=2))
def test_no_cell_can_leave_its_row_or_open_a_tag(cells: list[str]) -> None:
    shown = str(table(["a", "b"], [cells]).value)

    assert re.split(r"\r\n|\r|\n", shown)[2:] == [shown.rpartition("\n")[2]]
    assert shown.rpartition("\n")[2].count("|") == 3
    assert not re.search(r"[<>`\[]", shown)


def test_an_asset_that_cannot_be_made_says_why_in_its_failed_run(loop: Loop) -> None:
    result = loop.run("judge", "2026-11-23-active-07.a1")

    failures = [event for event in result.all_events if event.is_step_failure]
    assert not result.success
    assert "2026-11-23-active-07" in str(failures[0].step_failure_data.error)
    assert started(result) == ["digits__annotations", "digits__qa_passed_labels"]


@pytest.mark.parametrize("module", [raw_samples, predictions, ranked_samples])
def test_each_asset_of_a_day_can_be_materialized_by_itself(loop: Loop, module: ModuleType) -> None:
    result = dg.materialize(
        [module.build(loop.here.project)],
        partition_key=TODAY.isoformat(),
        instance=loop.instance,
        resources={"annotation_ops": loop.parts},
        run_config=QUIET,
    )

    assert result.success
