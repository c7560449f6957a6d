"""The JSON of the REST API; docs/interface.md has the documents that are open objects here."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Problem(BaseModel):
    """Why a request was not carried out."""

    detail: str


class ProjectDocument(BaseModel):
    project: str
    task_type: str
    platform: str
    versions: dict[str, str] = Field(description="document -> version+hash12")


class BatchDocument(BaseModel):
    attempt: str
    state: str
    purpose: str
    reason: str
    tasks: int
    judgements: int
    missing: int = Field(description="judgements that people were asked for and have not given")
    due_at: str | None
    verdict: str | None


class VerdictDocument(BaseModel):
    outcome: str
    criteria: str
    judged_at: str
    judged_by: str
    reason: str
    in_force: bool
    document: dict[str, JsonValue]


class DecisionDocument(BaseModel):
    attempt: str
    state: str
    by: str


class Reason(BaseModel):
    """Why a person decides; it goes into the audit trail."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")


class DeadlineDocument(BaseModel):
    attempt: str
    due_at: str
    missing: int
    status: str
    probability: float | None = Field(description="that everything is answered by then; null before anything was seen")
    likely_done_at: str | None
    reason: str


class LineageDocument(BaseModel):
    model_config = ConfigDict(extra="allow")

    sample: str
    label: dict[str, Any]
    attempt: str
    annotators: list[str]


class AuditEntryDocument(BaseModel):
    seq: int
    body: str = Field(description="the exact text that was hashed")
    hash: str


class ChainDocument(BaseModel):
    whole: bool
    entries: int
    head: str | None = Field(description="SEQ:HASH of the newest entry")
    fault: str | None


class Health(BaseModel):
    version: str
