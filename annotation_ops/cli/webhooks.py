"""`annotation-ops webhooks`: the delivery log of outbound webhooks, and what a person does about it."""

import getpass
import json
import sys
import uuid
from typing import Any

import click

from annotation_ops.bootstrap import Parts
from annotation_ops.cli.deployment import deployment, named_project
from annotation_ops.domain.deliveries import Delivery, DeliveryState
from annotation_ops.services import deliver

_ACTOR = click.option("--actor", default=getpass.getuser, show_default="the login name", help="Who decides.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")

MOST = 10_000
"""Deliveries shown by one command."""


@click.group()
def webhooks() -> None:
    """What other systems were told, and sending it again.

    Example: annotation-ops webhooks list digits --failed
    """


@webhooks.command("list")
@click.argument("project")
@click.option("--failed", is_flag=True, help="Only what was not delivered and is not tried again by itself.")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, show_default=True, help="Newest first.")
@_JSON
def list_command(project: str, failed: bool, limit: int, as_json: bool) -> None:
    """The newest deliveries: time, endpoint, event, state, tries, last status.

    Example: annotation-ops webhooks list digits --failed
    """
    with deployment() as parts:
        declared = named_project(parts, project)
        states = {DeliveryState.FAILED, DeliveryState.DISABLED} if failed else None
        found = parts.ledger.deliveries(declared.name, states=states, limit=limit)
    if as_json:
        click.echo(json.dumps([_document(delivery) for delivery in found]))
        return
    if not found:
        click.echo(f"{project}: no {'failed ' if failed else ''}deliveries")
    for delivery in found:
        _print(delivery)


def _document(delivery: Delivery) -> dict[str, Any]:
    return {
        "message_id": delivery.message_id,
        "at": delivery.created_at.isoformat(),
        "endpoint": delivery.endpoint,
        "event": delivery.event,
        "audit_seq": delivery.audit_seq,
        "state": delivery.state.value,
        "tries": delivery.tries,
        "next_try_at": delivery.next_try_at.isoformat() if delivery.next_try_at else None,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
        "delivered_at": delivery.delivered_at.isoformat() if delivery.delivered_at else None,
    }


def _print(delivery: Delivery) -> None:
    click.echo(
        f"{delivery.created_at:%Y-%m-%d %H:%M:%S}  {delivery.endpoint:<16} {delivery.event:<18} {delivery.state:<9} "
        f"{delivery.tries:>2} tries  {delivery.last_status or '-':<3}  {delivery.message_id}"
    )
    if delivery.last_error:
        click.echo(f"    {delivery.last_error}")


@webhooks.command("redeliver")
@click.argument("message_id", required=False)
@click.option("--failed", "project", metavar="PROJECT", help="Everything of the project that failed or was disabled.")
@_ACTOR
@_JSON
def redeliver_command(message_id: str | None, project: str | None, actor: str, as_json: bool) -> None:
    """Send messages again, with the same ids, at once; what is not accepted is tried again by the usual schedule.

    Exit code 0: all of them are delivered; 1: some are not.

    \b
    Example:
      annotation-ops webhooks redeliver msg_0f6a...
      annotation-ops webhooks redeliver --failed digits
    """
    if (message_id is None) == (project is None):
        raise click.UsageError("found neither or both of MESSAGE_ID and --failed PROJECT, expected one of the two")
    with deployment() as parts:
        chosen = _chosen(parts, message_id, project)
        after = _sent_again(parts, chosen, actor=actor)
    if as_json:
        click.echo(json.dumps([_document(delivery) for delivery in after]))
    else:
        for delivery in after:
            _print(delivery)
        done = sum(delivery.state is DeliveryState.DELIVERED for delivery in after)
        click.echo(f"{done} of {len(after)} delivered")
    sys.exit(0 if all(delivery.state is DeliveryState.DELIVERED for delivery in after) else 1)


def _chosen(parts: Parts, message_id: str | None, project: str | None) -> tuple[Delivery, ...]:
    if message_id is not None:
        return (parts.ledger.delivery(message_id),)
    return deliver.undelivered(named_project(parts, project or ""), ledger=parts.ledger)


def _sent_again(parts: Parts, chosen: tuple[Delivery, ...], *, actor: str) -> tuple[Delivery, ...]:
    if not chosen:
        return ()
    declared = named_project(parts, chosen[0].project)
    deliver.redeliver(declared, chosen, actor=actor, ledger=parts.ledger, now=parts.clock.now())
    deliver.deliver_due(
        declared,
        ledger=parts.ledger,
        sender=parts.webhooks,
        secrets=parts.secret,
        clock=parts.clock,
        owner=f"command-{uuid.uuid4()}",
    )
    return tuple(parts.ledger.delivery(delivery.message_id) for delivery in chosen)


@webhooks.command("enable")
@click.argument("project")
@click.argument("endpoint")
@_ACTOR
@_JSON
def enable_command(project: str, endpoint: str, actor: str, as_json: bool) -> None:
    """Tell an endpoint again that answered 410 Gone; what it missed is sent by `redeliver`.

    Example: annotation-ops webhooks enable digits warehouse
    """
    with deployment() as parts:
        changed = deliver.enable(
            named_project(parts, project), endpoint, actor=actor, ledger=parts.ledger, now=parts.clock.now()
        )
    if as_json:
        click.echo(json.dumps({"project": project, "endpoint": endpoint, "changed": changed}))
    else:
        click.echo(f"{endpoint} is told again from now on" if changed else f"{endpoint} was not disabled")


@webhooks.command("test")
@click.argument("project")
@click.argument("endpoint")
@_JSON
def test_command(project: str, endpoint: str, as_json: bool) -> None:
    """Send one signed `ping` to an endpoint, now.

    Exit code 0: it was accepted (2xx); 1: it was not.

    Example: annotation-ops webhooks test digits warehouse
    """
    with deployment() as parts:
        result = deliver.ping(
            named_project(parts, project),
            endpoint,
            sender=parts.webhooks,
            secrets=parts.secret,
            now=parts.clock.now(),
        )
    if as_json:
        answer = {"message_id": result.message_id, "status": result.status, "error": result.error}
        click.echo(json.dumps(answer | {"accepted": result.accepted, "seconds": result.seconds}))
    elif result.status is not None:
        word = "accepted" if result.accepted else "not accepted"
        click.echo(f"{endpoint}: {word}, {result.status} in {result.seconds or 0.0:.2f} s, {result.message_id}")
    else:
        click.echo(f"{endpoint}: not accepted: {result.error}")
    sys.exit(0 if result.accepted else 1)
