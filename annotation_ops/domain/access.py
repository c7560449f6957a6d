"""Who may do what: roles, permissions, and the one table between them. What the table does not grant is denied."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    """What a token is for."""

    VIEWER = "viewer"
    LEAD = "lead"
    """Runs annotation: decides about batches."""
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    """Keeps the system running."""
    AUDITOR = "auditor"
    ADMIN = "admin"


class Permission(StrEnum):
    """What an action needs."""

    READ_BATCHES = "read_batches"
    """States, verdicts, agreement and deadlines."""
    READ_PEOPLE = "read_people"
    """Skill and standing of single annotators."""
    READ_LINEAGE = "read_lineage"
    READ_AUDIT = "read_audit"
    DECIDE_BATCH = "decide_batch"
    """Accept, requeue, hold and release, with a reason."""
    MANAGE_TOKENS = "manage_tokens"


GRANTS: Mapping[Permission, frozenset[Role]] = {
    Permission.READ_BATCHES: frozenset(Role),
    Permission.READ_PEOPLE: frozenset({Role.LEAD, Role.OPERATOR, Role.AUDITOR, Role.ADMIN}),
    Permission.READ_LINEAGE: frozenset(set(Role) - {Role.VIEWER}),
    Permission.READ_AUDIT: frozenset({Role.AUDITOR, Role.ADMIN}),
    Permission.DECIDE_BATCH: frozenset({Role.LEAD, Role.ADMIN}),
    Permission.MANAGE_TOKENS: frozenset({Role.ADMIN}),
}


def may(role: Role, permission: Permission) -> bool:
    """Whether the table grants it."""
    return role in GRANTS.get(permission, frozenset())


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who acts, with the role of the token in hand."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token as the ledger knows it: by the SHA-256 of its 256 random bits, which cannot be turned back."""

    token_hash: str
    """64 hex characters."""
    name: str
    """Who holds it; the actor in the audit trail."""
    role: Role
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Neither expired nor revoked."""
        return self.revoked_at is None and now < self.expires_at
