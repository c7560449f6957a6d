import re
from dataclasses import fields
from pathlib import Path

import pytest

from annotation_ops.domain.project.criteria import STATISTICS, Criteria
from annotation_ops.domain.project.guideline import Guideline
from annotation_ops.domain.project.monitor import Monitor
from annotation_ops.domain.project.parsing import FILES
from annotation_ops.domain.project.routing import Routing, RoutingRule
from annotation_ops.domain.project.sources import RawSource, Scoring
from annotation_ops.domain.project.taxonomy import Label, Taxonomy
from annotation_ops.domain.project.webhooks import Endpoint, Webhooks
from annotation_ops.domain.project.workflow import Workflow
from annotation_ops.domain.project.workforce import Annotator
from annotation_ops_tests.domain.project.examples import faults_of, kind_of, texts

PAGE = (Path(__file__).parents[3] / "docs" / "annotation-projects.md").read_text(encoding="utf-8")
EXAMPLES = {
    file: re.search(r"```(?:yaml|markdown)\n(.*?)```", PAGE.partition(f"## {file}")[2], re.DOTALL)[1]
    for file in FILES.values()
}
READ_AS = {"annotator_id": "id", "text": "Markdown"}


@pytest.mark.parametrize("file", ["criteria.yaml", "sources.yaml", "monitor.yaml", "contract.yaml", "webhooks.yaml"])
def test_the_example_on_the_page_is_sound_within_the_digits_project(file):
    assert faults_of(texts("digits") | {kind_of(file): EXAMPLES[file]}) == ()


@pytest.mark.parametrize("file", sorted(FILES.values()))
def test_the_example_on_the_page_has_no_fault_of_form(file):
    faults = faults_of({kind_of(file): EXAMPLES[file]})

    assert [fault for fault in faults if fault.file == file] == []


@pytest.mark.parametrize(
    ("file", "record"),
    [
        ("taxonomy.yaml", Taxonomy),
        ("taxonomy.yaml", Label),
        ("guideline.md", Guideline),
        ("criteria.yaml", Criteria),
        ("workforce.yaml", Annotator),
        ("workflow.yaml", Workflow),
        ("routing.yaml", Routing),
        ("routing.yaml", RoutingRule),
        ("sources.yaml", RawSource),
        ("sources.yaml", Scoring),
        ("monitor.yaml", Monitor),
        ("webhooks.yaml", Webhooks),
        ("webhooks.yaml", Endpoint),
    ],
)
def test_every_field_of_a_document_is_on_the_page(file, record):
    section = PAGE.partition(f"## {file}")[2].partition("\n## ")[0]
    words = set(re.findall(r"\w+", section))

    assert [field.name for field in fields(record) if READ_AS.get(field.name, field.name) not in words] == []


def test_every_statistic_is_on_the_page():
    assert [name for name in STATISTICS if f"`{name}`" not in PAGE] == []
