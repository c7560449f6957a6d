"""`annotation-ops token`: who may use the REST API and decide at the terminal."""

import getpass
import json
from datetime import timedelta

import click

from annotation_ops.cli.deployment import acting_person, deployment
from annotation_ops.domain.access import Permission, Role
from annotation_ops.services.access import create_token, revoke_token

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group()
def token() -> None:
    """Access tokens: a name, a role and an end. Only a hash of a token is stored.

    Example: annotation-ops token create ada --role admin --days 90
    """


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="What the token is for.")
@click.option("--days", type=click.IntRange(1, 366), default=90, show_default=True, help="How long it is valid.")
@_JSON
def create(name: str, role: str, days: int, as_json: bool) -> None:
    """Make a token for NAME and show it, this once. The first one has to be an administrator's.

    Example: annotation-ops token create ada --role admin --days 90
    """
    with deployment() as parts:
        actor = acting_person(parts, Permission.MANAGE_TOKENS, getpass.getuser())
        made = create_token(
            name,
            Role(role),
            valid_for=timedelta(days=days),
            actor=f"person:{actor}",
            ledger=parts.ledger,
            now=parts.clock.now(),
        )
    if as_json:
        click.echo(json.dumps({"name": name, "role": role, "days": days, "token": made}))
        return
    click.echo(made)
    click.echo(f"valid for {days} days; it is shown only now", err=True)


@token.command("list")
@_JSON
def list_tokens(as_json: bool) -> None:
    """Every token by name, role and end; never the token itself.

    Example: annotation-ops token list
    """
    with deployment() as parts:
        now = parts.clock.now()
        rows = [
            {
                "name": one.name,
                "role": one.role.value,
                "expires_at": one.expires_at.isoformat(),
                "live": one.is_live(now),
            }
            for one in parts.ledger.access_tokens()
        ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        live = "live" if row["live"] else "ended"
        click.echo(f"{row['name']:<24} {row['role']:<10} {live:<6} until {row['expires_at']}")


@token.command()
@click.argument("name")
@_JSON
def revoke(name: str, as_json: bool) -> None:
    """End the token of NAME at once.

    Example: annotation-ops token revoke ada
    """
    with deployment() as parts:
        actor = acting_person(parts, Permission.MANAGE_TOKENS, getpass.getuser())
        revoke_token(name, actor=f"person:{actor}", ledger=parts.ledger, now=parts.clock.now())
    click.echo(json.dumps({"revoked": name}) if as_json else f"the token of {name} is revoked")
