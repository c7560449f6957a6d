"""The webhook inbox: a ring with the secret is stored, anything else is turned away, and what a webhook says is not read."""

import asyncio
import threading
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from annotation_ops.adapters.platforms.label_studio.webhooks import SECRET_HEADER, Inbox
from annotation_ops.bootstrap import Parts
from annotation_ops.domain.errors import TransientError
from annotation_ops.services.doorbell import rung_at
from annotation_ops.web.inbox import Ringer, inbox
from annotation_ops.web.limits import BodyLimits
from annotation_ops_tests.fakes.clock import ManualClock
from annotation_ops_tests.web.conftest import SECRETS
from annotation_ops_tests.web.loopback import serving

RING = "/hooks/label-studio/digits"


def test_a_ring_is_stored_before_it_is_answered(client: httpx.Client, parts: Parts, clock: ManualClock) -> None:
    assert rung_at("digits", ledger=parts.ledger) is None

    answer = client.post(RING, headers={SECRET_HEADER: SECRETS[0]}, json={"action": "ANNOTATION_CREATED"})

    assert (answer.status_code, answer.content) == (204, b"")
    assert rung_at("digits", ledger=parts.ledger) == clock.now()


def test_the_address_and_header_of_a_registered_webhook_are_those_of_the_inbox(client: httpx.Client) -> None:
    webhook = Inbox(str(client.base_url), SECRETS[0]).webhook("digits")

    assert client.post(webhook["url"], headers=webhook["headers"]).status_code == 204


def test_while_a_secret_is_changed_the_old_one_still_works(client: httpx.Client) -> None:
    assert [client.post(RING, headers={SECRET_HEADER: one}).status_code for one in SECRETS] == [204, 204]


@pytest.mark.parametrize(
    "headers", [{}, {SECRET_HEADER: ""}, {SECRET_HEADER: "new-secre"}, {"Authorization": "new-secret"}]
)
def test_a_ring_without_the_secret_stores_nothing(client: httpx.Client, parts: Parts, headers: dict[str, str]) -> None:
    assert client.post(RING, headers=headers).status_code == 401
    assert rung_at("digits", ledger=parts.ledger) is None


def test_an_unknown_project_is_told_only_to_those_who_know_the_secret(client: httpx.Client) -> None:
    assert client.post("/hooks/label-studio/other").status_code == 401
    assert client.post("/hooks/label-studio/other", headers={SECRET_HEADER: SECRETS[0]}).status_code == 404


@pytest.mark.parametrize("body", [b"", b"{", b"\x00\xff", b"[" * 100_000, b'{"action": "DROP TABLE"}'])
def test_whatever_the_body_says_the_ring_is_the_same(client: httpx.Client, parts: Parts, body: bytes) -> None:
    assert client.post(RING, headers={SECRET_HEADER: SECRETS[0]}, content=body).status_code == 204
    assert rung_at("digits", ledger=parts.ledger) is not None


def test_rings_in_any_order_leave_one_moment_and_no_audit_entry(
    client: httpx.Client, parts: Parts, clock: ManualClock
) -> None:
    before = parts.ledger.audit_entries()
    for _ in range(20):
        clock.advance(timedelta(seconds=1))
        client.post(RING, headers={SECRET_HEADER: SECRETS[0]})

    assert rung_at("digits", ledger=parts.ledger) == clock.now()
    assert parts.ledger.audit_entries() == before


def test_a_body_over_the_limit_is_refused_without_being_kept(client: httpx.Client, parts: Parts) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    answer = client.post(RING, headers={SECRET_HEADER: SECRETS[0]}, content=endless())

    assert answer.status_code == 413
    assert "1,048,576" in answer.json()["detail"]
    assert rung_at("digits", ledger=parts.ledger) is None


def test_a_body_that_does_not_arrive_in_time_is_given_up() -> None:
    sent: list[Message] = []

    async def never() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async def unreachable(*_: Any) -> None:
        raise AssertionError

    asyncio.run(BodyLimits(unreachable, seconds=0.05)({"type": "http", "method": "POST"}, never, send))

    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def test_rings_that_come_while_one_is_stored_share_the_next_write() -> None:
    writes: list[Collection[str]] = []
    first = threading.Event()

    def store(projects: Collection[str]) -> None:
        writes.append(set(projects))
        first.wait(5)

    async def scene() -> None:
        ringer = Ringer(store)
        early = asyncio.create_task(ringer.ring("a"))
        while not writes:
            await asyncio.sleep(0.001)
        late = [asyncio.create_task(ringer.ring(name)) for name in ("a", "b", "a", "b")]
        await asyncio.sleep(0.01)
        assert not any(one.done() for one in late)
        first.set()
        await asyncio.gather(early, *late)

    asyncio.run(scene())

    assert writes == [{"a"}, {"a", "b"}]


def test_a_ring_that_cannot_be_stored_says_so_and_the_next_one_is_stored() -> None:
    failing = [True]
    stored: list[Collection[str]] = []

    def store(projects: Collection[str]) -> None:
        if failing.pop() if failing else False:
            raise TransientError("the database is locked")
        stored.append(projects)

    service = FastAPI()
    service.include_router(inbox(["digits"], SECRETS, store))
    with serving(service) as client:
        answers = [client.post(RING, headers={SECRET_HEADER: SECRETS[0]}).status_code for _ in range(2)]

    assert answers == [503, 204]
    assert stored == [{"digits"}]
