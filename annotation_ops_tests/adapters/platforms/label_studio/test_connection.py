from pathlib import Path

import pytest

from annotation_ops.adapters.platforms.label_studio.connection import Connection, load_connection
from annotation_ops.domain.errors import InvalidDocument, InvalidInput

CONNECTION = Connection("{id}@crew.example", {"ann-07": "Partner@elsewhere.example"}, Path("/srv/data"))


def test_people_sign_in_by_the_pattern_or_by_their_own_address() -> None:
    assert CONNECTION.sign_in("ann-01") == "ann-01@crew.example"
    assert CONNECTION.sign_in("ann-07") == "Partner@elsewhere.example"


@pytest.mark.parametrize(
    ("email", "annotator"),
    [
        ("ann-01@crew.example", "ann-01"),
        ("ANN-01@CREW.example", "ann-01"),
        ("partner@elsewhere.example", "ann-07"),
        ("ann-07@crew.example", None),
        ("@crew.example", None),
        ("ann-01@crew.example.evil", None),
        ("ann-01@other.example", None),
        ("", None),
    ],
)
def test_an_address_leads_to_one_person_or_to_nobody(email: str, annotator: str | None) -> None:
    assert CONNECTION.annotator(email) == annotator


def test_without_a_pattern_only_the_people_named_have_an_account() -> None:
    connection = Connection("", {"ann": "a@b.example"})

    assert connection.annotator("x@b.example") is None
    assert connection.sign_in("bob") == "bob@undeclared"


def test_a_file_is_shown_by_the_servers_own_route_and_an_address_as_it_is() -> None:
    assert CONNECTION.shown("file:///srv/data/raw/a%20b.png", media="image") == "/data/local-files/?d=raw/a%20b.png"
    assert CONNECTION.shown("s3://raw/a.png", media="image") == "s3://raw/a.png"


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "file:///srv/data/../secret.png", "file:///srv/database/a.png"])
def test_a_file_that_the_server_does_not_serve_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInput, match="outside of the folder"):
        CONNECTION.shown(uri, media="image")


def test_a_text_goes_itself() -> None:
    assert CONNECTION.shown("see https://a.example", media="text") == "see https://a.example"
    with pytest.raises(InvalidInput, match="no store to read it from"):
        CONNECTION.shown("s3://raw/a.txt", media="text")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("version: 1.0.0\n", ""),
        ("version: 1.0.0\nsign_in: nobody@crew.example\n", "sign_in"),
        ("version: 1.0.0\npeople: {ann: nobody}\n", "people.ann"),
        ("version: 1.0.0\nsign_in: '{id}@a'\nextra: 1\n", ""),
        ("a: [", "line 1"),
        ("- a\n", ""),
    ],
)
def test_a_document_that_says_something_else_names_the_place(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / "label_studio.yaml").write_text(text)

    with pytest.raises(InvalidDocument) as caught:
        load_connection(tmp_path / "label_studio.yaml")
    assert place in {fault.path for fault in caught.value.faults}


def test_a_missing_document_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDocument, match=r"label_studio\.yaml"):
        load_connection(tmp_path / "label_studio.yaml")
