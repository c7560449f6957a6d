"""`annotation-ops webhooks`: the log, sending again, and a test message."""

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from standardwebhooks import Webhook

from annotation_ops.adapters.project_folder import load_project
from annotation_ops.cli.main import cli
from annotation_ops.domain.deliveries import DeliveryState
from annotation_ops.domain.errors import InvalidInput, NotFound
from annotation_ops.services import deliver
from annotation_ops_tests.domain.project.examples import PROJECTS
from annotation_ops_tests.fakes.webhook_sender import MemorySender
from annotation_ops_tests.services.workshop import FIRST, Workshop
from annotation_ops_tests.webhook_receiver import Receiver, answer, receiving

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


@dataclass
class Desk:
    shop: Workshop
    projects: Path
    receiver: Receiver

    def __call__(self, *arguments: str, secret: str | None = SECRET, hosts: str | None = None) -> Result:
        env = {
            "ANNOTATION_OPS_HOME": str(self.shop.home),
            "ANNOTATION_OPS_PROJECTS": str(self.projects),
            "ANNOTATION_OPS_LEDGER": None,
            "ANNOTATION_OPS_WEBHOOK_HOSTS": self.receiver.host if hosts is None else hosts,
            "HOOK_SECRET": secret,
        }
        return CliRunner(env=env).invoke(cli, ["webhooks", *arguments])

    def happens(self, *statuses: int) -> None:
        """An entry for each status, told once, to an endpoint that answers so."""
        project = load_project(self.projects / "digits")
        with self.shop.ledger.transaction(actor="system", at=self.shop.clock.now()) as tx:
            for _ in statuses:
                tx.audit("labels.published", FIRST, {"project": "digits", "labels": 6})
        deliver.enqueue(project, ledger=self.shop.ledger, now=self.shop.clock.now())
        assert project.webhooks is not None
        deliver.deliver_due(
            project,
            ledger=self.shop.ledger,
            sender=MemorySender({project.webhooks.endpoints[0].url: statuses}),
            secrets=lambda _: SECRET,
            clock=self.shop.clock,
            owner="run-1",
        )

    def fail(self) -> list[str]:
        """Every message that is pending fails for good."""
        ids = []
        with self.shop.ledger.transaction(actor="system", at=self.shop.clock.now()) as tx:
            for one in self.shop.ledger.deliveries("digits", states={DeliveryState.PENDING}):
                tx.record_delivery(replace(one, state=DeliveryState.FAILED, next_try_at=None))
                ids.append(one.message_id)
        return ids


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A digits project with one endpoint on loopback; everything happened long ago."""
    projects = tmp_path / "projects"
    shutil.copytree(PROJECTS / "digits", projects / "digits")
    shop = Workshop.build(tmp_path / "home")
    shop.clock.set(datetime(2026, 1, 6, 12, tzinfo=UTC))
    with receiving() as receiver:
        (projects / "digits" / "webhooks.yaml").write_text(
            f"version: 1.0.0\nendpoints:\n  - {{name: warehouse, url: '{receiver.url}', secret_env: HOOK_SECRET}}\n"
        )
        made = Desk(shop, projects, receiver)
        made.happens()
        yield made
    shop.ledger.close()


def test_the_log_is_shown_newest_first(desk: Desk) -> None:
    desk.happens(204, 500)

    result = desk("list", "digits")

    assert result.exit_code == 0
    newest, why, oldest = result.stdout.splitlines()
    assert newest.split()[:8] == [
        "2026-01-06",
        "12:00:00",
        "warehouse",
        "labels.published",
        "pending",
        "1",
        "tries",
        "500",
    ]
    assert why.strip() == "the endpoint answered 500"
    assert oldest.split()[4:8] == ["delivered", "1", "tries", "204"]


def test_an_empty_log_says_so(desk: Desk) -> None:
    assert desk("list", "digits").stdout == "digits: no deliveries\n"
    assert desk("list", "digits", "--failed").stdout == "digits: no failed deliveries\n"
    assert json.loads(desk("list", "digits", "--json").stdout) == []


def test_json_of_the_log_is_one_document_without_bodies_and_secrets(desk: Desk) -> None:
    desk.happens(204)

    result = desk("list", "digits", "--json")

    (row,) = json.loads(result.stdout)
    assert (row["endpoint"], row["event"], row["state"], row["last_status"]) == (
        *("warehouse", "labels.published"),
        *("delivered", 204),
    )
    assert "body" not in row
    assert SECRET not in result.output


def test_what_failed_is_listed_and_sent_again_with_the_same_ids(desk: Desk) -> None:
    desk.happens(500, 500)
    ids = desk.fail()

    listed = json.loads(desk("list", "digits", "--failed", "--json").stdout)
    again = desk("redeliver", "--failed", "digits", "--actor", "dana")

    assert [row["message_id"] for row in listed] == ids
    assert again.exit_code == 0, again.output
    assert again.stdout.endswith("2 of 2 delivered\n")
    assert sorted(desk.receiver.ids) == sorted(ids)
    assert desk("redeliver", "--failed", "digits").stdout == "0 of 0 delivered\n"
    newest = json.loads(desk.shop.ledger.audit_entries()[-1].body)
    assert (newest["actor"], newest["event"]) == ("person:dana", "webhook.redelivered")


def test_one_message_that_is_refused_again_is_a_negative_answer(desk: Desk) -> None:
    desk.happens(204)
    (delivered,) = desk.shop.ledger.deliveries("digits")
    desk.receiver.usual = answer(500)

    result = desk("redeliver", delivered.message_id, "--json")

    assert result.exit_code == 1
    (row,) = json.loads(result.stdout)
    assert (row["state"], row["tries"], row["last_status"]) == ("pending", 1, 500)


def test_a_message_that_is_not_there_is_not_found(desk: Desk) -> None:
    assert isinstance(desk("redeliver", "msg_0").exception, NotFound)


@pytest.mark.parametrize("arguments", [(), ("msg_0", "--failed", "digits")])
def test_redeliver_takes_one_of_its_two_forms(desk: Desk, arguments: tuple[str, ...]) -> None:
    result = desk("redeliver", *arguments)

    assert result.exit_code == 2
    assert "expected one of the two" in result.stderr


def test_an_endpoint_that_said_gone_is_told_again_by_a_person(desk: Desk) -> None:
    desk.happens(410)

    refused = desk("redeliver", desk.shop.ledger.deliveries("digits")[0].message_id)
    enabled = desk("enable", "digits", "warehouse", "--actor", "dana")
    twice = desk("enable", "digits", "warehouse")
    again = desk("redeliver", "--failed", "digits")

    assert isinstance(refused.exception, InvalidInput)
    assert "webhooks enable digits warehouse" in str(refused.exception)
    assert enabled.stdout == "warehouse is told again from now on\n"
    assert twice.stdout == "warehouse was not disabled\n"
    assert again.exit_code == 0


def test_a_test_message_arrives_signed(desk: Desk) -> None:
    result = desk("test", "digits", "warehouse")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("warehouse: accepted, 204 in 0.")
    (message,) = desk.receiver.received
    assert Webhook(SECRET).verify(message.body, message.headers)["type"] == "ping"


def test_a_test_message_that_is_refused_is_a_negative_answer(desk: Desk) -> None:
    desk.receiver.usual = answer(401)

    result = desk("test", "digits", "warehouse", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == 401


@pytest.mark.parametrize(
    ("secret", "hosts", "why"),
    [
        (None, None, "HOOK_SECRET: found no secret"),
        ("whsec_hunter2", None, "HOOK_SECRET: found something that is no secret"),
        (SECRET, "", "found plain http, expected https"),
    ],
)
def test_a_test_message_that_cannot_be_sent_says_why(
    desk: Desk, secret: str | None, hosts: str | None, why: str
) -> None:
    result = desk("test", "digits", "warehouse", secret=secret, hosts=hosts)

    assert result.exit_code == 1
    assert why in result.stdout
    assert "hunter2" not in result.output
    assert desk.receiver.received == []


def test_an_endpoint_that_is_not_declared_is_not_found(desk: Desk) -> None:
    result = desk("test", "digits", "werehouse")

    assert isinstance(result.exception, NotFound)
    assert "webhooks.yaml (warehouse)" in str(result.exception)


def test_a_list_of_hosts_that_is_none_is_refused_by_its_variable(desk: Desk) -> None:
    result = desk("list", "digits", hosts="http://a.example/")

    assert isinstance(result.exception, InvalidInput)
    assert "ANNOTATION_OPS_WEBHOOK_HOSTS: found 'http://a.example/'" in str(result.exception)
