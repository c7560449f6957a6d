"""A real Label Studio server as a bench of the conformance suite."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from annotation_ops.adapters.platforms.label_studio.answers import result_of
from annotation_ops.adapters.platforms.label_studio.client import LabelStudioClient
from annotation_ops.adapters.platforms.label_studio.connection import Connection
from annotation_ops.adapters.platforms.label_studio.local_server import LocalServer, RunningServer
from annotation_ops.adapters.platforms.label_studio.platform import LabelStudio
from annotation_ops.demo.annotators import SignedInAnnotator
from annotation_ops.domain.records import JsonObject
from annotation_ops.ports.annotation_platform import PlatformAnnotation
from annotation_ops_tests.adapters.platforms.simulated.bench import SPEC
from annotation_ops_tests.contracts.annotation_platform import PlatformBench

CACHE = Path(__file__).parents[4] / ".label_studio"
"""In the work tree and ignored: a second run installs nothing."""

PEOPLE = ("ann", "bob", "cem")
CONNECTION = Connection("{id}@crew.example", {})


@contextmanager
def server_in(home: Path) -> Iterator[tuple[LocalServer, RunningServer]]:
    """A server of its own, stopped at the end."""
    local = LocalServer(home, cache=CACHE)
    try:
        yield local, local.start()
    finally:
        local.stop()


def choice(label: str) -> JsonObject:
    return {"result": result_of({"label": label}, task_type="classification"), "lead_time": 2.5}


class LabelStudioBench(PlatformBench):
    platform: LabelStudio
    crew: dict[str, SignedInAnnotator]

    def __init__(self, local: LocalServer, server: RunningServer, *, name: str) -> None:
        self.server = server
        accounts = local.accounts(CONNECTION.sign_in(person) for person in PEOPLE)
        self.crew = {
            person: SignedInAnnotator(server.url, person, accounts[CONNECTION.sign_in(person)]) for person in PEOPLE
        }
        self.client = LabelStudioClient(server.url, server.admin.token)
        self.platform = LabelStudio(self.client, CONNECTION)
        self.spec = replace(SPEC, name=name)
        self.people = PEOPLE
        self.samples = tuple({"image": f"https://pictures.example/{number}.png"} for number in range(12))

    def close(self) -> None:
        """Everything on the server goes, for the next bench."""
        for row in self.client.pages("/api/projects/", include="id"):
            self.client.delete(f"/api/projects/{row['id']}/")
        for person in self.crew.values():
            person.close()
        self.client.close()

    def let_people_work(self) -> None:
        for person in self.crew.values():
            person.work(lambda data: choice(SPEC.labels[len(data["image"]) % 10]))

    def edit(self, annotation: PlatformAnnotation, *, label: str) -> None:
        self.crew[annotation.annotator_id].call("PATCH", f"/api/annotations/{number(annotation)}/", choice(label))

    def delete(self, annotation: PlatformAnnotation) -> None:
        self.crew[annotation.annotator_id].call("DELETE", f"/api/annotations/{number(annotation)}/")


def number(annotation: PlatformAnnotation) -> str:
    """Label Studio's own id of an annotation."""
    return annotation.platform_annotation_id.rpartition(".")[2]
