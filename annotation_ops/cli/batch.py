"""`annotation-ops batch`: a person decides about a batch attempt."""

import getpass
import json

import click

from annotation_ops.cli.deployment import deployment, named_project
from annotation_ops.domain.batches import parse_attempt_key
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.services.govern import override


@click.group()
def batch() -> None:
    """Override the verdict on a batch attempt; the reason goes into the audit trail.

    Example: annotation-ops batch accept 2026-11-23-active-01.a1 --project digits --reason "checked 20 tasks by hand"
    """


def _decide(key: str, *, project: str, reason: str, actor: str, outcome: str, as_json: bool) -> None:
    try:
        parse_attempt_key(key)
    except ValueError as error:
        raise InvalidInput(f"BATCH: {error}; `annotation-ops status` lists them") from error
    with deployment() as parts:
        declared = named_project(parts, project)
        attempt = override(
            declared, key, outcome=outcome, actor=actor, reason=reason, ledger=parts.ledger, now=parts.clock.now()
        )
    answer = {"batch": key, "state": attempt.state.value, "by": actor, "reason": reason}
    click.echo(json.dumps(answer) if as_json else f"{key} is {attempt.state.value} now, by {actor}: {reason}")


_KEY = click.argument("key", metavar="BATCH")
_PROJECT = click.option("--project", required=True, help="Annotation project.")
_REASON = click.option("--reason", required=True, help="One sentence for the auditor.")
_ACTOR = click.option("--actor", default=getpass.getuser, show_default="the login name", help="Who decides.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@batch.command()
@_KEY
@_PROJECT
@_REASON
@_ACTOR
@_JSON
def accept(key: str, project: str, reason: str, actor: str, as_json: bool) -> None:
    """Accept an undecided or rejected attempt; the conductor publishes it.

    Example: annotation-ops batch accept 2026-11-23-active-01.a1 --project digits --reason "checked 20 tasks by hand"
    """
    _decide(key, project=project, reason=reason, actor=actor, outcome="PASS", as_json=as_json)


@batch.command()
@_KEY
@_PROJECT
@_REASON
@_ACTOR
@_JSON
def requeue(key: str, project: str, reason: str, actor: str, as_json: bool) -> None:
    """Send the whole batch back to other annotators as the next attempt.

    Example: annotation-ops batch requeue 2026-11-23-active-01.a1 --project digits --reason "wrong guideline was shown"
    """
    _decide(key, project=project, reason=reason, actor=actor, outcome="FAIL", as_json=as_json)
