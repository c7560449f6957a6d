"""docs/webhooks.md: its code runs, its events and payloads are those that are sent."""

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from runpy import run_path
from typing import TypeAlias

import pytest

from annotation_ops.domain.audit import append
from annotation_ops.domain.webhook_events import EVENTS, TOLD, public_event
from annotation_ops.services.signing import signed_headers

PAGE = (Path(__file__).parents[1] / "docs" / "webhooks.md").read_text()
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
PAYLOADS = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


Receive: TypeAlias = "Callable[[bytes, dict[str, str], str, set[str]], int]"


@pytest.fixture
def receive(tmp_path: Path) -> Receive:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    module = tmp_path / "receiver.py"
    module.write_text(code)
    found: Receive = run_path(str(module))["receive"]
    return found


def test_the_receiver_on_the_page_takes_each_message_once_and_refuses_forgeries(
    receive: Receive, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, body = set[str](), json.dumps(PAYLOADS[0])
    headers = dict(signed_headers("msg_1", at=datetime.now(UTC), body=body, secret=SECRET, variable="HOOK"))

    assert receive(body.encode(), headers, SECRET, seen) == 204
    assert receive(body.encode(), headers, SECRET, seen) == 204
    assert capsys.readouterr().out == "labels.published 2026-11-23-active-01.a2\n"
    assert receive(body.replace("60", "61").encode(), headers, SECRET, seen) == 401
    assert receive(body.encode(), headers | {"webhook-timestamp": "1"}, SECRET, seen) == 401
    assert receive(body.encode(), headers | {"webhook-signature": "v1,AAAA"}, SECRET, seen) == 401
    assert receive(b"\xff", {}, SECRET, seen) == 401
    assert capsys.readouterr().out == ""


def test_every_event_is_in_the_table_with_what_it_adds() -> None:
    rows = dict(re.findall(r"^\| `([a-z.]+)` \|(.*)$", PAGE, re.MULTILINE))

    assert tuple(rows) == EVENTS
    for told in TOLD.values():
        if told.type != "incident.closed":
            assert [name for name in told.fields if f"`{name}`" not in rows[told.type]] == []


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload["type"])
def test_a_payload_on_the_page_is_what_is_sent(payload: dict[str, dict[str, object]]) -> None:
    data = dict(payload["data"])
    event, subject, seq = (str(data.pop(name)) for name in ("audit_event", "subject", "audit_seq"))
    at = datetime.fromisoformat(str(payload["timestamp"]))
    entry = append(None, at=at, actor="system", event=event, subject=subject, details=data)

    told = public_event(entry, project="digits")

    assert told is not None
    expected = json.loads(json.dumps(payload).replace(f'"audit_seq": {seq}', '"audit_seq": 1'))
    assert json.loads(told.body) == expected
