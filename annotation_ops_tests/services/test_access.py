"""Access tokens: made once, ended at once, and asked for as soon as there are any."""

from datetime import timedelta

import pytest

from annotation_ops.domain.access import Permission, Role, may
from annotation_ops.domain.errors import Conflict, InvalidInput, NotAuthenticated, NotFound, NotPermitted
from annotation_ops.services.access import acting, actor_of, create_token, revoke_token
from annotation_ops_tests.services.workshop import Workshop

DAY = timedelta(days=1)


def make(shop: Workshop, name: str, role: Role, *, valid_for: timedelta = DAY) -> str:
    return create_token(name, role, valid_for=valid_for, actor="setup", ledger=shop.ledger, now=shop.clock.now())


def test_a_token_names_its_holder_and_role_until_it_ends(workshop: Workshop) -> None:
    token = make(workshop, "ada", Role.ADMIN)

    actor = actor_of(token, Permission.READ_AUDIT, ledger=workshop.ledger, now=workshop.clock.now())
    assert (actor.name, actor.role) == ("ada", Role.ADMIN)
    workshop.clock.advance(DAY)
    with pytest.raises(NotAuthenticated):
        actor_of(token, Permission.READ_AUDIT, ledger=workshop.ledger, now=workshop.clock.now())


def test_a_role_without_the_permission_is_refused_by_name(workshop: Workshop) -> None:
    make(workshop, "ada", Role.ADMIN)
    token = make(workshop, "vi", Role.VIEWER)

    with pytest.raises(NotPermitted, match="vi acts as viewer, which does not grant read_audit"):
        actor_of(token, Permission.READ_AUDIT, ledger=workshop.ledger, now=workshop.clock.now())


def test_the_first_token_is_an_administrators(workshop: Workshop) -> None:
    with pytest.raises(InvalidInput, match="expected the first one with --role admin"):
        make(workshop, "lea", Role.LEAD)


def test_a_name_holds_one_live_token(workshop: Workshop) -> None:
    make(workshop, "ada", Role.ADMIN)
    with pytest.raises(Conflict, match="found a live token of 'ada'"):
        make(workshop, "ada", Role.ADMIN)
    make(workshop, "eve", Role.ADMIN)
    revoke_token("ada", actor="setup", ledger=workshop.ledger, now=workshop.clock.now())
    assert make(workshop, "ada", Role.ADMIN)
    with pytest.raises(NotFound):
        revoke_token("nobody", actor="setup", ledger=workshop.ledger, now=workshop.clock.now())


@pytest.mark.parametrize("name", ["", " ", "a\n", "x" * 101])
def test_an_odd_name_is_refused(workshop: Workshop, name: str) -> None:
    with pytest.raises(InvalidInput, match="printable"):
        make(workshop, name, Role.ADMIN)


@pytest.mark.parametrize("days", [0, -1, 367])
def test_a_token_ends_within_a_year(workshop: Workshop, days: int) -> None:
    with pytest.raises(InvalidInput, match="expected 1 to 366"):
        make(workshop, "ada", Role.ADMIN, valid_for=timedelta(days=days))


def test_a_login_is_enough_until_the_first_token_is_issued(workshop: Workshop) -> None:
    def who(token: str | None) -> str:
        return acting(token, "me", Permission.DECIDE_BATCH, ledger=workshop.ledger, now=workshop.clock.now())

    assert who(None) == "me"
    token = make(workshop, "ada", Role.ADMIN)
    assert who(token) == "ada"
    with pytest.raises(NotAuthenticated, match="ANNOTATION_OPS_TOKEN"):
        who(None)
    workshop.clock.advance(DAY)
    with pytest.raises(NotAuthenticated):
        who(None)


def test_the_audit_trail_tells_of_tokens_and_holds_none(workshop: Workshop) -> None:
    token = make(workshop, "ada", Role.ADMIN)
    revoke_token("ada", actor="setup", ledger=workshop.ledger, now=workshop.clock.now())

    assert workshop.events()[-2:] == ["token.created", "token.revoked"]
    assert all(token not in entry.body for entry in workshop.ledger.audit_entries())


def test_what_no_line_of_the_table_grants_is_denied() -> None:
    assert not may(Role.ADMIN, "made up")  # type: ignore[arg-type]
