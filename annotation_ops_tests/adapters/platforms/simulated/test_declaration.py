import json
from pathlib import Path

import pytest
import yaml

from annotation_ops.adapters.platforms.simulated.declaration import load_simulation
from annotation_ops.adapters.platforms.simulated.simulation import SliceModifier, Spammer, Truth, TruthItem
from annotation_ops.adapters.platforms.simulated.truth_book import TruthBook, identity_of
from annotation_ops.domain.errors import InvalidDocument, NotFound

PROJECTS = Path(__file__).parents[4] / "projects"
MINIMAL = {"version": "1.0.0", "truth": {"items": []}, "people": {"ann": {}}}


def write(folder: Path, **changes: object) -> Path:
    path = folder / "simulation.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, **changes}))
    return path


def faults_of(path: Path) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidDocument) as caught:
        load_simulation(path)
    assert {fault.file for fault in caught.value.faults} == {str(path)}
    return [(fault.path, fault.found, fault.expected) for fault in caught.value.faults]


@pytest.mark.parametrize("project", ["digits", "reviews"])
def test_the_example_projects_declare_exactly_the_people_of_their_workforce(project: str) -> None:
    simulation = load_simulation(PROJECTS / project / "simulation.yaml", data_root=Path("/data"))
    workforce = yaml.safe_load((PROJECTS / project / "workforce.yaml").read_text())

    assert set(simulation.people) == {annotator["id"] for annotator in workforce["annotators"]}
    assert simulation.truth.file == Path(f"/data/truth/{project}.jsonl")


def test_everything_that_can_be_declared_arrives(tmp_path: Path) -> None:
    person = {
        "accuracy": 0.9,
        "confusions": {"4": {"9": 0.2}},
        "slices": [{"when": {"scanner": "b"}, "accuracy_times": 0.8}],
        "seconds": {"median": 3, "sigma": 0.1},
        "late_edit": {"probability": 0.3, "median_seconds": 60},
        "dropout": 0.1,
    }
    people = {
        "ann": person,
        "bot": {"spammer": "random"},
        "one": {"spammer": {"always": "1"}},
        "cat": {"spammer": {"copies": "ann"}},
    }
    path = write(tmp_path, people=people, seed=9, speed_up=50, defaults={"fatigue": 0.25, "dropout": 0.5})
    simulation = load_simulation(path)
    ann = simulation.people["ann"]

    assert (simulation.seed, simulation.speed_up) == (9, 50)
    assert (ann.annotator_id, ann.accuracy, ann.fatigue, ann.dropout) == ("ann", 0.9, 0.25, 0.1)
    assert ann.slices == (SliceModifier((("scanner", "b"),), 0.8),)
    assert (ann.median_seconds, ann.sigma, ann.late_edit, ann.late_edit_seconds) == (3, 0.1, 0.3, 60)
    assert [simulation.people[name].spammer for name in ("ann", "bot", "one", "cat")] == [
        None,
        Spammer("random"),
        Spammer("always", "1"),
        Spammer("copies", "ann"),
    ]


def test_every_fault_is_named_with_its_place(tmp_path: Path) -> None:
    people = {"ann": {"accuracy": 1.5, "slice": []}, "bob": {"seconds": {"median": 0}}}
    path = write(tmp_path, people=people, seed="x")
    faults = faults_of(path)

    assert ("people.ann.accuracy", "1.5", "at most 1") in faults
    assert ("people.bob.seconds.median", "0", "more than 0") in faults
    assert ("seed", '"x"', "a value of type integer") in faults
    assert any(place == "people.ann" and "only the fields accuracy, confusions" in says for place, _, says in faults)


