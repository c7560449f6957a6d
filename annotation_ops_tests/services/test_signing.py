"""Signatures, checked by the reference library and by hand."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from annotation_ops.domain.errors import InvalidInput
from annotation_ops.services.signing import signed_headers

NEW = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD = "whsec_" + base64.b64encode(bytes(range(100, 124))).decode()
BODY = '{"type":"ping","data":{}}'


def headers(secret: str | None, *, at: datetime | None = None) -> dict[str, str]:
    return dict(signed_headers("msg_1", at=at or datetime.now(UTC), body=BODY, secret=secret, variable="HOOK"))


def test_the_reference_library_verifies_what_is_signed() -> None:
    assert Webhook(NEW).verify(BODY, headers(NEW)) == {"type": "ping", "data": {}}


def test_it_is_the_hmac_of_id_time_and_body_and_a_known_one() -> None:
    moment = datetime(2026, 11, 23, 12, 0, 0, 999_999, tzinfo=UTC)
    seconds = int(moment.timestamp())
    mac = hmac.new(bytes(range(32)), f"msg_1.{seconds}.{BODY}".encode(), hashlib.sha256)

    assert headers(NEW, at=moment) == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1795435200",
        "webhook-signature": f"v1,{base64.b64encode(mac.digest()).decode()}",
    }


def test_another_time_zone_is_the_same_moment() -> None:
    moment = datetime(2026, 11, 23, 12, tzinfo=UTC)

    assert headers(NEW, at=moment.astimezone(timezone(timedelta(hours=5, minutes=30)))) == headers(NEW, at=moment)


def test_while_secrets_are_exchanged_both_sign() -> None:
    both = headers(f"{NEW} {OLD}")

    assert len(both["webhook-signature"].split(" ")) == 2
    for secret in (NEW, OLD):
        assert Webhook(secret).verify(BODY, both)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + base64.b64encode(b"x" * 32).decode()).verify(BODY, both)


@pytest.mark.parametrize("size", [24, 25, 26, 64])
def test_secrets_of_every_allowed_size_sign_with_or_without_padding(size: int) -> None:
    secret = "whsec_" + base64.b64encode(b"s" * size).decode()

    assert headers(secret)["webhook-id"] == "msg_1"
    assert Webhook(secret).verify(BODY, headers(secret.rstrip("=")))


@pytest.mark.parametrize(
    "secret",
    [
        *(None, "", "  ", "whsec_", "whsec_!!!!", NEW[6:], f"{NEW} {OLD} {NEW}", f"{NEW},{OLD}"),
        *("whsec_" + base64.b64encode(b"s" * 23).decode(), "whsec_" + base64.b64encode(b"s" * 65).decode(), "whsec_é"),
    ],
)
def test_what_is_no_secret_is_refused_by_the_variable_s_name_and_not_repeated(secret: str | None) -> None:
    with pytest.raises(InvalidInput, match="HOOK: found") as refused:
        headers(secret)

    for part in (secret or "").replace(",", " ").split():
        assert len(part) < 8 or part[6:] not in str(refused.value)
