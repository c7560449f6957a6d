"""The REST API: who may call what, and that its answers are those of the services."""

import json
import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from annotation_ops.bootstrap import Parts, build
from annotation_ops.domain.access import GRANTS, Permission, Role, may
from annotation_ops.domain.records import SYSTEM_ACTOR
from annotation_ops.services.access import create_token, revoke_token
from annotation_ops.services.status import deadline
from annotation_ops.settings import Settings
from annotation_ops.web.api import api, permission_of
from annotation_ops.web.service import create_service
from annotation_ops_tests.fakes.clock import ManualClock
from annotation_ops_tests.services.workshop import FIRST, SECOND, Workshop, digits
from annotation_ops_tests.web.conftest import SECRETS
from annotation_ops_tests.web.loopback import serving

OPEN = {("POST", "/hooks/label-studio/{project}"), ("GET", "/health")}
"""What needs no access token: the inbox has its secret, and that the service runs is no secret."""

ROUTES = [(method, route) for route in api.routes if isinstance(route, APIRoute) for method in sorted(route.methods)]


def call(client: httpx.Client, method: str, route: APIRoute, token: str | None) -> httpx.Response:
    """A well-formed call of the route."""
    path = route.path.replace("{project}", "digits").replace("{key}", FIRST)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    query = {"sample": "s000"} if path.endswith("/lineage") else {}
    body = {"reason": "because"} if method == "POST" else None
    return client.request(method, path, headers=headers, params=query, json=body)


def test_every_route_is_in_the_matrix_or_open_on_purpose(parts: Parts) -> None:
    service = create_service(parts, {}, secrets=SECRETS)
    documented = {(method.upper(), path) for path, methods in service.openapi()["paths"].items() for method in methods}

    assert documented - OPEN == {(method, route.path) for method, route in ROUTES}
    assert {permission_of(route) for _, route in ROUTES} <= set(Permission)
    assert set(GRANTS) == set(Permission)


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=[f"{m} {r.path}" for m, r in ROUTES])
def test_a_route_answers_exactly_the_roles_that_hold_its_permission(
    client: httpx.Client, tokens: dict[Role, str], method: str, route: APIRoute
) -> None:
    permission = permission_of(route)
    assert permission is not None
    for role, token in tokens.items():
        answer = call(client, method, route, token)
        assert (answer.status_code != 403) == may(role, permission), (role, answer.text)
        assert answer.status_code != 401
        assert answer.status_code < 500
    for nobody in (None, "aot_unknown", "Basic x", "0" * 5000):
        answer = call(client, method, route, nobody)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_expired_a_revoked_and_an_unknown_token_are_refused_in_the_same_words(
    client: httpx.Client, parts: Parts, clock: ManualClock, tokens: dict[Role, str]
) -> None:
    short = create_token(
        "short", Role.VIEWER, valid_for=timedelta(minutes=5), actor="a", ledger=parts.ledger, now=clock.now()
    )
    gone = create_token(
        "gone", Role.VIEWER, valid_for=timedelta(days=1), actor="a", ledger=parts.ledger, now=clock.now()
    )
    assert read(client, short).status_code == 200
    revoke_token("gone", actor="a", ledger=parts.ledger, now=clock.now())
    clock.advance(timedelta(minutes=5))

    answers = [read(client, token) for token in (short, gone, "aot_unknown")]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert len({answer.text for answer in answers}) == 1
    assert read(client, tokens[Role.VIEWER]).status_code == 200


def read(client: httpx.Client, token: str, path: str = "/api/v1/projects") -> httpx.Response:
    return client.get(path, headers={"Authorization": f"Bearer {token}"})


def test_health_needs_no_token_and_tells_nothing_of_the_data(client: httpx.Client) -> None:
    assert list(client.get("/health").json()) == ["version"]


def test_batches_show_where_they_stand(at_work: tuple[httpx.Client, Parts]) -> None:
    client, _ = at_work
    rows = client.get("/api/v1/projects/digits/batches").json()

    assert [(row["attempt"], row["state"], row["verdict"]) for row in rows] == [
        (FIRST, "requeued", "FAIL"),
        (SECOND, "published", "PASS"),
    ]
    assert rows[1]["judgements"] == 18
    assert client.get(f"/api/v1/projects/digits/batches/{SECOND}").json() == rows[1]
    assert client.get("/api/v1/projects/digits/batches", params={"after": 1, "limit": 1}).json() == rows[1:]


def test_a_verdict_and_the_agreement_behind_it_can_be_read(at_work: tuple[httpx.Client, Parts]) -> None:
    client, _ = at_work
    [verdict] = client.get(f"/api/v1/projects/digits/batches/{SECOND}/verdicts").json()
    agreement = client.get(f"/api/v1/projects/digits/batches/{SECOND}/agreement").json()

    assert verdict["outcome"] == verdict["document"]["verdict"] == "PASS"
    assert agreement["statistics"]["krippendorff_alpha_nominal"]["value"] == 1.0


def test_the_lineage_of_a_label_names_people_documents_model_and_bytes(at_work: tuple[httpx.Client, Parts]) -> None:
    client, parts = at_work
    [row] = client.get("/api/v1/projects/digits/lineage", params={"sample": "s003"}).json()

    assert (row["label"], row["attempt"], row["source"]) == ({"label": "3"}, SECOND, "consensus")
    assert (row["raw"], row["chosen"]["model_version"]) == ({"uri": "mem://s003.png", "digest": "d3"}, "3")
    assert [one["annotator"] for one in row["judgements"]] == row["annotators"]
    assert row["versions"]["guideline"] == digits().versions.guideline
    events = [
        json.loads(entry.body)["event"] for entry in parts.ledger.audit_entries() if entry.seq in row["audit_entries"]
    ]
    assert events[0] == "batch.requeued"
    assert events[-1] == "labels.published"
    assert client.get("/api/v1/projects/digits/lineage", params={"sample": "nothing"}).json() == []


