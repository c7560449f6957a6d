"""A Label Studio server on this machine: its own environment, its own database, on loopback only.

For the demo, the tests, and to try things out; a team runs its own server and gives us its address.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import httpx
from filelock import FileLock

from annotation_ops.adapters.platforms.label_studio.client import LabelStudioClient
from annotation_ops.domain.errors import AnnotationOpsError, PermanentError, TransientError

VERSION = "1.23.2"
"""Of Label Studio; server.lock holds it and everything below it with hashes."""

ADMIN = "admin@annotation-ops.example"

START_SECONDS = 180.0
"""A first start on a busy machine; on a quiet one it takes three."""

STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in."""

    email: str
    password: str
    token: str


@dataclass(frozen=True, slots=True)
class RunningServer:
    url: str
    pid: int
    admin: Account


class LocalServer:
    """The server that keeps its data in `home`; several may share the `cache` with the installed environment.

    Secrets (`server.json`, `accounts.json`) are readable for their owner only.
    """

    def __init__(self, home: Path, *, cache: Path) -> None:
        self.home = home.absolute()
        self._environment = cache.absolute() / f"label-studio-{VERSION}"
        self._template = cache.absolute() / f"database-{VERSION}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def install(self) -> None:
        """Installs the environment and prepares an empty database, once per cache. Raises PermanentError with pip's last words."""
        self._environment.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self._environment}.lock"):
            if not (self._environment / "installed").exists():
                shutil.rmtree(self._environment, ignore_errors=True)
                venv.create(self._environment, with_pip=True)
                lock = resources.files(__package__).joinpath("server.lock")
                with resources.as_file(lock) as requirements:
                    quiet = ("--quiet", "--disable-pip-version-check", "--no-warn-script-location")
                    self._run("-m", "pip", "install", *quiet, "--require-hashes", "-r", str(requirements))
                (self._environment / "installed").touch()
            if not self._template.exists():
                fresh = self._template.with_suffix(".new")
                shutil.rmtree(fresh, ignore_errors=True)
                fresh.mkdir()
                self._run(
                    *("-m", "label_studio.manage", "migrate", "--verbosity", "0"),
                    LABEL_STUDIO_BASE_DATA_DIR=str(fresh),
                    DJANGO_SETTINGS_MODULE="label_studio.core.settings.label_studio",
                    PYTHONPATH=str(self._package()),
                )
                # Every server makes a secret key of its own.
                (fresh / ".env").unlink(missing_ok=True)
                fresh.rename(self._template)

    def start(self, *, document_root: Path | None = None, port: int = 0) -> RunningServer:
        """Starts the server, or finds it running. `document_root` is the folder whose files it may show; port 0 takes a free one.

        Raises TransientError with the end of its log when it does not come up.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        with FileLock(self.home / "start.lock"):
            running = self.running()
            if running is not None:
                return running
            self.install()
            data = self.home / "data"
            if not data.exists():
                shutil.copytree(self._template, data)
            admin = self._admin()
            port = port or _free_port()
            self._reap()
            with self.log.open("ab") as log:
                process = self._process = subprocess.Popen(
                    [
                        str(self._environment / "bin" / "label-studio"),
                        *("start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)),
                    ],
                    env=self._variables(data, admin, document_root),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            server = RunningServer(f"http://127.0.0.1:{port}", process.pid, admin)
            self._wait(server, process)
            _write_secret(self.home / "server.json", asdict(server))
            return server

    def running(self) -> RunningServer | None:
        """The server when it answers to our administrator; a port that somebody else took over does not."""
        try:
            stored = json.loads((self.home / "server.json").read_text())
        except FileNotFoundError:
            return None
        server = RunningServer(stored["url"], stored["pid"], Account(**stored["admin"]))
        return server if _answers(server) else None

    def stop(self) -> bool:
        """Stops the server; False when none of ours was running."""
        server = self.running()
        if server is None:
            return False
        _signal(server.pid, signal.SIGTERM)
        ends = time.monotonic() + STOP_SECONDS
        while _answers(server):
            if time.monotonic() > ends:
                _signal(server.pid, signal.SIGKILL)
                break
            time.sleep(0.1)
        (self.home / "server.json").unlink()
        self._reap()
        return True

    def _reap(self) -> None:
        """A process of ours that answers no more leaves nothing behind."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def accounts(self, emails: Iterable[str]) -> dict[str, Account]:
        """Everybody's account by address; whoever has none is signed up by the administrator's invitation."""
        server = self.running()
        if server is None:
            raise TransientError(
                f"{self.home}: found no running Label Studio; start it with `annotation-ops label-studio up`"
            )
        path = self.home / "accounts.json"
        known = {one["email"]: Account(**one) for one in json.loads(path.read_text())} if path.exists() else {}
        for email in sorted(set(emails) - set(known)):
            known[email] = _sign_up(server, email)
            _write_secret(path, [asdict(account) for account in known.values()])
        return known

    def _admin(self) -> Account:
        path = self.home / "admin.json"
        if not path.exists():
            _write_secret(path, asdict(Account(ADMIN, secrets.token_urlsafe(18), secrets.token_hex(20))))
        return Account(**json.loads(path.read_text()))

    def _variables(self, data: Path, admin: Account, document_root: Path | None) -> Mapping[str, str]:
        served = (
            {}
            if document_root is None
            else {
                "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
                "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root.absolute()),
            }
        )
        return {
            **_plain_environment(),
            "LABEL_STUDIO_BASE_DATA_DIR": str(data),
            "LABEL_STUDIO_USERNAME": admin.email,
            "LABEL_STUDIO_PASSWORD": admin.password,
            "LABEL_STUDIO_USER_TOKEN": admin.token,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
            "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            # Its webhooks reach our inbox on loopback; the server itself is reachable from there only.
            "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
            **served,
        }  # fmt: skip

    def _wait(self, server: RunningServer, process: "subprocess.Popen[bytes]") -> None:
        ends = time.monotonic() + START_SECONDS
        while not _answers(server):
            if process.poll() is not None or time.monotonic() > ends:
                process.kill()
                words = self.log.read_text(errors="replace")[-1500:]
                raise TransientError(
                    f"{self.log}: Label Studio did not come up on {server.url}; its last words: {words}"
                )
            time.sleep(0.1)

    def _run(self, *arguments: str, **variables: str) -> None:
        python = self._environment / "bin" / "python"
        done = subprocess.run(
            [str(python), *arguments],
            env={**_plain_environment(), **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PermanentError(
                f"{' '.join(arguments[:3])} failed in {self._environment}: {(done.stderr or done.stdout).strip()[-1500:]}"
            )

    def _package(self) -> Path:
        lib = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self._environment / "lib" / lib / "site-packages" / "label_studio"


def _plain_environment() -> dict[str, str]:
    """Ours, without what would steer Label Studio or its Python."""
    foreign = ("LABEL_STUDIO_", "HEARTEX_", "DJANGO_", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _answers(server: RunningServer) -> bool:
    client = LabelStudioClient(server.url, server.admin.token)
    try:
        return bool(client.get("/api/current-user/whoami")["email"] == server.admin.email)
    except AnnotationOpsError:
        return False
    finally:
        client.close()


def _sign_up(server: RunningServer, email: str) -> Account:
    client = LabelStudioClient(server.url, server.admin.token)
    try:
        invitation = client.get("/api/invite")["token"]
    finally:
        client.close()
    password = secrets.token_urlsafe(12)
    with httpx.Client(base_url=server.url, timeout=60.0) as browser:
        form = {"token": invitation}
        browser.get("/user/signup/", params=form).raise_for_status()
        data = {"email": email, "password": password, "allow_newsletters": "false"}
        data["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
        answer = browser.post("/user/signup/", params=form, data=data, headers={"Referer": server.url})
        token = browser.get("/api/current-user/token")
        if not (answer.is_redirect and token.is_success):
            raise PermanentError(
                f"{email}: Label Studio answered {answer.status_code} to the sign-up; is the address taken?"
            )
        return Account(email, password, token.json()["token"])


def _write_secret(path: Path, content: object) -> None:
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file, indent=1)
    fresh.replace(path)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
