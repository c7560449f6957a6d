"""Telling other systems: what is enqueued, sent, tried again, stopped and started; nothing lost, nothing told twice as two."""

import base64
import json
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from annotation_ops.adapters.storage.ledger.sql_ledger import SqlLedger
from annotation_ops.adapters.webhook_sender import HttpWebhookSender
from annotation_ops.domain.deliveries import MAX_TRIES, DeliveryState
from annotation_ops.domain.errors import InvalidInput, NotFound
from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.webhooks import Endpoint, Webhooks
from annotation_ops.domain.webhook_events import EVENTS, TOLD
from annotation_ops.ports.ledger import LedgerTransaction
from annotation_ops.ports.webhook_sender import Answer
from annotation_ops.services import deliver
from annotation_ops.services.deliver import DeliveryReport
from annotation_ops_tests.fakes.clock import ManualClock
from annotation_ops_tests.fakes.webhook_sender import MemorySender
from annotation_ops_tests.services.workshop import FIRST, Workshop
from annotation_ops_tests.webhook_receiver import answer, receiving

SECRET = "whsec_" + base64.b64encode(b"the secret of the warehouse").decode()
WAREHOUSE = Endpoint("warehouse", "https://warehouse.example/in", EVENTS, "WAREHOUSE_SECRET")
CHAT = Endpoint("chat", "https://chat.example/in", ("labels.published",), "CHAT_SECRET")
HOUR = timedelta(hours=1)


@dataclass
class Office:
    """A deployment whose project has endpoints, and what its ledger says."""

    home: Path
    ledger: SqlLedger
    clock: ManualClock
    project: AnnotationProject
    secrets: dict[str, str]

    def happens(self, event: str, n: int = 1, *, project: str = "digits") -> None:
        with self.ledger.transaction(actor="system", at=self.clock.now()) as tx:
            for _ in range(n):
                tx.audit(event, FIRST, {"project": project, "labels": 60})

    def declare(self, *endpoints: Endpoint) -> None:
        self.project = replace(self.project, webhooks=Webhooks("1.0.0", endpoints))

    def enqueue(self) -> int:
        return deliver.enqueue(self.project, ledger=self.ledger, now=self.clock.now())

    def send(
        self, sender: MemorySender | HttpWebhookSender, *, owner: str = "run-1", limit: int = 100
    ) -> DeliveryReport:
        return deliver.deliver_due(
            self.project,
            ledger=self.ledger,
            sender=sender,
            secrets=self.secrets.get,
            clock=self.clock,
            owner=owner,
            limit=limit,
        )

    def due(self) -> bool:
        return deliver.due_work(self.project, ledger=self.ledger, now=self.clock.now()) is not None

    def states(self, endpoint: str = "warehouse") -> list[str]:
        """Oldest entry first."""
        log = self.ledger.deliveries(self.project.name)
        return [one.state.value for one in reversed(log) if one.endpoint == endpoint]

    def audit(self) -> list[str]:
        return [json.loads(entry.body)["event"] for entry in self.ledger.audit_entries()]


@pytest.fixture
def office(workshop: Workshop) -> Office:
    """One endpoint that wants everything, and a chain that was read to its end."""
    made = Office(
        workshop.home,
        workshop.ledger,
        workshop.clock,
        workshop.project,
        {"WAREHOUSE_SECRET": SECRET, "CHAT_SECRET": SECRET},
    )
    made.declare(WAREHOUSE)
    made.enqueue()
    return made


def test_what_happened_before_webhooks_were_declared_is_told_to_nobody(office: Office) -> None:
    office.project = replace(office.project, name="digits2")
    office.happens("labels.published", project="digits2")

    assert office.due(), "the first look marks where telling begins"
    assert office.enqueue() == 0
    assert not office.due()
    office.happens("labels.published", project="digits2")
    assert office.enqueue() == 1


