"""Who calls: a bearer token, checked against the permission that a route names."""

from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from annotation_ops.domain.access import Actor, Permission
from annotation_ops.domain.errors import NotAuthenticated
from annotation_ops.services.access import actor_of
from annotation_ops.web.deployment import served

BEARER = HTTPBearer(auto_error=False, description="An access token of `annotation-ops token create`.")


class Needs:
    """A route's dependency: whoever calls it holds a token that grants the permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    def __call__(
        self, request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
    ) -> Actor:
        if given is None:
            raise NotAuthenticated("found no access token, expected one in `Authorization: Bearer <token>`")
        parts = served(request).parts
        return actor_of(given.credentials, self.permission, ledger=parts.ledger, now=parts.clock.now())