@pytest.mark.parametrize(
    ("people", "place"),
    [
        ({"cat": {"spammer": {"copies": "nobody"}}}, "people.cat.spammer.copies"),
        (
            {"cat": {"spammer": {"copies": "dog"}}, "dog": {"spammer": {"copies": "cat"}}},
            "people.cat.spammer.copies",
        ),
        ({"ann": {"confusions": {"4": {"9": 0.7, "1": 0.7}}}}, "people.ann.confusions.4"),
        ({"ann": {"confusions": {"4": {"4": 0.1}}}}, "people.ann.confusions.4"),
        ({"ann": {"spammer": "sometimes"}}, "people.ann.spammer"),
    ],
)
def test_habits_that_contradict_themselves_are_refused(tmp_path: Path, people: dict[str, object], place: str) -> None:
    assert faults_of(write(tmp_path, people=people))[0][0] == place


@pytest.mark.parametrize(
    ("body", "place"),
    [(b"people: [", "line 1"), (b"\xff\xfe", "byte 0"), (b"- a list", "")],
)
def test_what_is_no_yaml_object_is_refused_with_its_line(tmp_path: Path, body: bytes, place: str) -> None:
    path = tmp_path / "simulation.yaml"
    path.write_bytes(body)

    assert faults_of(path)[0][0] == place


def test_a_missing_document_is_an_invalid_one(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "absent.yaml")[0][1] == "no such file"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("s3://raw/2026-11-01/7.png", "s3://raw/2026-11-01/7.png"),
        ("2026-11-01/7.png", "s3://raw/2026-11-01/7.png"),
        ("7.png", "file:///data/raw/7.png"),
        ("scan-7", "s3://raw/2026-11-01/scan-7.png"),
        ("raw/7.png", "https://host/raw/7.png?X-Amz-Signature=0f&x=/1.png"),
        ("Good value. Would buy again?", "Good value. Would buy again?"),
    ],
)
def test_a_truth_is_found_by_uri_tail_of_the_path_file_name_or_text(key: str, shown: str) -> None:
    book = TruthBook(Truth({key: TruthItem("7")}))

    assert book.find(identity_of(shown)) == TruthItem("7")
    assert book.find(identity_of("s3://raw/17.png")) is None


def test_a_truth_file_gives_labels_and_slices_and_is_read_again_when_replaced(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text(json.dumps({"uri": "1.png", "label": 1, "scanner": "b"}) + "\n\n")
    book = TruthBook(Truth(file=path))
    book.refresh()
    first = book.find("s3://raw/1.png")
    rows = [{"sample_id": "1.png", "label": "2"}, {"text": "fine", "label": "good", "slices": {"language": "en"}}]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    book.refresh()

    assert first == TruthItem("1", {"scanner": "b"})
    assert book.find("s3://raw/1.png") == TruthItem("2")
    assert book.find("fine") == TruthItem("good", {"language": "en"})


@pytest.mark.parametrize("line", ["{", "[1]", '{"uri": "a"}', '{"label": "1"}', '{"uri": "a", "label": true}'])
def test_a_broken_truth_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text('{"uri": "ok", "label": "1"}\n' + line)
    with pytest.raises(InvalidDocument) as caught:
        TruthBook(Truth(file=path)).refresh()

    assert caught.value.faults[0].path == "line 2"


def test_a_truth_file_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.jsonl"):
        TruthBook(Truth(file=tmp_path / "absent.jsonl")).refresh()


def test_labels_that_yaml_reads_as_numbers_are_still_labels_and_as_truth_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "simulation.yaml"
    text = "version: 1.0.0\ntruth: {items: []}\npeople: {ann: {confusions: {4: {9: 0.2}}}}\n"
    path.write_text(text)
    read = load_simulation(path).people["ann"].confusions
    path.write_text(text.replace("4:", "no:"))

    assert read == {"4": {"9": 0.2}}
    assert faults_of(path)[0][1:] == ("false", "a value of type string")


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    path = tmp_path / "simulation.yaml"
    path.write_text("version: 1.0.0\n")

    assert ("", '{"version": "1.0.0"}', "the fields version, truth, people") in faults_of(path)
