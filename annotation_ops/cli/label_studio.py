"""`annotation-ops label-studio`: a Label Studio server on this machine, for the demo and to try things out."""

import json
import os

import click

from annotation_ops.adapters.platforms.label_studio.connection import load_connection
from annotation_ops.adapters.project_folder import load_project
from annotation_ops.bootstrap import local_label_studio, served_folder
from annotation_ops.settings import Settings


@click.group(name="label-studio")
def label_studio() -> None:
    """Starts and stops a Label Studio server of your own; it listens on this machine only."""


@label_studio.command()
@click.argument("project")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Default: any free port.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def up(project: str, port: int, as_json: bool) -> None:
    """Installs Label Studio in its own environment (the first time: a minute or two), starts it, and signs up the PROJECT's people.

    Sign-up is closed: accounts are made for the addresses in the project's label_studio.yaml, with passwords in a file that
    only you can read. Runs of this home find the server by themselves.

    Example: annotation-ops label-studio up digits
    """
    settings = Settings.from_environment(os.environ)
    folder = settings.projects / project
    declared, connection = load_project(folder), load_connection(folder / "label_studio.yaml")
    server = local_label_studio(settings)
    if server.running() is None:
        click.echo("starting Label Studio", err=True)
    running = server.start(document_root=served_folder(settings), port=port)
    people = {one.annotator_id: connection.sign_in(one.annotator_id) for one in declared.workforce.annotators}
    server.accounts(people.values())
    if as_json:
        click.echo(json.dumps({"url": running.url, "pid": running.pid, "admin": running.admin.email, "people": people}))
        return
    click.echo(f"Label Studio runs at {running.url}, for this machine only.")
    click.echo(f"  administrator  {running.admin.email}, password in {server.home / 'admin.json'}")
    click.echo(f"  annotators     {len(people)} accounts, passwords in {server.home / 'accounts.json'}")
    click.echo(f"  log            {server.log}")
    if declared.workflow.platform != "label_studio":
        click.echo(
            f"{project} works on platform {declared.workflow.platform}: set `platform: label_studio` in workflow.yaml"
        )


@label_studio.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def down(as_json: bool) -> None:
    """Stops the server that `up` started; its data stay.

    Example: annotation-ops label-studio down
    """
    stopped = local_label_studio(Settings.from_environment(os.environ)).stop()
    if as_json:
        click.echo(json.dumps({"stopped": stopped}))
        return
    click.echo("Label Studio is stopped; its data stay." if stopped else "No Label Studio of this home is running.")
