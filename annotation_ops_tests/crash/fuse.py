"""A fuse in front of every port that changes something: it kills the process before or after a chosen effect.

A killed process runs no clean-up, so after the fuse has burnt every port refuses every call, `finally` blocks included.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Side = Literal["before", "after"]


class Crash(BaseException):
    """The process is gone. No `Exception`, so that nothing can handle it."""


@dataclass
class Fuse:
    """Counts effects; burns at number `at` (from 1). `at` None only counts."""

    at: int | None = None
    side: Side = "before"
    effects: list[str] = field(default_factory=list)
    burnt: bool = False

    def check(self) -> None:
        if self.burnt:
            raise Crash

    def burn_if(self, side: Side) -> None:
        if (len(self.effects), side) == (self.at, self.side):
            self.burnt = True
            raise Crash

    @contextmanager
    def effect(self, name: str) -> Iterator[None]:
        self.check()
        self.effects.append(name)
        self.burn_if("before")
        yield
        self.burn_if("after")


class Fused:
    """A port behind the fuse: the named methods are effects, all others only need a living process."""

    def __init__(self, port: Any, *, fuse: Fuse, effects: frozenset[str]) -> None:
        self._port, self._fuse, self._effects = port, fuse, effects

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found
        return self._effect(name, found) if name in self._effects else self._alive(found)

    def _alive(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def read(*args: Any, **named: Any) -> Any:
            self._fuse.check()
            return call(*args, **named)

        return read

    def _effect(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def change(*args: Any, **named: Any) -> Any:
            with self._fuse.effect(name):
                return call(*args, **named)

        return change


class FusedLedger(Fused):
    """The effect of a transaction is its commit: a crash before it rolls everything back."""

    @contextmanager
    def transaction(self, **named: Any) -> Iterator[Any]:
        self._fuse.check()
        with self._port.transaction(**named) as tx:
            yield tx
            self._fuse.check()
            self._fuse.effects.append("commit")
            self._fuse.burn_if("before")
        self._fuse.burn_if("after")


def fused(workshop: Any, fuse: Fuse) -> None:
    """Puts the fuse in front of all of a workshop's ports."""
    leases = frozenset({"acquire_lease", "release_lease"})
    workshop.ledger = FusedLedger(workshop.ledger, fuse=fuse, effects=leases)
    tasks = frozenset({"ensure_project", "create_tasks", "assign", "withdraw_tasks"})
    workshop.platform = Fused(workshop.platform, fuse=fuse, effects=tasks)
    tables = frozenset({"append_once", "upsert", "overwrite_partition"})
    workshop.lake = Fused(workshop.lake, fuse=fuse, effects=tables)
    workshop.tracking = Fused(workshop.tracking, fuse=fuse, effects=frozenset({"log_label_commit", "tag_run"}))
    workshop.trigger = Fused(workshop.trigger, fuse=fuse, effects=frozenset({"submit"}))
