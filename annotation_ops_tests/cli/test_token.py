"""`annotation-ops token`, and decisions that ask for one."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from annotation_ops.cli.main import cli
from annotation_ops.domain.errors import InvalidInput, NotAuthenticated, NotPermitted
from annotation_ops_tests.services.workshop import FIRST, Workshop


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    one = Workshop.build(tmp_path / "home", samples=6)
    one.reject()
    return one


def run(shop: Workshop, *arguments: str, token: str | None = None) -> Result:
    environment = {"ANNOTATION_OPS_HOME": str(shop.home), "ANNOTATION_OPS_TOKEN": token}
    return CliRunner(env=environment).invoke(cli, arguments)


def made(shop: Workshop, name: str, role: str, *, token: str | None = None) -> str:
    result = run(shop, "token", "create", name, "--role", role, "--json", token=token)
    assert result.exit_code == 0, result.exception
    return str(json.loads(result.stdout)["token"])


def accept(shop: Workshop, *, token: str | None = None) -> Result:
    return run(shop, "batch", "accept", FIRST, "--project", "digits", "--reason", "checked", token=token)


def test_the_first_token_is_made_by_the_login_and_every_later_one_with_a_token(shop: Workshop) -> None:
    ada = made(shop, "ada", "admin")

    assert isinstance(run(shop, "token", "create", "lea", "--role", "lead").exception, NotAuthenticated)
    assert made(shop, "lea", "lead", token=ada).startswith("aot_")
    listed = run(shop, "token", "list").stdout
    assert "ada" in listed
    assert "lead" in listed
    assert ada not in listed


def test_a_decision_asks_for_a_token_that_grants_it_and_names_its_holder(shop: Workshop) -> None:
    ada = made(shop, "ada", "admin")
    lea, vi = made(shop, "lea", "lead", token=ada), made(shop, "vi", "viewer", token=ada)

    assert isinstance(accept(shop).exception, NotAuthenticated)
    assert isinstance(accept(shop, token=vi).exception, NotPermitted)
    done = accept(shop, token=lea)
    assert done.exit_code == 0
    assert f"{FIRST} is passed now, by lea: checked" in done.stdout


def test_a_revoked_token_opens_nothing(shop: Workshop) -> None:
    ada = made(shop, "ada", "admin")
    assert run(shop, "token", "revoke", "ada", token=ada).exit_code == 0

    assert isinstance(accept(shop, token=ada).exception, NotAuthenticated)
    assert "ended" in run(shop, "token", "list").stdout


def test_a_first_token_that_could_make_no_second_is_refused(shop: Workshop) -> None:
    assert isinstance(run(shop, "token", "create", "lea", "--role", "lead").exception, InvalidInput)


def test_an_attempt_is_held_and_released_with_a_reason(shop: Workshop) -> None:
    def decide(what: str) -> Result:
        return run(shop, "batch", what, FIRST, "--project", "digits", "--reason", "look first", "--actor", "lea")

    assert f"{FIRST} is held now, by lea: look first" in decide("hold").stdout
    assert decide("hold").exit_code == 1
    assert f"{FIRST} is failed now, by lea" in decide("release").stdout


def test_the_lineage_of_a_sample_is_one_command(tmp_path: Path) -> None:
    shop = Workshop.build(tmp_path / "home", samples=6)
    shop.complete()

    shown = run(shop, "lineage", "s003", "--project", "digits")
    assert shown.exit_code == 0
    assert 's003 revision 1: {"label": "3"} by consensus' in shown.stdout
    assert "mem://s003.png, sha256 d3" in shown.stdout
    [row] = json.loads(run(shop, "lineage", "s003", "--project", "digits", "--json").stdout)
    assert len(row["judgements"]) == 3
    assert run(shop, "lineage", "nobody", "--project", "digits").exit_code == 1
