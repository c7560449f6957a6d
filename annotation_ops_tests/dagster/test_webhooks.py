"""Webhooks in Dagster: the sensor that asks, the job that tells, on an instance of the test's own."""

import base64
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
import pytest
from standardwebhooks import Webhook

from annotation_ops.defs.sensors import UNFINISHED
from annotation_ops_tests.dagster.deployment import OTHERS_WARNINGS, Deployment, Loop
from annotation_ops_tests.fakes.clock import ManualClock
from annotation_ops_tests.fakes.webhook_sender import MemorySender
from annotation_ops_tests.webhook_receiver import receiving

pytestmark = [*OTHERS_WARNINGS]

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
URL = "https://warehouse.example/in"


def declare(here: Deployment, url: str = URL) -> None:
    lines = f"  - name: warehouse\n    url: {url}\n    events: [labels.published]\n    secret_env: WAREHOUSE_SECRET\n"
    (here.project_folder / "webhooks.yaml").write_text(f"version: 1.0.0\nendpoints:\n{lines}")


def publish(loop: Loop, project: str = "digits") -> None:
    with loop.parts.ledger.transaction(actor="system", at=loop.clock.now()) as tx:
        tx.audit("labels.published", "2026-11-23-active-01.a1", {"project": project, "labels": 60})


@pytest.fixture
def sender() -> MemorySender:
    return MemorySender()


@pytest.fixture
def told(loop: Loop, sender: MemorySender) -> Loop:
    """The project with an endpoint; its first run has marked where telling begins."""
    declare(loop.here)
    parts = replace(loop.parts, webhooks=sender, secret={"WAREHOUSE_SECRET": SECRET}.get)
    loop.clock.set(datetime.now(UTC))
    ready = Loop(loop.here, parts, loop.instance, loop.clock)
    assert ready.run("webhooks").success
    return ready


def requests(loop: Loop) -> list[dg.RunRequest]:
    return list(loop.sensor("webhooks").run_requests or ())


def skipped(loop: Loop) -> str:
    result = loop.sensor("webhooks")
    assert not result.run_requests
    assert result.skip_reason is not None
    return result.skip_reason.skip_message or ""


def test_a_project_that_declares_no_webhooks_has_neither_job_nor_sensor(loop: Loop) -> None:
    repository = loop.definitions.get_repository_def()

    assert not repository.has_job("digits_webhooks")
    assert "digits_webhooks" not in {sensor.name for sensor in repository.sensor_defs}


def test_the_first_tick_asks_for_the_run_that_marks_where_telling_begins(loop: Loop) -> None:
    declare(loop.here)

    (request,) = requests(loop)

    assert request.tags["annotation_ops/why"] == "the audit chain is read from here on"
    assert loop.parts.ledger.cursor("webhooks:digits") is None, "a tick only reads"


def test_what_happened_asks_for_one_run_that_tells_it(told: Loop, sender: MemorySender) -> None:
    assert "told of everything" in skipped(told)
    publish(told)
    (request,) = requests(told)
    (same,) = requests(told)

    assert request.run_key == same.run_key
    assert told.run("webhooks").success
    (sent,) = sender.sent
    assert Webhook(SECRET).verify(sent.body, dict(sent.headers))["data"]["labels"] == 60
    assert "told of everything" in skipped(told)


def test_what_another_project_did_asks_for_nothing(told: Loop) -> None:
    publish(told, project="reviews")

    assert "told of everything" in skipped(told)


def test_a_message_to_be_tried_again_asks_for_a_run_when_its_time_has_come(told: Loop) -> None:
    refusing = replace(told.parts, webhooks=MemorySender({URL: (500,)}))
    publish(told)
    assert Loop(told.here, refusing, told.instance, told.clock).run("webhooks").success, "a refusal is no failed run"

    assert "told of everything" in skipped(told)
    told.clock.advance(seconds=10)
    (request,) = requests(told)
    assert request.tags["annotation_ops/why"] == "labels.published to warehouse is due for try 2"


def test_no_second_run_is_asked_for_while_one_is_under_way(told: Loop) -> None:
    publish(told)
    run = told.instance.create_run_for_job(told.definitions.resolve_job_def("digits_webhooks"))

    assert run.status in UNFINISHED
    assert "under way" in skipped(told)


def test_the_real_parts_tell_a_real_receiver(
    here: Deployment, clock: ManualClock, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_SECRET", SECRET)
    clock.set(datetime.now(UTC))
    with receiving() as endpoint:
        settings = replace(here.settings, webhook_hosts=frozenset({endpoint.host}))
        open_to_loopback = Deployment(here.home, settings, here.environment)
        declare(here, endpoint.url)
        with open_to_loopback.parts(clock) as parts:
            loop = Loop(open_to_loopback, parts, instance, clock)
            assert loop.run("webhooks").success
            publish(loop)
            assert loop.run("webhooks").success
            (delivery,) = parts.ledger.deliveries("digits")

        (message,) = endpoint.received
        assert Webhook(SECRET).verify(message.body, message.headers)["type"] == "labels.published"
        assert (delivery.message_id, delivery.last_status) == (message.headers["webhook-id"], 204)
