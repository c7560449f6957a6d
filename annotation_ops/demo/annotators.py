"""Simulated people at work on a real Label Studio server, through the calls that its pages make for a person who is signed in."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

import httpx

from annotation_ops.adapters.platforms.label_studio.answers import result_of
from annotation_ops.adapters.platforms.label_studio.connection import LOCAL_ROUTE, Connection
from annotation_ops.adapters.platforms.label_studio.local_server import Account
from annotation_ops.adapters.platforms.label_studio.queues import REVIEW_TITLE
from annotation_ops.adapters.platforms.simulated.behaviour import Visit, answer, seconds_needed
from annotation_ops.adapters.platforms.simulated.simulation import Simulation
from annotation_ops.adapters.platforms.simulated.truth_book import TruthBook
from annotation_ops.domain.records import JsonObject

Answer = Callable[[JsonObject], JsonObject]
"""The data of a task -> the body of an annotation."""


class SignedInAnnotator:
    """One person, who opens the queues that carry their name and takes what "Label all tasks" offers."""

    def __init__(self, url: str, annotator_id: str, account: Account) -> None:
        self.annotator_id = annotator_id
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Token {account.token}"}, timeout=120.0)

    def close(self) -> None:
        self._http.close()

    def queues(self) -> list[int]:
        """Label Studio projects whose title names this person."""
        rows = self._http.get("/api/projects/", params={"page_size": 1000, "include": "id,title"})
        found = rows.raise_for_status().json()["results"]
        mine = tuple(f" - {self.annotator_id}{kind}" for kind in ("", REVIEW_TITLE))
        return sorted(row["id"] for row in found if row["title"].endswith(mine))

    def work(self, answer: Answer, *, most: int = 1_000_000) -> int:
        """Answers what every queue offers until it offers nothing, `most` tasks at most; returns how many."""
        done = 0
        for queue in self.queues():
            while done < most:
                offered = self._http.get(f"/api/projects/{queue}/next")
                if offered.status_code == httpx.codes.NOT_FOUND:
                    break
                task = offered.raise_for_status().json()
                self.call("POST", f"/api/tasks/{task['id']}/annotations/", answer(task["data"]))
                done += 1
        return done

    def call(self, method: str, path: str, body: JsonObject | None = None) -> Any:
        """Any other request in this person's name; raises httpx.HTTPStatusError for an answer that is no success."""
        response = self._http.request(method, path, json=body).raise_for_status()
        return response.json() if response.content else None


class SimulatedCrew:
    """The people of simulation.yaml, each signed in under their own account: their answers are those of the simulated platform."""

    def __init__(
        self,
        url: str,
        accounts: Mapping[str, Account],
        *,
        connection: Connection,
        simulation: Simulation,
        labels: tuple[str, ...],
    ) -> None:
        self._labels = labels
        self._simulation = simulation
        self._truths = TruthBook(simulation.truth)
        self._answers: dict[tuple[str, str], str] = {}
        """Asked again about the same sample, a person says the same."""
        self._people = [
            SignedInAnnotator(url, annotator_id, accounts[connection.sign_in(annotator_id)])
            for annotator_id in simulation.people
        ]

    def work(self) -> int:
        """Everybody answers everything in their queues; returns how many answers that were."""
        self._truths.refresh()
        return sum(person.work(partial(self._answer, person.annotator_id)) for person in self._people)

    def close(self) -> None:
        for person in self._people:
            person.close()

    def _answer(self, annotator_id: str, data: JsonObject) -> JsonObject:
        medium = next(str(value) for name, value in data.items() if not name.startswith("ao_"))
        identity = self._truths.known_as(unquote(medium.removeprefix(LOCAL_ROUTE)))
        person = self._simulation.people[annotator_id]
        if (annotator_id, identity) not in self._answers:
            seen = sum(who == annotator_id for who, _ in self._answers)
            visit = Visit(identity, self._truths.find(identity), self._labels, session_tasks=0, samples_seen=seen)
            self._answers[annotator_id, identity] = answer(person, visit, simulation=self._simulation)
        label = self._answers[annotator_id, identity]
        seconds = seconds_needed(person, identity, simulation=self._simulation)
        return {
            "result": result_of({"label": label}, task_type="classification"),
            "lead_time": round(seconds, 1),
        }