def test_people_deadlines_and_the_audit_chain_can_be_read(at_work: tuple[httpx.Client, Parts]) -> None:
    client, parts = at_work

    people = client.get("/api/v1/projects/digits/annotators").json()
    assert len(people["annotators"]) == 12
    assert client.get("/api/v1/projects/digits/sla").json() == []
    first, second = client.get("/api/v1/audit", params={"limit": 2}).json()
    assert [first["seq"], second["seq"]] == [1, 2]
    chain = client.get("/api/v1/audit/verify").json()
    assert (chain["whole"], chain["entries"]) == (True, len(parts.ledger.audit_entries()))


def test_a_deadline_is_forecast_from_the_pace_so_far(tmp_path: Path) -> None:
    fresh = Workshop.build(tmp_path / "fresh", samples=6)
    fresh.staff(dropout=0.6)
    fresh.send()
    fresh.work(hours=5)
    fresh.collect()
    missing, seen = deadline(fresh.project, fresh.attempt(), ledger=fresh.ledger, now=fresh.clock.now())

    assert missing == sum(one.state.value == "open" for one in fresh.assignments()) > 0
    assert seen.probability is not None
    assert 0 < seen.probability < 1
    fresh.ledger.close()


def test_a_decision_names_the_holder_of_the_token_in_the_audit_trail(tmp_path: Path) -> None:
    fresh = Workshop.build(tmp_path / "fresh", samples=6)
    fresh.reject()
    opened = build(Settings.from_environment({"ANNOTATION_OPS_HOME": str(fresh.home)}), clock=fresh.clock)
    admin = create_token(
        "ada", Role.ADMIN, valid_for=timedelta(days=1), actor="a", ledger=opened.ledger, now=fresh.clock.now()
    )
    assert admin
    lead = create_token(
        "lea", Role.LEAD, valid_for=timedelta(days=1), actor="a", ledger=opened.ledger, now=fresh.clock.now()
    )
    with serving(create_service(opened, {"digits": digits()}, secrets=SECRETS)) as client:
        client.headers["Authorization"] = f"Bearer {lead}"
        base = f"/api/v1/projects/digits/batches/{FIRST}"
        held = client.post(f"{base}/hold", json={"reason": "look first"})
        again = client.post(f"{base}/hold", json={"reason": "look first"})
        denied = client.post(f"{base}/accept", json={"reason": "while held"})
        freed = client.post(f"{base}/release", json={"reason": "looked"})
        accepted = client.post(f"{base}/accept", json={"reason": "checked by hand"})

    assert (held.json(), again.status_code, denied.status_code) == (
        {"attempt": FIRST, "state": "held", "by": "lea"},
        409,
        409,
    )
    assert (freed.json()["state"], accepted.json()["state"]) == ("failed", "passed")
    mine = [json.loads(entry.body) for entry in opened.ledger.audit_entries() if "person:lea" in entry.body]
    assert [(one["event"], one["details"]["reason"]) for one in mine] == [
        ("batch.held", "look first"),
        ("batch.released", "looked"),
        ("verdict.overridden", "checked by hand"),
    ]
    assert all(one["actor"] != SYSTEM_ACTOR for one in mine)
    opened.close()
    fresh.ledger.close()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": "  "},
        {"reason": "a\0b"},
        {"reason": 1},
        {"reason": "x", "actor": "somebody"},
        {"reason": "x" * 2001},
        [],
    ],
)
def test_a_decision_needs_a_reason_and_takes_nothing_else(
    client: httpx.Client, tokens: dict[Role, str], body: object
) -> None:
    path = f"/api/v1/projects/digits/batches/{FIRST}/accept"
    answer = client.post(path, json=body, headers={"Authorization": f"Bearer {tokens[Role.LEAD]}"})

    assert answer.status_code == 422


@pytest.mark.parametrize("body", ['{"reason": NaN}', '{"reason": 1e999}', '{"reason": "\\ud800"}', '{"\\ud800": 1}'])
def test_what_no_json_can_say_is_refused_like_any_other_input(
    client: httpx.Client, tokens: dict[Role, str], body: str
) -> None:
    path = f"/api/v1/projects/digits/batches/{FIRST}/accept"
    headers = {"Authorization": f"Bearer {tokens[Role.LEAD]}", "Content-Type": "application/json"}

    assert client.post(path, content=body, headers=headers).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "projects/nobody/batches",
        f"projects/digits/batches/{FIRST}",
        "projects/digits/batches/x.a99",
        "projects/nobody/sla",
    ],
)
def test_what_does_not_exist_is_404_with_its_name(client: httpx.Client, tokens: dict[Role, str], path: str) -> None:
    answer = read(client, tokens[Role.ADMIN], f"/api/v1/{path}")

    assert answer.status_code == 404
    assert re.search("found no|not", answer.json()["detail"])


def test_no_token_is_in_the_ledger_and_its_hash_is_no_token(
    client: httpx.Client, parts: Parts, tokens: dict[Role, str]
) -> None:
    stored = b"".join(path.read_bytes() for path in parts.settings.home.glob("ledger.sqlite*"))

    for token in tokens.values():
        assert token.encode() not in stored
    hashes = [one.token_hash for one in parts.ledger.access_tokens()]
    assert {read(client, one).status_code for one in hashes} == {401}