def test_every_entry_that_an_endpoint_wants_becomes_one_message_to_it(office: Office) -> None:
    office.declare(WAREHOUSE, CHAT)
    office.happens("batch.dispatched")
    office.happens("annotations.collected", 3)
    office.happens("labels.published")
    office.happens("labels.published", project="reviews")

    assert office.due()
    assert office.enqueue() == 3
    log = office.ledger.deliveries("digits")
    assert sorted((one.endpoint, one.event) for one in log) == [
        ("chat", "labels.published"),
        ("warehouse", "batch.dispatched"),
        ("warehouse", "labels.published"),
    ]
    assert len({one.message_id for one in log}) == 3
    assert office.enqueue() == 0


def test_a_reading_position_that_was_lost_enqueues_nothing_twice(office: Office) -> None:
    office.happens("labels.published", 3)
    assert office.enqueue() == 3
    office.send(MemorySender())
    with office.ledger.transaction(actor="a", at=office.clock.now()) as tx:
        tx.set_cursor(deliver.cursor_name("digits"), "0")

    assert office.enqueue() == 0
    assert office.states() == ["delivered"] * 3


def test_a_long_chain_is_read_in_pages_to_its_end(office: Office) -> None:
    office.happens("annotations.collected", deliver.PAGE)
    assert office.due(), "a full page is read past by a run"
    office.happens("labels.published", 2)

    assert office.enqueue() == 2
    assert office.ledger.cursor("webhooks:digits") == str(office.ledger.audit_head())


def test_entries_that_nobody_wants_make_no_run_due(office: Office) -> None:
    office.declare(CHAT)
    office.happens("batch.dispatched", 5)

    assert not office.due()


def test_a_message_arrives_signed_and_is_not_sent_again(office: Office) -> None:
    office.clock.set(datetime.now(UTC))
    office.happens("labels.published")
    office.enqueue()
    sender = MemorySender()

    report = office.send(sender)

    (sent,) = sender.sent
    assert sent.url == WAREHOUSE.url
    assert report.delivered == (sent.id,)
    document = Webhook(SECRET).verify(sent.body, dict(sent.headers))
    assert (document["type"], document["data"]["labels"]) == ("labels.published", 60)
    assert office.states() == ["delivered"]
    assert office.send(sender) == DeliveryReport()
    assert not office.due()


def test_a_refused_message_is_tried_again_in_time_with_the_same_id_and_a_new_time(office: Office) -> None:
    office.happens("labels.published")
    office.enqueue()
    sender = MemorySender({WAREHOUSE.url: (500, 0, 204)})

    for wait in (timedelta(0), timedelta(seconds=6), timedelta(minutes=6)):
        assert not office.due() or wait == timedelta(0)
        office.clock.advance(wait)
        assert office.due()
        office.send(sender)

    assert len({sent.id for sent in sender.sent}) == 1
    assert len({sent.headers["webhook-timestamp"] for sent in sender.sent}) == 3
    (done,) = office.ledger.deliveries("digits")
    assert (done.state, done.tries, done.last_status) == (DeliveryState.DELIVERED, 3, 204)


def test_a_message_that_nobody_takes_fails_after_all_tries_and_stays_in_the_log(office: Office) -> None:
    office.happens("labels.published")
    office.enqueue()
    sender = MemorySender({WAREHOUSE.url: (500,)})
    for _ in range(MAX_TRIES + 3):
        office.send(sender)
        office.clock.advance(27 * HOUR)

    (failed,) = office.ledger.deliveries("digits")
    assert (failed.state, failed.tries, failed.last_error) == (DeliveryState.FAILED, 10, "the endpoint answered 500")
    assert len(sender.sent) == MAX_TRIES
    assert not office.due()


