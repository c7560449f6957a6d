"""`annotation-ops batch`: a person's decision, from the shell to the audit trail."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from annotation_ops.cli.main import cli
from annotation_ops.domain.batches import BatchState
from annotation_ops.domain.errors import AnnotationOpsError, Conflict, InvalidInput, NotFound
from annotation_ops.domain.records import SYSTEM_ACTOR
from annotation_ops_tests.cli.test_main import run
from annotation_ops_tests.domain.project.examples import PROJECTS
from annotation_ops_tests.services.workshop import FIRST, Workshop

REASON = "checked all six by hand"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """Its first attempt is rejected. The command reads the machine's clock, so everything happened long ago."""
    workshop = Workshop.build(tmp_path / "home")
    workshop.clock.set(datetime(2020, 1, 6, 12, tzinfo=UTC))
    workshop.reject()
    yield workshop
    workshop.ledger.close()


def environment(shop: Workshop) -> dict[str, str]:
    return {"ANNOTATION_OPS_HOME": str(shop.home), "ANNOTATION_OPS_PROJECTS": str(PROJECTS)}


def decide(shop: Workshop, decision: str, key: str = FIRST, *options: str, reason: str = REASON) -> Result:
    arguments = ["batch", decision, key, "--project", "digits", "--reason", reason, *options]
    return CliRunner(env={**environment(shop), "ANNOTATION_OPS_LEDGER": None}).invoke(cli, arguments)


def test_accepting_a_rejected_attempt_makes_it_due_for_publishing(shop: Workshop) -> None:
    result = decide(shop, "accept", FIRST, "--actor", "dana")

    assert result.exit_code == 0
    assert result.stdout == f"{FIRST} is passed now, by dana: {REASON}\n"
    assert shop.attempt().state is BatchState.PASSED
    shop.clock.set(datetime.now(UTC))
    shop.publish()
    assert shop.attempt().state is BatchState.PUBLISHED


def test_the_audit_trail_keeps_who_decided_and_why_and_the_judge_s_verdict_stays(shop: Workshop) -> None:
    decide(shop, "accept", FIRST, "--actor", "dana")

    judged, overridden = shop.ledger.verdicts("digits")
    assert (judged.outcome, judged.judged_by) == ("FAIL", SYSTEM_ACTOR)
    assert (overridden.outcome, overridden.judged_by, overridden.reason) == ("PASS", "person:dana", REASON)
    newest = json.loads(shop.ledger.audit_entries()[-1].body)
    assert (newest["actor"], newest["event"], newest["subject"]) == ("person:dana", "verdict.overridden", FIRST)
    assert newest["details"]["reason"] == REASON


def test_an_attempt_sent_back_by_a_person_counts_as_rejected(shop: Workshop) -> None:
    result = decide(shop, "requeue", FIRST, "--actor", "dana", "--json")

    assert json.loads(result.stdout) == {"batch": FIRST, "state": "failed", "by": "dana", "reason": REASON}
    assert shop.ledger.verdicts("digits")[-1].outcome == "FAIL"


@pytest.mark.parametrize(
    ("key", "options", "error", "message"),
    [
        ("nonsense", (), InvalidInput, "found 'nonsense', expected <batch>.a<number>"),
        ("2026-11-23-active-09.a1", (), NotFound, "found no attempt '2026-11-23-active-09.a1'"),
        (FIRST, ("--actor", "system"), InvalidInput, "expected a person and a reason"),
        (FIRST, ("--reason", "  "), InvalidInput, "expected a person and a reason"),
        (FIRST, ("--project", "digist"), NotFound, "expected one of digits, reviews"),
    ],
)
def test_a_decision_that_cannot_be_taken_changes_nothing(
    shop: Workshop, key: str, options: tuple[str, ...], error: type[AnnotationOpsError], message: str
) -> None:
    before = shop.ledger.audit_entries()

    result = decide(shop, "accept", key, *options)

    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert (shop.attempt().state, shop.ledger.audit_entries()) == (BatchState.FAILED, before)


def test_a_decision_is_taken_once(shop: Workshop) -> None:
    decide(shop, "accept")

    result = decide(shop, "requeue")

    assert isinstance(result.exception, Conflict)
    assert (
        f"{FIRST}: found state passed, expected one of escalated, failed, in_adjudication, in_audit, in_review, insufficient"
        in str(result.exception)
    )


def test_a_reason_is_required(shop: Workshop) -> None:
    result = CliRunner(env=environment(shop)).invoke(cli, ["batch", "accept", FIRST, "--project", "digits"])

    assert result.exit_code == 2
    assert "--reason" in result.stderr


def test_the_installed_command_ends_with_2_and_one_message(shop: Workshop, tmp_path: Path) -> None:
    arguments = ["batch", "accept", "nonsense", "--project", "digits", "--reason", REASON, "--actor", "dana"]

    done = run(*arguments, cwd=tmp_path, **environment(shop))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: BATCH: found 'nonsense', expected <batch>.a<number>, e.g. 2026-11-23-active-01.a1; "
        "`annotation-ops status` lists them\n"
    )


def test_a_clock_that_went_back_decides_nothing_and_says_how_to_mend_it(shop: Workshop) -> None:
    with shop.ledger.transaction(actor=SYSTEM_ACTOR, at=datetime.now(UTC) + timedelta(days=2)) as tx:
        tx.audit("test.later", "digits", {})
    before = shop.ledger.audit_entries()

    result = decide(shop, "accept")

    assert isinstance(result.exception, Conflict)
    assert "the clock went back. Set the machine's clock right (NTP), then try again." in str(result.exception)
    assert (shop.attempt().state, shop.ledger.audit_entries()) == (BatchState.FAILED, before)
