"""`annotation-ops batch`: a person decides about a batch attempt."""

import getpass
import json
from collections.abc import Callable
from functools import partial

import click

from annotation_ops.cli.deployment import acting_person, deployment, named_project
from annotation_ops.domain.access import Permission
from annotation_ops.domain.batches import parse_attempt_key
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import Attempt
from annotation_ops.services.govern import hold, override, release


@click.group()
def batch() -> None:
    """Decide about a batch attempt: override its verdict, hold or release it. The reason goes into the audit trail.

    Example: annotation-ops batch accept 2026-11-23-active-01.a1 --project digits --reason "checked 20 tasks by hand"
    """


Decision = Callable[..., Attempt]


def _decide(decision: Decision, key: str, *, project: str, reason: str, actor: str, as_json: bool) -> None:
    try:
        parse_attempt_key(key)
    except ValueError as error:
        raise InvalidInput(f"BATCH: {error}; `annotation-ops status` lists them") from error
    with deployment() as parts:
        declared = named_project(parts, project)
        who = acting_person(parts, Permission.DECIDE_BATCH, actor)
        attempt = decision(declared, key, actor=who, reason=reason, ledger=parts.ledger, now=parts.clock.now())
    answer = {"batch": key, "state": attempt.state.value, "by": who, "reason": reason}
    click.echo(json.dumps(answer) if as_json else f"{key} is {attempt.state.value} now, by {who}: {reason}")


_KEY = click.argument("key", metavar="BATCH")
_PROJECT = click.option("--project", required=True, help="Annotation project.")
_REASON = click.option("--reason", required=True, help="One sentence for the auditor.")
_ACTOR = click.option(
    "--actor", default=getpass.getuser, show_default="the login name", help="Who decides, where no tokens are issued."
)
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
    _decide(partial(override, outcome="PASS"), key, project=project, reason=reason, actor=actor, as_json=as_json)


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
    _decide(partial(override, outcome="FAIL"), key, project=project, reason=reason, actor=actor, as_json=as_json)


@batch.command("hold")
@_KEY
@_PROJECT
@_REASON
@_ACTOR
@_JSON
def hold_attempt(key: str, project: str, reason: str, actor: str, as_json: bool) -> None:
    """Stop an attempt where it is; people keep their tasks, and nothing is sent, judged or published.

    Example: annotation-ops batch hold 2026-11-23-active-01.a1 --project digits --reason "the camera was out of focus"
    """
    _decide(hold, key, project=project, reason=reason, actor=actor, as_json=as_json)


@batch.command("release")
@_KEY
@_PROJECT
@_REASON
@_ACTOR
@_JSON
def release_attempt(key: str, project: str, reason: str, actor: str, as_json: bool) -> None:
    """Let a held attempt go on from where it was.

    Example: annotation-ops batch release 2026-11-23-active-01.a1 --project digits --reason "the pictures are fine"
    """
    _decide(release, key, project=project, reason=reason, actor=actor, as_json=as_json)
