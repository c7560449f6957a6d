import os
import shutil

import pytest

from annotation_ops.adapters.project_folder import MAX_BYTES, find_projects, load_project
from annotation_ops.domain.errors import InvalidDocument, NotFound
from annotation_ops_tests.domain.project.examples import PROJECTS


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(PROJECTS / "digits", tmp_path / "digits")


def faults_of(folder):
    with pytest.raises(InvalidDocument) as caught:
        load_project(folder)
    return [(fault.file, fault.found) for fault in caught.value.faults]


def test_every_example_project_is_found_and_sound():
    found = find_projects(PROJECTS)

    assert [folder.name for folder in found] == ["digits", "reviews"]
    assert [load_project(folder).name for folder in found] == ["digits", "reviews"]


def test_the_documents_keep_the_text_that_was_read(folder):
    documents = {document.kind: document.body for document in load_project(folder).documents}

    assert documents["taxonomy"] == (folder / "taxonomy.yaml").read_text(encoding="utf-8")
    assert "simulation" not in documents


def test_a_folder_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(NotFound, match="found no folder, expected an annotation project"):
        load_project(tmp_path / "nothing")
    assert find_projects(tmp_path / "nothing") == ()


def test_only_folders_with_a_contract_are_projects(folder, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "contract.yaml").write_text("")

    assert find_projects(tmp_path) == (folder,)


def test_simulation_readme_and_hidden_files_may_lie_beside(folder):
    (folder / "simulation.yaml").write_text("not: [yaml")
    (folder / "README.md").write_text("hello")
    (folder / ".DS_Store").write_bytes(b"\0")

    assert load_project(folder).name == "digits"


def test_any_other_file_or_folder_is_a_fault(folder):
    (folder / "notes.txt").write_text("x")
    (folder / "old").mkdir()

    assert faults_of(folder) == [("notes.txt", "an unexpected file"), ("old", "an unexpected file")]


def test_a_misnamed_document_is_answered_with_the_right_name(folder):
    (folder / "taxonomy.yaml").rename(folder / "taxonomy.yml")
    with pytest.raises(InvalidDocument) as caught:
        load_project(folder)

    assert [fault.file for fault in caught.value.faults] == ["taxonomy.yml", "taxonomy.yaml"]
    assert caught.value.faults[0].mend == "Did you mean 'taxonomy.yaml'?"


def test_every_missing_document_is_named(tmp_path):
    with pytest.raises(InvalidDocument) as caught:
        load_project(tmp_path)

    assert len(caught.value.faults) == 8


def test_bytes_that_are_no_utf_8_are_named_by_offset(folder):
    (folder / "routing.yaml").write_bytes(b"version: \xff\xfe")

    assert faults_of(folder) == [("routing.yaml", "byte 0xff at offset 9")]


def test_a_byte_order_mark_is_accepted(folder):
    text = (folder / "routing.yaml").read_bytes()
    before = load_project(folder).versions
    (folder / "routing.yaml").write_bytes(b"\xef\xbb\xbf" + text)

    assert load_project(folder).versions == before


def test_a_huge_file_is_refused_without_reading_it_whole(folder):
    with (folder / "routing.yaml").open("wb") as file:
        file.truncate(MAX_BYTES * 1000)

    assert faults_of(folder) == [("routing.yaml", f"more than {MAX_BYTES:,} bytes")]


def test_something_that_is_no_file_is_a_fault(folder):
    (folder / "routing.yaml").unlink()
    os.mkfifo(folder / "routing.yaml")
    (folder / "monitor.yaml").unlink()
    (folder / "monitor.yaml").symlink_to("nowhere")

    assert faults_of(folder) == [
        ("routing.yaml", "something that is no file"),
        ("monitor.yaml", "something that is no file"),
    ]
