import json
import shutil

import pytest
from click.testing import CliRunner

from annotation_ops.cli.validate import validate
from annotation_ops_tests.domain.project.examples import PROJECTS


@pytest.fixture
def root(tmp_path):
    return shutil.copytree(PROJECTS, tmp_path / "projects")


def run(*arguments, root=PROJECTS):
    return CliRunner(env={"ANNOTATION_OPS_PROJECTS": str(root)}).invoke(validate, [str(a) for a in arguments])


def damage(root):
    path = root / "digits" / "criteria.yaml"
    path.write_text(path.read_text().replace("threshold: 0.85", "threshold: 2").replace("mode:", "moed:"))


def test_sound_projects_are_named_with_their_versions_and_exit_0():
    result = run()

    assert result.exit_code == 0
    assert f"{PROJECTS / 'digits'}: sound (contract 1.0.0+" in result.stdout
    assert "reviews: sound" in result.stdout


def test_every_fault_is_printed_with_its_place_and_exit_2(root):
    damage(root)
    result = run("digits", root=root)

    assert result.exit_code == 2
    assert result.stdout.splitlines() == [
        f"{root / 'digits'}: 2 faults",
        "  criteria.yaml: threshold: found the number 2, expected a number above 0 to 1.",
        "  criteria.yaml: moed: found an unknown field, expected " + FIELDS + ". Did you mean 'mode'?",
    ]


FIELDS = (
    "audit, confidence, consensus, critical_class_agreement, gold, label_mix, margin, max_share_below, min_confidence, "
    "min_overlap_tasks, mode, statistic ... (15 in all)"
)


def test_a_sound_project_does_not_hide_a_faulty_one(root):
    damage(root)
    result = run(root=root)

    assert result.exit_code == 2
    assert "digits: 2 faults" in result.stdout
    assert "reviews: sound" in result.stdout


def test_json_is_one_document_that_names_faults_and_documents(root):
    damage(root)
    result = run("--json", root=root)
    report = json.loads(result.stdout)

    assert result.exit_code == 2
    assert report["valid"] is False
    digits, reviews = report["projects"]
    assert (digits["valid"], reviews["valid"]) == (False, True)
    assert digits["faults"][0] | {"mend": ""} == {
        "file": "criteria.yaml",
        "path": "threshold",
        "found": "the number 2",
        "expected": "a number above 0 to 1",
        "mend": "",
    }
    assert [document["kind"] for document in reviews["documents"]][:2] == ["contract", "taxonomy"]
    assert all(len(document["hash"]) == 64 for document in reviews["documents"])


def test_a_project_is_named_by_path_or_by_name(root):
    assert run(root / "digits").exit_code == 0
    assert run("reviews", root=root).exit_code == 0


def test_an_unknown_project_is_wrong_use_and_the_near_name_is_offered(root):
    result = run("reveiws", root=root)

    assert result.exit_code == 2
    assert "reveiws: found neither a folder nor a project under" in result.stderr
    assert "Did you mean 'reviews'?" in result.stderr


def test_a_root_without_projects_is_wrong_use(tmp_path):
    result = run(root=tmp_path)

    assert result.exit_code == 2
    assert "found no annotation project" in result.stderr


def test_two_projects_may_not_share_an_id(root):
    shutil.copytree(root / "digits", root / "more-digits")
    result = run(root=root)

    assert result.exit_code == 2
    assert "more-digits: 1 fault\n  contract.yaml: id: found 'digits', the id of" in result.stdout


def test_the_same_folder_twice_is_no_clash(root):
    assert run("digits", root / "digits", root=root).exit_code == 0
