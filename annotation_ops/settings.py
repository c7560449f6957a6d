"""Settings: every environment variable, named and typed once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from annotation_ops.domain.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything lies. Defaults need no server, no account and no network."""

    home: Path
    """ANNOTATION_OPS_HOME, default `.annotation_ops`: ledger, lake, data, MLflow and Dagster state of the embedded set-up."""
    projects: Path
    """ANNOTATION_OPS_PROJECTS, default `projects`: the folder of annotation projects."""
    data: str
    """ANNOTATION_OPS_DATA, default `<home>/data`: what relative URIs of sources.yaml are relative to; a folder or `s3://bucket/prefix`."""
    ledger: str
    """ANNOTATION_OPS_LEDGER, default `sqlite:///<home>/ledger.sqlite`; or `postgresql://user:password@host/database`."""
    lake: str
    """ANNOTATION_OPS_LAKE, default `<home>/lake`; or `s3://bucket/prefix`."""
    reports: str
    """ANNOTATION_OPS_REPORTS, default `<home>/reports`: where runs write HTML reports; a folder or `s3://bucket/prefix`."""
    tracking: str
    """MLFLOW_TRACKING_URI, default `sqlite:///<home>/mlflow.sqlite`."""
    s3_endpoint: str | None
    """ANNOTATION_OPS_S3_ENDPOINT: an S3-compatible store that is not AWS. Credentials come from the usual AWS variables."""
    cache: Path
    """ANNOTATION_OPS_CACHE, default `~/.cache/annotation-ops`: what is installed once for all homes (a local Label Studio)."""
    label_studio_url: str | None
    """ANNOTATION_OPS_LABEL_STUDIO_URL: the team's server; without it the one that `label-studio up` started in the home."""
    label_studio_token: str | None = field(repr=False)
    """ANNOTATION_OPS_LABEL_STUDIO_TOKEN: a legacy or personal access token of a member."""
    label_studio_root: Path | None
    """ANNOTATION_OPS_LABEL_STUDIO_ROOT: the server's document root, for raw data in a folder; default the data root."""
    access_token: str | None = field(repr=False)
    """ANNOTATION_OPS_TOKEN: who acts at this terminal; needed for decisions once the deployment has issued tokens."""
    service_url: str | None
    """ANNOTATION_OPS_URL: the address of `annotation-ops serve` as platforms reach it; without it only a server that
    `label-studio up` started sends webhooks, to `http://127.0.0.1:8321`."""
    webhook_secrets: tuple[str, ...] = field(repr=False)
    """ANNOTATION_OPS_WEBHOOK_SECRET: what webhooks must carry; two with a comma between while the first replaces the second.
    Default: made once, in `<home>/webhook_secret`."""
    webhook_hosts: frozenset[str]
    """ANNOTATION_OPS_WEBHOOK_HOSTS: hosts, `host` or `host:port` with commas between, that outbound webhooks may reach in private
    networks and without TLS; default none."""
    seed: int
    """ANNOTATION_OPS_SEED, default 0."""
    collect_every: timedelta
    """ANNOTATION_OPS_COLLECT_SECONDS, default 30: how often work in people's hands is collected."""
    sweep_every: timedelta
    """ANNOTATION_OPS_SWEEP_SECONDS, default 86400: how often everything on the platform is read again and open tasks are healed."""
    retry_after: timedelta
    """ANNOTATION_OPS_RETRY_SECONDS, default 60: how long failed work waits for its second try; each later wait is four times as long."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Reads the variables; raises InvalidInput naming the variable that is not usable."""
        home = Path(environment.get("ANNOTATION_OPS_HOME") or ".annotation_ops").absolute()
        return cls(
            home=home,
            projects=Path(environment.get("ANNOTATION_OPS_PROJECTS") or "projects").absolute(),
            data=environment.get("ANNOTATION_OPS_DATA") or str(home / "data"),
            ledger=environment.get("ANNOTATION_OPS_LEDGER") or f"sqlite:///{home / 'ledger.sqlite'}",
            lake=environment.get("ANNOTATION_OPS_LAKE") or str(home / "lake"),
            reports=environment.get("ANNOTATION_OPS_REPORTS") or str(home / "reports"),
            tracking=environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.sqlite'}",
            s3_endpoint=environment.get("ANNOTATION_OPS_S3_ENDPOINT") or None,
            cache=Path(environment.get("ANNOTATION_OPS_CACHE") or "~/.cache/annotation-ops").expanduser().absolute(),
            label_studio_url=environment.get("ANNOTATION_OPS_LABEL_STUDIO_URL") or None,
            label_studio_token=environment.get("ANNOTATION_OPS_LABEL_STUDIO_TOKEN") or None,
            label_studio_root=Path(root).absolute()
            if (root := environment.get("ANNOTATION_OPS_LABEL_STUDIO_ROOT"))
            else None,
            access_token=environment.get("ANNOTATION_OPS_TOKEN") or None,
            service_url=environment.get("ANNOTATION_OPS_URL") or None,
            webhook_secrets=tuple(filter(None, environment.get("ANNOTATION_OPS_WEBHOOK_SECRET", "").split(","))),
            webhook_hosts=_hosts(environment, "ANNOTATION_OPS_WEBHOOK_HOSTS"),
            seed=_whole(environment, "ANNOTATION_OPS_SEED", default=0),
            collect_every=timedelta(seconds=_whole(environment, "ANNOTATION_OPS_COLLECT_SECONDS", default=30)),
            sweep_every=timedelta(seconds=_whole(environment, "ANNOTATION_OPS_SWEEP_SECONDS", default=86_400)),
            retry_after=timedelta(seconds=_whole(environment, "ANNOTATION_OPS_RETRY_SECONDS", default=60)),
        )

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME of the embedded set-up."""
        return self.home / "dagster"


_HOST = re.compile(r"(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")


def _hosts(environment: Mapping[str, str], name: str) -> frozenset[str]:
    hosts = [host.strip().lower() for host in environment.get(name, "").split(",") if host.strip()]
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise InvalidInput(
                f"{name}: found {host[:80]!r}, expected host or host:port, e.g. {name}=hooks.internal:8080"
            )
    return frozenset(hosts)


def _whole(environment: Mapping[str, str], name: str, *, default: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise InvalidInput(f"{name}: found {text!r}, expected a whole number of 0 or more, e.g. {name}={default}")
    return int(text)