def test_an_endpoint_that_is_away_is_asked_once_a_run_and_holds_up_no_other(office: Office) -> None:
    office.declare(WAREHOUSE, replace(CHAT, events=EVENTS))
    office.happens("labels.published", 5)
    office.enqueue()
    sender = MemorySender({WAREHOUSE.url: (0,)})

    office.send(sender)

    urls = [sent.url for sent in sender.sent]
    assert (urls.count(WAREHOUSE.url), urls.count(CHAT.url)) == (1, 5)
    assert office.states("chat") == ["delivered"] * 5
    assert office.states() == ["pending"] * 5
    office.send(sender)
    assert office.ledger.due_deliveries("digits", at=office.clock.now(), limit=9)[0].tries == 0


def test_an_endpoint_that_asks_to_wait_is_waited_for(office: Office) -> None:
    office.happens("labels.published", 2)
    office.enqueue()
    sender = MemorySender({WAREHOUSE.url: (429, 204)}, retry_after=HOUR)

    office.send(sender)

    assert len(sender.sent) == 1
    waiting = max(office.ledger.deliveries("digits"), key=lambda one: one.tries)
    assert waiting.next_try_at == office.clock.now() + HOUR


def test_gone_disables_the_endpoint_and_leaves_its_mark_in_the_audit_trail(office: Office) -> None:
    office.happens("labels.published", 3)
    office.enqueue()
    sender = MemorySender({WAREHOUSE.url: (410,)})

    report = office.send(sender)

    assert len(sender.sent) == 1
    assert len(report.disabled) == 3
    assert office.states() == ["disabled"] * 3
    assert office.audit()[-1] == "webhook.disabled"
    assert office.audit().count("webhook.disabled") == 1
    office.happens("labels.published")
    assert office.enqueue() == 1
    assert office.states() == ["disabled"] * 4
    assert not office.due()


@pytest.mark.parametrize(
    "declared", [replace(WAREHOUSE, url="https://new.example/in"), replace(WAREHOUSE, secret_env="CHAT_SECRET")]
)
def test_declared_with_another_address_or_secret_a_disabled_endpoint_is_told_again(
    office: Office, declared: Endpoint
) -> None:
    office.happens("labels.published")
    office.enqueue()
    office.send(MemorySender({WAREHOUSE.url: (410,)}))
    office.declare(declared)
    office.happens("labels.published")
    office.enqueue()

    office.send(MemorySender())

    assert office.states() == ["disabled", "delivered"]


def test_a_person_enables_an_endpoint_and_has_what_it_missed_sent_again(office: Office) -> None:
    office.happens("labels.published")
    office.enqueue()
    office.send(MemorySender({WAREHOUSE.url: (410,)}))
    (missed,) = office.ledger.deliveries("digits")
    now = office.clock.now()

    with pytest.raises(InvalidInput, match="webhooks enable digits warehouse"):
        deliver.redeliver(office.project, [missed], actor="dana", ledger=office.ledger, now=now)
    assert deliver.undelivered(office.project, ledger=office.ledger) == ()
    assert deliver.enable(office.project, "warehouse", actor="dana", ledger=office.ledger, now=now)
    assert not deliver.enable(office.project, "warehouse", actor="dana", ledger=office.ledger, now=now)
    chosen = deliver.undelivered(office.project, ledger=office.ledger)
    deliver.redeliver(office.project, chosen, actor="dana", ledger=office.ledger, now=now)
    sender = MemorySender()
    office.send(sender)

    assert [sent.id for sent in sender.sent] == [missed.message_id]
    assert office.states() == ["delivered"]
    assert office.audit()[-2:] == ["webhook.enabled", "webhook.redelivered"]
    assert json.loads(office.ledger.audit_entries()[-1].body)["actor"] == "person:dana"


def test_messages_to_an_endpoint_that_is_no_longer_declared_are_disabled_all_in_one_run(office: Office) -> None:
    office.happens("labels.published", 4)
    office.enqueue()
    office.declare(CHAT)
    sender = MemorySender()

    assert len(office.send(sender).disabled) == 4
    assert sender.sent == ()
    with pytest.raises(NotFound, match=r"no endpoint 'warehouse'.*\(chat\)"):
        deliver.redeliver(
            office.project,
            office.ledger.deliveries("digits"),
            actor="dana",
            ledger=office.ledger,
            now=office.clock.now(),
        )


