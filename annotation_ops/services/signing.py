"""Signatures by the Standard Webhooks specification: HMAC-SHA256 over `id.timestamp.body`."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime

from standardwebhooks import Webhook

from annotation_ops.domain.errors import InvalidInput

PREFIX = "whsec_"
KEY_BYTES = range(24, 65)
"""What the specification allows: 192 to 512 bits."""

MAX_SECRETS = 2
"""The new and the old one while they are exchanged."""


def signed_headers(message_id: str, *, at: datetime, body: str, secret: str | None, variable: str) -> Mapping[str, str]:
    """The three headers; `secret` is what the environment variable holds: one secret, or two with a blank between, each of
    which signs. Raises InvalidInput naming the variable, never what is in it."""
    moment = at.astimezone(UTC)
    signatures = [
        signer.sign(message_id, moment, body) for signer in map(Webhook, _usable_secrets(secret, variable=variable))
    ]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _usable_secrets(secret: str | None, *, variable: str) -> list[str]:
    secrets = (secret or "").split()
    if not secrets:
        raise InvalidInput(f"{variable}: found no secret, expected {_EXPECTED}. Set it where runs are executed.")
    if len(secrets) > MAX_SECRETS:
        raise InvalidInput(f"{variable}: found {len(secrets)} secrets, expected one, or two while they are exchanged.")
    if not all(map(_is_usable, secrets)):
        raise InvalidInput(f"{variable}: found something that is no secret, expected {_EXPECTED}.")
    return secrets


_EXPECTED = f"{PREFIX} and the base64 text of {KEY_BYTES.start} to {KEY_BYTES.stop - 1} random bytes"


def _is_usable(secret: str) -> bool:
    text = secret.removeprefix(PREFIX).rstrip("=")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return secret.startswith(PREFIX) and len(key) in KEY_BYTES
