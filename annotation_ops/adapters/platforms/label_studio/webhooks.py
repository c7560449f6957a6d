"""Webhooks: Label Studio rings our inbox when somebody answers. It tries once and tells nobody when it failed, so they only hurry
a collection that comes anyway."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, field

from annotation_ops.adapters.platforms.label_studio.client import LabelStudioClient
from annotation_ops.domain.errors import InvalidInput
from annotation_ops.domain.records import JsonObject

LOG = logging.getLogger(__name__)

SECRET_HEADER = "X-Annotation-Ops-Secret"
"""What our inbox looks for; a webhook that carries it is ours. Every member can read the secret on the server: it keeps strangers
out of the inbox, and proves nothing."""

ACTIONS = ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED", "TASKS_DELETED")


@dataclass(frozen=True, slots=True)
class Inbox:
    """Where webhooks go."""

    base_url: str
    """Of `annotation-ops serve`, as the Label Studio server reaches it."""
    secret: str = field(repr=False)

    def webhook(self, project: str) -> JsonObject:
        """The registration, but for Label Studio's project."""
        return {
            "url": f"{self.base_url.rstrip('/')}/hooks/label-studio/{project}",
            "headers": {SECRET_HEADER: self.secret},
            # A ring needs no content, and the content would hold people's answers and the project's token.
            "send_payload": False,
            "send_for_all_actions": False,
            "actions": sorted(ACTIONS),
            "is_active": True,
        }


def ensure_webhooks(
    client: LabelStudioClient, numbers: Collection[int], project: str, inbox: Inbox | None
) -> tuple[str, ...]:
    """Registers the webhook in these Label Studio projects; returns what somebody had changed and was put back.

    A server that refuses the address (its protection against requests into private networks) is no fault: collecting goes by
    the interval then, and the log says so.
    """
    if inbox is None or not numbers:
        return ()
    wanted, mended = inbox.webhook(project), []
    known = {row["project"]: row for row in client.pages("/api/webhooks/") if SECRET_HEADER in (row["headers"] or {})}
    try:
        for number in sorted(numbers):
            found = known.get(number)
            if found is None:
                client.post("/api/webhooks/", {**wanted, "project": number})
            elif any(found[name] != wanted[name] for name in wanted if name != "actions") or (
                sorted(found["actions"]) != wanted["actions"]
            ):
                client.patch(f"/api/webhooks/{found['id']}/", wanted)
                mended.append(f"webhook of Label Studio project {number}")
    except InvalidInput as error:
        LOG.warning("no webhook to %s, so answers are collected by the interval only: %s", inbox.base_url, error)
    return tuple(mended)
