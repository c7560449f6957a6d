"""`annotation-ops`: everything a person does outside the Dagster UI.

Exit codes: 0 done, 1 a negative answer (chain broken, difference found), 2 wrong use or bad input.
"""

import sys
from importlib import import_module

import click

from annotation_ops import __version__
from annotation_ops.domain.errors import AnnotationOpsError

COMMANDS = {
    "agreement": "annotation_ops.cli.agreement:agreement",
    "annotators": "annotation_ops.cli.annotators:annotators",
    "audit": "annotation_ops.cli.audit:audit",
    "batch": "annotation_ops.cli.batch:batch",
    "consensus": "annotation_ops.cli.consensus:consensus",
    "demo": "annotation_ops.cli.demo:demo",
    "init": "annotation_ops.cli.init:init",
    "judge": "annotation_ops.cli.judge:judge",
    "label-studio": "annotation_ops.cli.label_studio:label_studio",
    "lineage": "annotation_ops.cli.lineage:lineage",
    "plan": "annotation_ops.cli.plan:plan",
    "rank": "annotation_ops.cli.rank:rank",
    "report": "annotation_ops.cli.report:report",
    "serve": "annotation_ops.cli.serve:serve",
    "status": "annotation_ops.cli.status:status",
    "token": "annotation_ops.cli.token:token",
    "validate": "annotation_ops.cli.validate:validate",
    "webhooks": "annotation_ops.cli.webhooks:webhooks",
    "what-if": "annotation_ops.cli.what_if:what_if",
}
"""Name -> where the command lives; a command is imported when it is used, so `--help` answers at once."""


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name]}: found {type(command).__name__}, expected a click command")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="annotation-ops")
def cli() -> None:
    """The control plane for data annotation: declare a project, check it, run the loop, read its verdicts."""


def main() -> None:
    """Runs the CLI; errors raised on purpose, and places that cannot be used, become one message on stderr and exit code 2."""
    try:
        cli(prog_name="annotation-ops")
    except AnnotationOpsError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        found = (error.strerror or type(error).__name__).lower()
        click.echo(
            f"error: {error.filename}: found {found}, expected a place that can be used. Name another.", err=True
        )
        sys.exit(2)


if __name__ == "__main__":
    main()
