"""Webhooks of a real Label Studio server: registered by themselves, heard by the inbox, and missed without loss."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI

from annotation_ops.adapters.platforms.label_studio.client import LabelStudioClient
from annotation_ops.adapters.platforms.label_studio.platform import LabelStudio
from annotation_ops.adapters.platforms.label_studio.webhooks import Inbox
from annotation_ops.web.inbox import inbox
from annotation_ops_tests.adapters.platforms.label_studio.bench import CONNECTION, LabelStudioBench
from annotation_ops_tests.contracts.annotation_platform import items_from
from annotation_ops_tests.web.loopback import serving

pytestmark = pytest.mark.slow

SECRET = "a-secret"


@pytest.fixture
def rings() -> list[str]:
    return []


@pytest.fixture
def heard(bench: LabelStudioBench, rings: list[str]) -> Iterator[LabelStudioBench]:
    """A bench whose webhooks go to an inbox that writes its rings into `rings`."""

    def store(projects: Collection[str]) -> None:
        rings.extend(projects)

    service = FastAPI()
    service.include_router(inbox([bench.spec.name], [SECRET], store))
    with serving(service) as client:
        connection = replace(CONNECTION, inbox=Inbox(str(client.base_url), SECRET))
        bench.platform = LabelStudio(bench.client, connection)
        yield bench


def webhooks(client: LabelStudioClient) -> list[dict[str, Any]]:
    return list(client.pages("/api/webhooks/"))


def test_every_answer_edit_and_deletion_rings(heard: LabelStudioBench, rings: list[str]) -> None:
    project_id = heard.platform.ensure_project(heard.spec).project_id
    heard.platform.create_tasks(project_id, heard.tasks(2, overlap=1))
    assert rings == []

    heard.let_people_work()
    assert rings == [heard.spec.name] * 2
    one, other = items_from(heard.platform, project_id)
    heard.edit(one, label="cat")
    heard.delete(other)

    assert len(rings) == 4


def test_every_queue_has_one_webhook_however_often_it_is_ensured(heard: LabelStudioBench) -> None:
    for _ in range(2):
        project_id = heard.platform.ensure_project(heard.spec).project_id
        heard.platform.create_tasks(project_id, heard.tasks(6))
        assert heard.platform.ensure_project(heard.spec).mended == ()

    assert len(webhooks(heard.client)) == len({hook["project"] for hook in webhooks(heard.client)}) == 3
    assert all(hook["send_payload"] is False for hook in webhooks(heard.client))


def test_a_webhook_switched_off_or_sent_elsewhere_is_put_back_and_told(
    heard: LabelStudioBench, rings: list[str]
) -> None:
    project_id = heard.platform.ensure_project(heard.spec).project_id
    heard.platform.create_tasks(project_id, heard.tasks(2, overlap=1))
    [first, second] = webhooks(heard.client)
    heard.client.patch(f"/api/webhooks/{first['id']}/", {"is_active": False})
    heard.client.patch(f"/api/webhooks/{second['id']}/", {"url": "https://elsewhere.example/"})

    mended = heard.platform.ensure_project(heard.spec).mended

    assert mended == tuple(f"webhook of Label Studio project {hook['project']}" for hook in (first, second))
    heard.let_people_work()
    assert len(rings) == 2


def test_a_new_secret_replaces_the_old_one_in_every_webhook(heard: LabelStudioBench) -> None:
    project_id = heard.platform.ensure_project(heard.spec).project_id
    heard.platform.create_tasks(project_id, heard.tasks(2, overlap=1))
    renewed = LabelStudio(heard.client, replace(CONNECTION, inbox=Inbox("http://127.0.0.1:1", "another")))

    assert len(renewed.ensure_project(heard.spec).mended) == 2
    assert {hook["headers"]["X-Annotation-Ops-Secret"] for hook in webhooks(heard.client)} == {"another"}


def test_people_work_on_while_nobody_hears_the_webhooks(bench: LabelStudioBench) -> None:
    deaf = LabelStudio(bench.client, replace(CONNECTION, inbox=Inbox("http://127.0.0.1:1", SECRET)))
    project_id = deaf.ensure_project(bench.spec).project_id
    deaf.create_tasks(project_id, bench.tasks(2))
    bench.let_people_work()

    assert len(items_from(deaf, project_id)) == 4


def test_a_server_that_refuses_the_address_is_worked_with_all_the_same(
    bench: LabelStudioBench, caplog: pytest.LogCaptureFixture
) -> None:
    refused = LabelStudio(bench.client, replace(CONNECTION, inbox=Inbox("no-address", SECRET)))
    project_id = refused.ensure_project(bench.spec).project_id

    refused.create_tasks(project_id, bench.tasks(1, overlap=1))

    assert "by the interval only" in caplog.text
    bench.let_people_work()
    assert len(items_from(refused, project_id)) == 1
