"""Access: tokens with a role and an end, of which only a hash is kept."""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256

from annotation_ops.domain.access import AccessToken, Actor, Permission, Role, may
from annotation_ops.domain.errors import Conflict, InvalidInput, NotAuthenticated, NotFound, NotPermitted
from annotation_ops.ports.ledger import Ledger

PREFIX = "aot_"
"""How a token begins, so that scanners for leaked secrets know it."""

LONGEST = timedelta(days=366)


def token_hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def create_token(name: str, role: Role, *, valid_for: timedelta, actor: str, ledger: Ledger, now: datetime) -> str:
    """A new token, shown this once. Raises Conflict while the name holds another live one, InvalidInput for an odd name or time,
    and for a first token that is not an administrator's: nobody could make the second."""
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise InvalidInput(
            f"found the name {name!r}, expected 1 to 100 printable characters that say who holds the token"
        )
    if not timedelta(0) < valid_for <= LONGEST:
        raise InvalidInput(f"found a token for {valid_for.days} days, expected 1 to {LONGEST.days}")
    known = ledger.access_tokens()
    if any(one.name == name and one.is_live(now) for one in known):
        raise Conflict(f"found a live token of {name!r}, expected none; revoke it first, or take another name")
    if role is not Role.ADMIN and not any(one.role is Role.ADMIN and one.is_live(now) for one in known):
        raise InvalidInput(
            f"found a token for a {role} and no administrator's, expected the first one with --role admin"
        )
    token = PREFIX + secrets.token_urlsafe(32)
    with ledger.transaction(actor=actor, at=now) as tx:
        tx.add_access_token(AccessToken(token_hash(token), name, role, now, now + valid_for))
        tx.audit("token.created", name, {"role": role.value, "expires_at": (now + valid_for).isoformat()})
    return token


def revoke_token(name: str, *, actor: str, ledger: Ledger, now: datetime) -> None:
    """Ends the live token of a name at once. Raises NotFound when there is none."""
    live = [one for one in ledger.access_tokens() if one.name == name and one.is_live(now)]
    if not live:
        raise NotFound(f"found no live token of {name!r}; `annotation-ops token list` shows them")
    with ledger.transaction(actor=actor, at=now) as tx:
        for one in live:
            tx.revoke_access_token(one.token_hash, at=now)
        tx.audit("token.revoked", name, {})


def actor_of(token: str, permission: Permission, *, ledger: Ledger, now: datetime) -> Actor:
    """Who acts with a token. Raises NotAuthenticated for one that is unknown, expired or revoked, without saying which;
    NotPermitted when its role does not grant the permission."""
    found = ledger.access_token(token_hash(token)) if token.startswith(PREFIX) else None
    if found is None or not found.is_live(now):
        raise NotAuthenticated(
            "found no valid access token; ask an administrator for one (`annotation-ops token create`)"
        )
    if not may(found.role, permission):
        raise NotPermitted(f"{found.name} acts as {found.role}, which does not grant {permission}")
    return Actor(found.name, found.role)


def acting(token: str | None, login: str, permission: Permission, *, ledger: Ledger, now: datetime) -> str:
    """The name of whoever acts at a terminal that can open the ledger.

    Once a token was issued a token is asked for; until then the login name is enough, for nobody could give a token yet.
    """
    if token is None and not ledger.access_tokens():
        return login
    if token is None:
        raise NotAuthenticated(
            f"found no access token, expected one that grants {permission} in ANNOTATION_OPS_TOKEN; this deployment has issued tokens"
        )
    return actor_of(token, permission, ledger=ledger, now=now).name
