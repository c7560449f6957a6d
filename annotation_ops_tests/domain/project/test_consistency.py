import pytest

from annotation_ops.domain.project.consistency import STATISTICS_OF_TASK
from annotation_ops.domain.project.criteria import STATISTICS
from annotation_ops.scaffold import DEFAULT_MEDIA, render
from annotation_ops_tests.domain.project.examples import faults_of, kind_of


def scaffolded(task_type):
    files = render("p", task_type=task_type, media=DEFAULT_MEDIA.get(task_type, "image"))
    named = {path.rpartition("/")[2]: text for path, text in files.items() if path.startswith("projects/p/")}
    return {kind_of(file): text for file, text in named.items() if file != "simulation.yaml"}


@pytest.mark.parametrize("task_type", sorted(STATISTICS_OF_TASK))
@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_statistic_is_accepted_for_the_task_types_it_is_defined_on(task_type, statistic):
    documents = scaffolded(task_type)
    lines = documents["criteria"].splitlines()
    documents["criteria"] = "\n".join(
        f"statistic: {statistic}" if "statistic:" in line[:10] else line for line in lines
    )
    documents["workflow"] = documents["workflow"].replace("overlap: 3", "overlap: 2")
    faults = faults_of(documents)

    if statistic in STATISTICS_OF_TASK[task_type]:
        assert faults == ()
    else:
        assert [(fault.file, fault.path) for fault in faults] == [("criteria.yaml", "statistic")]


def test_an_ordinal_task_needs_an_order():
    documents = scaffolded("ordinal")
    documents["taxonomy"] = documents["taxonomy"].replace("ordered: true", "ordered: false")

    assert [(fault.file, fault.path) for fault in faults_of(documents)] == [("taxonomy.yaml", "ordered")]


@pytest.mark.parametrize(("task_type", "least"), [("classification", 2), ("boxes", 1), ("spans", 1)])
def test_a_task_that_decides_needs_labels_to_decide_between(task_type, least):
    documents = scaffolded(task_type)
    documents["taxonomy"] = "version: 1.0.0\nlabels: []\n"
    [fault] = faults_of(documents)

    assert (fault.file, fault.path) == ("taxonomy.yaml", "labels")
    assert fault.expected.startswith(f"at least {least} ")


def test_free_text_needs_no_label():
    assert faults_of(scaffolded("text")) == ()


def test_a_faulty_document_does_not_hide_disagreements_between_the_others():
    documents = scaffolded("classification")
    documents["guideline"] = documents["guideline"].replace("taxonomy_version: 1.0.0", "taxonomy_version: 2.0.0")
    documents["criteria"] = "version: 1"
    found = {(fault.file, fault.path) for fault in faults_of(documents)}

    assert found == {("guideline.md", "taxonomy_version"), ("criteria.yaml", "version"), ("criteria.yaml", "statistic")}
