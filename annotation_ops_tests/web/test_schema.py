"""Whatever a client sends, the service answers as its OpenAPI document says, and never with a fault of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from annotation_ops.bootstrap import Parts
from annotation_ops_tests.services.workshop import FIRST, SECOND
from annotation_ops_tests.web.conftest import SECRETS

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def hunt(client: httpx.Client, schema: dict[str, Any], here: Path, *, examples: int) -> tuple[int, str]:
    """Schemathesis on the running service, as an administrator, with a secret for the inbox: its exit code and what it says."""
    (here / "openapi.json").write_text(json.dumps(schema))
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        "openapi.json",
        "--url",
        str(client.base_url),
    ]
    command += ["--checks", CHECKS, "--max-examples", str(examples), "--seed", "1", "--no-color"]
    command += ["--header", f"Authorization: {client.headers['Authorization']}"]
    command += ["--header", f"X-Annotation-Ops-Secret: {SECRETS[0]}"]
    # In a folder of its own: it looks for settings, and keeps what it found, in the current one.
    done = subprocess.run(
        command, cwd=here, env={**os.environ, "PYTHONWARNINGS": ""}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout[-5000:] + done.stderr[-1000:]


def naming_what_exists(schema: dict[str, Any]) -> dict[str, Any]:
    """The same document with paths that lead to batches of the deployment."""
    known = {"project": ["digits"], "key": [FIRST, SECOND], "sample": ["s000", "s003"]}
    for methods in schema["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in known:
                    parameter["schema"] = {"type": "string", "enum": known[parameter["name"]]}
    return schema


def test_a_few_generated_requests_find_no_fault(at_work: tuple[httpx.Client, Parts], tmp_path: Path) -> None:
    client, _ = at_work

    code, said = hunt(client, client.get("/openapi.json").json(), tmp_path, examples=5)

    assert code == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("change", [dict, naming_what_exists])
def test_thousands_of_generated_requests_find_no_fault(
    at_work: tuple[httpx.Client, Parts], tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    client, _ = at_work

    code, said = hunt(client, change(client.get("/openapi.json").json()), tmp_path, examples=200)
    print(said[-600:])

    assert code == 0, said