@pytest.mark.parametrize("secret", [None, "", "whsec_short", "no secret at all"])
def test_a_secret_that_is_not_there_or_none_is_an_error_of_the_try_and_nothing_is_sent(
    office: Office, secret: str | None
) -> None:
    office.secrets = {} if secret is None else {"WAREHOUSE_SECRET": secret}
    office.happens("labels.published")
    office.enqueue()
    sender = MemorySender()

    assert len(office.send(sender).put_off) == 1
    assert sender.sent == ()
    (waiting,) = office.ledger.deliveries("digits")
    assert waiting.last_error.startswith("WAREHOUSE_SECRET: found ")
    office.secrets = {"WAREHOUSE_SECRET": SECRET}
    office.clock.advance(HOUR)
    assert len(office.send(sender).delivered) == 1


def test_one_run_sends_at_a_time_and_a_dead_one_s_lease_ends(office: Office) -> None:
    office.happens("labels.published")
    office.enqueue()
    now = office.clock.now()
    office.ledger.acquire_lease("webhooks:digits", "dead", at=now, seconds=deliver.LEASE_SECONDS)

    assert office.send(MemorySender()).busy
    office.clock.advance(seconds=deliver.LEASE_SECONDS)
    assert len(office.send(MemorySender()).delivered) == 1


def test_a_run_ends_in_time_and_the_next_one_goes_on(office: Office) -> None:
    office.happens("labels.published", 9)
    office.enqueue()
    sender = MemorySender(on_send=lambda: office.clock.advance(seconds=100))

    assert len(office.send(sender).delivered) == 4
    assert len(office.send(sender).delivered) == 4
    assert len(office.send(sender, limit=5).delivered) == 1
    assert len({sent.id for sent in sender.sent}) == 9


class Killed(BaseException):
    """The process ends here."""


class DyingLedger(SqlLedger):
    """The process dies where its transaction of this number would begin."""

    dies_at = 0

    def transaction(self, *, actor: str, at: datetime) -> AbstractContextManager[LedgerTransaction]:
        self.dies_at -= 1
        if self.dies_at == 0:
            raise Killed
        return super().transaction(actor=actor, at=at)


class DyingSender(MemorySender):
    """Hands on to another; the process dies before that or after it."""

    def __init__(self, to: MemorySender, *, dies: str) -> None:
        super().__init__()
        self._to = to
        self._dies = dies

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        if self._dies == "before the sending":
            raise Killed
        arrived = self._to.send(url, headers, body)
        if self._dies == "while the answer comes":
            raise Killed
        return arrived


@pytest.mark.parametrize(
    ("where", "transaction", "times_sent"),
    [
        ("before the message is written", 1, 1),
        ("before the sending", 0, 1),
        ("while the answer comes", 0, 2),
        ("before it is recorded", 2, 2),
        ("after it is recorded", 0, 1),
    ],
)
def test_wherever_a_run_dies_the_message_arrives_with_one_id(
    office: Office, where: str, transaction: int, times_sent: int
) -> None:
    office.happens("labels.published")
    receiver = MemorySender()
    dying = DyingLedger(f"sqlite:///{office.home / 'ledger.sqlite'}")
    dying.dies_at = transaction
    with dying, pytest.raises(Killed):
        run(replace(office, ledger=dying), DyingSender(receiver, dies=where))

    office.clock.advance(seconds=deliver.LEASE_SECONDS)
    office.enqueue()
    office.send(receiver, owner="run-2")

    assert len(receiver.sent) == times_sent
    assert len({sent.id for sent in receiver.sent}) == 1
    assert office.states() == ["delivered"]
    assert not office.due()


def run(office: Office, sender: MemorySender) -> None:
    """What the job does; then the process ends for certain."""
    office.enqueue()
    office.send(sender)
    raise Killed


