"""`annotation-ops serve`: webhook inbox and REST API."""

import click

from annotation_ops.bootstrap import webhook_secrets
from annotation_ops.cli.deployment import declared_projects, deployment

CONNECTIONS = 200
"""Requests at once; more are answered 503."""

HEADER_BYTES = 16_384


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8321, show_default=True, help="0 takes a free one.")
def serve(host: str, port: int) -> None:
    """Serves the REST API and the webhook inbox until it is interrupted.

    It speaks plain HTTP: on any address but this machine's own, put a reverse proxy with TLS before it.

    Example: annotation-ops serve --port 8321
    """
    import uvicorn

    from annotation_ops.web.service import create_service

    with deployment() as parts:
        projects = {project.name: project for project in declared_projects(parts)}
        service = create_service(parts, projects, secrets=webhook_secrets(parts.settings))
        click.echo(f"serving {', '.join(projects)} on http://{host}:{port}", err=True)
        uvicorn.run(
            service,
            host=host,
            port=port,
            log_level="warning",
            limit_concurrency=CONNECTIONS,
            h11_max_incomplete_event_size=HEADER_BYTES,
            timeout_keep_alive=15,
            server_header=False,
        )
