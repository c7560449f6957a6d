"""`webhooks.yaml`: what is declared, and every fault of it at its place."""

import pytest

from annotation_ops.domain.project.webhooks import Endpoint, parse_webhooks
from annotation_ops.domain.webhook_events import EVENTS
from annotation_ops_tests.domain.project.examples import parse, texts

SOUND = """
version: 1.0.0
endpoints:
  - name: warehouse
    url: https://hooks.example.com/annotation
    events: [labels.published, incident.opened]
    secret_env: WAREHOUSE_HOOK_SECRET
  - name: chat
    url: http://chat.internal:8080/in?room=labels
    secret_env: CHAT_HOOK_SECRET
"""


def faults(old: str, new: str) -> list[str]:
    assert old in SOUND
    parsed = parse_webhooks(SOUND.replace(old, new, 1))
    assert (parsed.record is None) == bool(parsed.faults)
    return [str(fault) for fault in parsed.faults]


def test_endpoints_are_read_and_without_a_list_are_told_everything() -> None:
    record = parse_webhooks(SOUND).record

    assert record is not None
    assert record.endpoints == (
        Endpoint(
            "warehouse",
            "https://hooks.example.com/annotation",
            ("labels.published", "incident.opened"),
            "WAREHOUSE_HOOK_SECRET",
        ),
        Endpoint("chat", "http://chat.internal:8080/in?room=labels", EVENTS, "CHAT_HOOK_SECRET"),
    )
    assert record.named("chat") is record.endpoints[1]
    assert record.named("nobody") is None


def test_the_document_is_optional_and_no_batch_or_verdict_rests_on_it() -> None:
    declared, silent = parse(texts("digits") | {"webhooks": SOUND}), parse(texts("digits"))

    assert declared.webhooks is not None
    assert silent.webhooks is None
    assert declared.documents == silent.documents


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "labels.published, ",
            "labels.publish, ",
            "endpoints[0].events[0]: found 'labels.publish', expected batch.disp",
        ),
        ("labels.published, ", "incident.opened, ", "endpoints[0].events[1]: found 'incident.opened', expected each"),
        ("[labels.published, incident.opened]", "[]", "endpoints[0].events: found a list of 0, expected at least one"),
        ("[labels.published, incident.opened]", "all", "endpoints[0].events: found 'all', expected a list"),
        ("name: chat", "name: warehouse", "endpoints[1].name: found 'warehouse', expected each endpoint once"),
        ("name: chat", "name: my chat", "endpoints[1].name: found 'my chat', expected 1 to 128"),
        ("https://hooks", "ftp://hooks", "endpoints[0].url: found the scheme 'ftp', expected https://host"),
        ("https://hooks", "https://me:pass@hooks", "endpoints[0].url: found a user name in it, expected https://"),
        ("hooks.example.com", "0x7f.1", "endpoints[0].url: found the host '0x7f.1', expected a name, or four"),
        (":8080", ":80800", "endpoints[1].url: found the port 80800, expected 1 to 65535"),
        ("    url: https://hooks.example.com/annotation\n", "", "endpoints[0].url: found nothing, expected https://"),
        ("    secret_env: CHAT_HOOK_SECRET\n", "", "endpoints[1].secret_env: found nothing, expected the name"),
        ("CHAT_HOOK_SECRET", "chat-secret", "endpoints[1].secret_env: found something that is no such name"),
        ("secret_env: CHAT", "secret: CHAT", "endpoints[1].secret: found an unknown field"),
        ("version: 1.0.0", "version: 1", "version: found the number 1, expected a version"),
    ],
)
def test_a_fault_names_its_place(old: str, new: str, told: str) -> None:
    assert any(f"webhooks.yaml: {told}" in fault for fault in faults(old, new))


def test_every_fault_is_found_at_once() -> None:
    several = SOUND.replace("https://hooks", "ftp://hooks").replace("labels.published", "x").replace("CHAT_", "chat ")

    assert len(parse_webhooks(several).faults) == 3


@pytest.mark.parametrize("secret", ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "'whsec_a b'", "MfKQ9r8+/="])
def test_a_secret_in_the_file_is_a_fault_that_does_not_repeat_it(secret: str) -> None:
    (fault,) = faults("CHAT_HOOK_SECRET", secret)

    assert "endpoints[1].secret_env" in fault
    assert secret.strip("'")[6:] not in fault


@pytest.mark.parametrize(
    "text", ["version: 1.0.0\n", "version: 1.0.0\nendpoints: []\n", "version: 1.0.0\nendpoints: {}\n"]
)
def test_a_file_without_an_endpoint_is_a_fault(text: str) -> None:
    parsed = parse_webhooks(text)

    assert parsed.record is None
    assert [fault.path for fault in parsed.faults] == ["endpoints"]


def test_another_address_or_another_secret_s_name_is_another_endpoint() -> None:
    one = Endpoint("a", "https://a.example/", EVENTS, "A")

    assert one.key == Endpoint("a", "https://a.example/", ("labels.published",), "A").key
    assert one.key != Endpoint("a", "https://b.example/", EVENTS, "A").key
    assert one.key != Endpoint("a", "https://a.example/", EVENTS, "B").key