def test_over_a_real_socket_a_message_survives_everything_an_endpoint_does(office: Office) -> None:
    office.clock.set(datetime.now(UTC))
    with receiving() as endpoint:
        office.declare(replace(WAREHOUSE, url=endpoint.url))
        office.happens("labels.published")
        office.enqueue()
        endpoint.script.extend([answer(500), answer(302, location="/elsewhere"), answer(429, retry_after="7")])
        sender = HttpWebhookSender(open_hosts=frozenset({endpoint.host}), timeout_seconds=5)
        for _ in range(4):
            office.send(sender)
            office.clock.advance(HOUR)

        assert len(set(endpoint.ids)) == 1
        assert [message.path for message in endpoint.received] == ["/hook?key=path-secret"] * 4
        first = endpoint.received[0]
        assert Webhook(SECRET).verify(first.body, dict(first.headers))["type"] == "labels.published"
    assert office.states() == ["delivered"]


def test_no_secret_is_in_the_ledger_a_log_or_an_error(
    office: Office, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    office.declare(WAREHOUSE, CHAT, replace(CHAT, name="bad", secret_env="BAD_SECRET"))
    office.secrets["BAD_SECRET"] = "whsec_hunter2hunter2"
    office.happens("labels.published", 2)
    office.enqueue()
    office.send(MemorySender({CHAT.url: (0, 500)}))
    office.ledger.close()

    files = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("ledger.sqlite*")))
    assert b"BAD_SECRET" in files
    for secret in (SECRET[6:], "hunter2hunter2", "the secret of the warehouse"):
        assert secret.encode() not in files
        assert secret not in caplog.text


def test_a_ping_is_signed_sent_once_and_in_no_log(office: Office) -> None:
    now = datetime.now(UTC)
    sender = MemorySender({WAREHOUSE.url: (204, 500, 0)})
    results = [
        deliver.ping(office.project, "warehouse", sender=sender, secrets=office.secrets.get, now=now) for _ in range(3)
    ]

    assert [(result.accepted, result.status) for result in results] == [(True, 204), (False, 500), (False, None)]
    assert results[2].error == "the endpoint is away"
    document = Webhook(SECRET).verify(sender.sent[0].body, dict(sender.sent[0].headers))
    assert (document["type"], document["data"]) == ("ping", {"project": "digits", "endpoint": "warehouse"})
    assert office.ledger.deliveries("digits") == ()
    with pytest.raises(NotFound, match="'nobody'"):
        deliver.ping(office.project, "nobody", sender=sender, secrets=office.secrets.get, now=now)


@pytest.fixture
def lived(workshop: Workshop) -> Workshop:
    """A rejected attempt, its second one published."""
    with_hooks = replace(workshop.project, webhooks=Webhooks("1.0.0", (WAREHOUSE,)))
    workshop.project = with_hooks
    deliver.enqueue(with_hooks, ledger=workshop.ledger, now=workshop.clock.now())
    workshop.reject()
    workshop.staff(accuracy=1.0)
    workshop.complete(FIRST.replace(".a1", ".a2"))
    return workshop


def test_the_loop_as_it_runs_is_told_from_dispatch_to_publishing(lived: Workshop) -> None:
    deliver.enqueue(lived.project, ledger=lived.ledger, now=lived.clock.now())
    log = lived.ledger.deliveries("digits")
    told = [json.loads(one.body) for one in reversed(log)]

    assert [one["type"] for one in told] == [
        *("batch.dispatched", "batch.completed", "verdict.recorded"),
        *("batch.requeued", "batch.dispatched", "batch.completed", "verdict.recorded"),
        *("labels.committed", "labels.published"),
    ]
    assert told[2]["data"]["outcome"] == "FAIL"
    assert told[-1]["data"]["labels"] == 6
    for one in told:
        rule = TOLD[one["data"]["audit_event"]]
        assert set(one["data"]) - {"project", "subject", "audit_event", "audit_seq"} <= set(rule.fields)
        assert '"label"' not in json.dumps(one)
