"""Dagster's storage: set up once, whoever comes first."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from annotation_ops.adapters.dagster_instance import initialise_instance

# A process of the system's start: set up, then use the instance as webserver, daemon and code server do.
START = """
import sys
from pathlib import Path

import dagster as dg

from annotation_ops.adapters.dagster_instance import initialise_instance

print("ready", flush=True)
for home in sys.stdin.read().split():
    initialise_instance(Path(home))
    with dg.DagsterInstance.from_config(home) as instance:
        instance.add_dynamic_partitions("batches", [f"from-{sys.argv[1]}"])
"""


def start_together(homes: list[Path], *, processes: int) -> None:
    """Starts the processes, waits until each has imported all it needs, and lets them go at once."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n".join(map(str, homes)))
        process.stdin.close()
    for process in started:
        with process:
            assert process.wait(timeout=300) == 0


def partitions(home: Path) -> set[str]:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return set(instance.get_dynamic_partitions("batches"))


def test_four_processes_may_start_on_an_empty_home(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"

    start_together([home], processes=4)

    assert partitions(home) == {f"from-{number}" for number in range(4)}


@pytest.mark.slow
def test_twenty_first_starts_of_four_processes_are_all_whole(tmp_path: Path) -> None:
    homes = [tmp_path / str(turn) for turn in range(20)]

    start_together(homes, processes=4)

    for home in homes:
        assert partitions(home) == {f"from-{number}" for number in range(4)}


def test_setting_up_again_keeps_what_is_there_and_says_nothing_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    initialise_instance(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("batches", ["b1"])

    initialise_instance(tmp_path)

    assert partitions(tmp_path) == {"b1"}
    assert capsys.readouterr().out == ""
