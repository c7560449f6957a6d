from datetime import date, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from annotation_ops.domain.project.annotation_project import AnnotationProject
from annotation_ops.domain.project.parsing import FILES, OPTIONAL
from annotation_ops.domain.project.strict_yaml import MAX_DEPTH
from annotation_ops_tests.domain.project.examples import edited, faults_of, kind_of, parse, texts


def test_the_digits_project_reads_as_declared():
    project = parse(texts("digits"))

    assert project.name == "digits"
    assert project.taxonomy.names == tuple("0123456789")
    assert (project.workflow.overlap, project.workflow.batch_size, project.workflow.random_share) == (3, 60, 0.1)
    assert (project.criteria.statistic, project.criteria.threshold) == ("krippendorff_alpha_nominal", 0.85)
    assert len(project.workforce.annotators) == 12
    assert len({person.cohort for person in project.workforce.annotators}) == 3
    assert project.contract.slice_fields == ("scanner",)
    assert project.contract.subject_field is None
    assert project.contract.owner == "team:form-reading"
    assert project.contract.sla == timedelta(hours=24)
    assert project.sources.raw.start == date(2026, 1, 5)
    assert project.monitor is not None
    assert project.monitor.training == "annotation_ops.demo.training:train"
    assert project.versions.contract.startswith("1.0.0+")


def test_the_reviews_project_routes_by_language_and_region():
    project = parse(texts("reviews"))

    assert [dict(rule.when) for rule in project.routing.rules] == [{}, {"language": "en"}, {"language": "de"}]
    assert project.contract.allowed_regions == ("eu", "us")
    assert project.contract.region_field == "region"
    assert project.contract.owner == "voice@example.com"
    assert project.sources.scoring.log_uri == "reviews/predictions"


def test_calibration_takes_its_documented_defaults_and_is_nobody_s_without_being_declared():
    declared = parse(edited("workforce.yaml", "annotators:", "calibration: {required: true}\nannotators:"))

    assert declared.workforce.calibration is not None
    rules = declared.workforce.calibration.rules
    assert (rules.size, rules.minimum, rules.margin, rules.class_minimum) == (40, 0.85, 0.05, 0.6)
    assert (rules.confidence, rules.valid_for) == (0.95, timedelta(days=180))
    assert (declared.workforce.calibration.required, declared.workforce.calibration.pause) == (True, timedelta(days=1))
    assert parse(texts("digits")).workforce.calibration is None


def test_a_project_without_monitor_is_watched_by_nobody():
    documents = texts("digits")
    del documents["monitor"]
    project = parse(documents)

    assert project.monitor is None
    assert [document.kind for document in project.documents] == [kind for kind in FILES if kind not in OPTIONAL]


def test_optional_fields_take_their_documented_defaults():
    documents = texts("digits") | {
        "criteria": "version: 1.0.0\nstatistic: gwet_ac1\n",
        "workflow": "version: 1.0.0\nbatch_size: 60\noverlap: 3\n",
        "monitor": "version: 1.0.0\nmodel: digits-classifier\nexperiment: e\n",
    }
    project = parse(documents)

    assert (project.criteria.threshold, project.criteria.mode, project.criteria.margin) == (0.85, "not_worse", 0.05)
    assert (project.workflow.max_attempts, project.workflow.strategy) == (3, "margin_kmeans")
    assert (project.workflow.slice_quota, project.workflow.platform) == (None, "simulated")
    assert project.monitor is not None
    assert (project.monitor.metric, project.monitor.cooldown) == ("accuracy", timedelta(hours=24))


WEBHOOKS = """version: 1.0.0
endpoints:
  - name: warehouse
    url: https://hooks.example.com/annotation
    events: [labels.published, incident.opened]
    secret_env: WAREHOUSE_HOOK_SECRET
"""

PLACES = [
    ("contract.yaml", "kind: DataContract", "kin: DataContract", "kin"),
    ("contract.yaml", "id: digits", "id: dig its", "id"),
    ("contract.yaml", "id: digits", 'id: ".."', "id"),
    ("contract.yaml", "id: digits", "id: \u202edigits", "line 5"),
    ("contract.yaml", "version: 1.0.0", "version: 1.0", "version"),
    ("contract.yaml", "v3.1.0", "v3.0.0", "apiVersion"),
    ("contract.yaml", "name: form-reading", "nmae: form-reading", "team.nmae"),
    ("contract.yaml", "        required: true", "        requried: true", "schema[0].properties[0].requried"),
    ("contract.yaml", "required: true", "required: yes", "schema[0].properties[0].required"),
    ("contract.yaml", "required: true", "unique: true", "schema[0].properties[0].unique"),
    ("contract.yaml", "tags: [slice]", "tags: [slcie]", "schema[0].properties[1].tags[0]"),
    ("contract.yaml", 'pattern: "[A', 'pattern: "[[A', "schema[0].properties[0].logicalTypeOptions.pattern"),
    ("contract.yaml", "{1,32}", "{1,99999999999}", "schema[0].properties[0].logicalTypeOptions.pattern"),
    ("contract.yaml", "pattern:", "patern:", "schema[0].properties[0].logicalTypeOptions.patern"),
    ("contract.yaml", "metric: invalidValues", "metric: nullValues", "schema[0].properties[1].quality[0].metric"),
    (
        "contract.yaml",
        "validValues: [a, b, c]",
        "validValues: []",
        "schema[0].properties[1].quality[0].arguments.validValues",
    ),
    ("contract.yaml", "[a, b, c]", "[a, 2, c]", "schema[0].properties[1].quality[0].arguments.validValues[1]"),
    ("contract.yaml", "name: scanner", "name: sheet", "schema[0].properties[1].name"),
    ("contract.yaml", "        logicalType: string\n", "", "schema[0].properties[0].logicalType"),
    ("contract.yaml", "name: sample", "name: smaple", "schema[0].name"),
    ("contract.yaml", "engine: annotation_ops", "engine: soda", "schema[1].quality[0].engine"),
    ("contract.yaml", "property: latency", "property: latncy", "slaProperties"),
    ("contract.yaml", "value: 24", "value: 0", "slaProperties[0].value"),
    ("contract.yaml", "unit: h", "unit: weeks", "slaProperties[0].unit"),
    ("contract.yaml", "value: classification", "value: classify", "customProperties[0].value"),
    ("contract.yaml", "value: image\n", "value: audio\n", "customProperties[2].value[0]"),
    ("contract.yaml", "[image/png]", "[image/png, image/png]", "customProperties[2].value[1]"),
    ("contract.yaml", "property: maxBytes", "property: maxByte", "customProperties[3].property"),
    ("contract.yaml", "value: 262144", "value: -1", "customProperties[3].value"),
    ("contract.yaml", "property: maxPixels", "property: maxBytes", "customProperties[4].property"),
    ("taxonomy.yaml", 'name: "3"', "name: 3", "labels[3].name"),
    ("taxonomy.yaml", 'name: "3"', 'name: "2"', "labels[3].name"),
    ("taxonomy.yaml", 'name: "3"', 'nam: "3"', "labels[3].nam"),
    ("taxonomy.yaml", "ordered: false", "ordered: maybe", "ordered"),
    ("taxonomy.yaml", "labels:", "lables:", "lables"),
    ("guideline.md", "taxonomy_version: 1.0.0", "taxonomy_version: 1.1.0", "taxonomy_version"),
    ("guideline.md", "taxonomy_version: 1.0.0", "taxonomyVersion: 1.0.0", "taxonomyVersion"),
    ("guideline.md", "---\n", "--\n", ""),
    ("criteria.yaml", "threshold: 0.85", "threshold: 1.2", "threshold"),
    ("criteria.yaml", "threshold: 0.85", "threshold: 0", "threshold"),
    ("criteria.yaml", "threshold: 0.85", "treshold: 0.85", "treshold"),
    ("criteria.yaml", "margin: 0.05", "margin: 0.9", "margin"),
    ("criteria.yaml", "mode: not_worse", "mode: better", "mode"),
    ("criteria.yaml", "krippendorff_alpha_nominal", "krippendorf_alpha", "statistic"),
    ("criteria.yaml", "krippendorff_alpha_nominal", "cohen_kappa", "statistic"),
    ("criteria.yaml", "krippendorff_alpha_nominal", "mean_iou_matched", "statistic"),
    ("criteria.yaml", "min_overlap_tasks: 20", "min_overlap_tasks: 61", "min_overlap_tasks"),
    ("criteria.yaml", "confidence: 0.95", "confidence: .nan", "confidence"),
    ("workforce.yaml", "id: ann-02", "id: ann-01", "annotators[1].id"),
    ("workforce.yaml", "annotators:", "calibration: {margin: 0.9}\nannotators:", "calibration.margin"),
    ("workforce.yaml", "annotators:", "calibration: {size: 8}\nannotators:", "calibration.size"),
    ("workforce.yaml", "annotators:", "calibration: {minimum: 1}\nannotators:", "calibration.minimum"),
    ("workforce.yaml", "annotators:", "calibration: {valid_for: soon}\nannotators:", "calibration.valid_for"),
    ("workforce.yaml", "annotators:", "calibration: {sise: 40}\nannotators:", "calibration.sise"),
    ("workforce.yaml", "id: ann-02", "id: ann/02", "annotators[1].id"),
    ("workforce.yaml", "capacity: 60", "capacity: 0", "annotators[0].capacity"),
    ("workforce.yaml", "skills: [digits]", "skills: digits", "annotators[0].skills"),
    ("workforce.yaml", "skills: [digits]", "skills: [digits, 7]", "annotators[0].skills[1]"),
    ("workflow.yaml", "overlap: 3", "overlap: 1", "overlap"),
    ("workflow.yaml", "overlap: 3", "overlap: 5", "overlap"),
    ("workflow.yaml", "overlap: 3", "overlap: true", "overlap"),
    ("workflow.yaml", "slice_quota: null", "slice_quota: scaner", "slice_quota"),
    ("workflow.yaml", "slice_quota: null", "slice_quota: writer", "slice_quota"),
    ("workflow.yaml", "random_share: 0.10", "random_share: 1.5", "random_share"),
    ("workflow.yaml", "strategy: margin_kmeans", "strategy: margin_kmean", "strategy"),
    ("workflow.yaml", "batch_size: 60", "batch_size: 60.5", "batch_size"),
    ("routing.yaml", "when: {}", "when: {scaner: a}", "rules[0].when.scaner"),
    ("routing.yaml", "when: {}", "when: {scanner: d}", "rules[0].when.scanner"),
    ("routing.yaml", "when: {}", "when: {scanner: 1}", "rules[0].when.scanner"),
    ("routing.yaml", "skills: [digits]", "same_region: true", "rules[0].same_region"),
    ("routing.yaml", "skills: [digits]", "cohorts: [nroth, south]", "rules[0].cohorts[0]"),
    ("sources.yaml", "start: 2026-01-05", "start: 2026-02-30", "raw.start"),
    ("sources.yaml", "uri: digits/raw", "uri: ../raw", "raw.uri"),
    ("sources.yaml", "uri: digits/raw", "uri: digits/../../raw", "raw.uri"),
    ("sources.yaml", "%Y-%m-%d/", "%Y-%m/", "raw.day_prefix"),
    ("sources.yaml", "features: pixels\n  width: 8\n  height: 8", "features: text", "scoring.features"),
    ("sources.yaml", "  width: 8\n", "", "scoring.width"),
    ("sources.yaml", "  width: 8\n", "  log_uri: logs\n", "scoring"),
    ("monitor.yaml", "model: digits-classifier", "model: digits-clasifier", "model"),
    ("monitor.yaml", "cooldown: 24h", "cooldown: 24", "cooldown"),
    ("monitor.yaml", "training:train", "training.train", "training"),
    ("monitor.yaml", "relabel_budget: 80", "relabel_budget: 10", "relabel_budget"),
]


@pytest.mark.parametrize(("file", "old", "new", "path"), PLACES)
def test_a_fault_names_its_file_and_its_place_inside(file, old, new, path):
    faults = faults_of(edited(file, old, new))

    assert (file, path) in {(fault.file, fault.path) for fault in faults}
    assert {fault.file for fault in faults} <= {file, "workflow.yaml"}


@pytest.mark.parametrize(
    ("file", "old", "new", "meant"),
    [
        ("criteria.yaml", "threshold: 0.85", "treshold: 0.85", "'threshold'"),
        ("criteria.yaml", "krippendorff_alpha_nominal", "krippendorf_alpha_nominal", "'krippendorff_alpha_nominal'"),
        ("contract.yaml", "requried", "requried", "'required'"),
        ("contract.yaml", "property: maxBytes", "property: maxByte", "'maxBytes'"),
        ("contract.yaml", "status: active", "stattus: active", "'status'"),
        ("workflow.yaml", "slice_quota: null", "slice_quota: scaner", "'scanner'"),
        ("routing.yaml", "when: {}", "when: {scaner: a}", "'scanner'"),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_the_word_that_was_meant(file, old, new, meant):
    documents = edited("contract.yaml", "        required: true", "        requried: true") if old == new else None
    faults = faults_of(documents or edited(file, old, new))

    assert any(f"Did you mean {meant}?" == fault.mend for fault in faults)


def test_one_slip_in_the_contract_makes_one_fault():
    for old, new in (
        ("        required: true", "        requried: true"),
        ("engine: ann", "engin: ann"),
        ("id: dig", "id: d g"),
    ):
        places = [fault.path for fault in faults_of(edited("contract.yaml", old, new))]
        assert len(places) == len(set(places)) <= 2, places


def test_every_fault_of_every_document_is_collected():
    documents = edited("criteria.yaml", "threshold: 0.85", "threshold: 2")
    documents["criteria"] = documents["criteria"].replace("mode: not_worse", "mode: x")
    documents["workforce"] = documents["workforce"].replace("ann-02", "ann-01")
    documents["sources"] = documents["sources"].replace("features: pixels", "features: sound")
    del documents["routing"]
    found = {(fault.file, fault.path) for fault in faults_of(documents)}

    assert found >= {
        ("criteria.yaml", "threshold"),
        ("criteria.yaml", "mode"),
        ("workforce.yaml", "annotators[1].id"),
        ("sources.yaml", "scoring.features"),
        ("routing.yaml", ""),
    }


@pytest.mark.parametrize("project", ["digits", "reviews"])
def test_comments_layout_and_key_order_do_not_count(project):
    before = parse(texts(project))
    documents = {
        kind: "\n".join(reversed_blocks(text)) + "\n# the end\n"
        if kind != "guideline"
        else text.replace("\n", "  \r\n") + "\n"
        for kind, text in texts(project).items()
    }
    after = parse(documents)

    assert [d.content_hash for d in after.documents] == [d.content_hash for d in before.documents]
    assert after.versions == before.versions


def reversed_blocks(text: str) -> list[str]:
    """Top-level YAML blocks in reverse order, with a comment before each."""
    blocks: list[list[str]] = []
    for line in text.splitlines():
        if line and line[0] not in " #-":
            blocks.append([])
        if blocks:
            blocks[-1].append(line)
    return [line for block in reversed(blocks) for line in ["# a remark", *block, ""]]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("contract.yaml", "value: 24", "value: 25"),
        ("taxonomy.yaml", "Four, open", "Four open"),
        ("guideline.md", "Choose the digit", "Name the digit"),
        ("workforce.yaml", "capacity: 60", "capacity: 61"),
    ],
)
def test_every_change_of_content_changes_the_hash_of_that_document_only(file, old, new):
    before, after = parse(texts("digits")), parse(edited(file, old, new))
    changed = [
        one.kind
        for one, other in zip(before.documents, after.documents, strict=True)
        if one.content_hash != other.content_hash
    ]

    assert changed == [kind_of(file)]


def test_the_order_of_labels_counts():
    documents = texts("reviews")
    lines = documents["taxonomy"].replace("name: positive", "name: x").replace("name: neutral", "name: positive")
    documents["taxonomy"] = lines.replace("name: x", "name: neutral")

    assert parse(documents).versions.taxonomy != parse(texts("reviews")).versions.taxonomy


NASTY = (
    "\x00",
    "\u202e",
    "&a ",
    "*a",
    "!!python/name:os.system ",
    "---\n",
    ".nan",
    "1e999",
    "[" * 2000,
    "{",
    "- ",
    ": ",
    "\t",
    "9" * 5000,
    "\ud800",
    "null",
    "\n",
    '"',
    "'",
    "|",
    "? ",
    "<<: ",
    "\ufeff",
)


@settings(max_examples=150)
@given(
    project=st.sampled_from(["digits", "reviews"]),
    kind=st.sampled_from(list(FILES)),
    start=st.floats(0, 1),
    length=st.integers(0, 40),
    put=st.sampled_from(NASTY) | st.text(max_size=6),
)
def test_no_edit_of_a_document_raises_anything_but_invalid_document(project, kind, start, length, put):
    documents = {"webhooks": WEBHOOKS} | texts(project)
    text = documents[kind]
    at = int(start * len(text))
    documents[kind] = text[:at] + put + text[at + length :]

    for fault in faults_of(documents):
        assert fault.file in FILES.values()
        assert str(fault).encode()


VALUES = st.sampled_from(
    [
        "null",
        "true",
        "0",
        "-1",
        "1e308",
        "''",
        "[]",
        "{}",
        "[[]]",
        "[{}]",
        "{a: {}}",
        "text",
        "[1, a, null]",
        "10000000000000000000000",
    ]
)


@settings(max_examples=200)
@example(kind="contract", line=0, value="[]", project="digits")
@given(
    project=st.sampled_from(["digits", "reviews"]),
    kind=st.sampled_from([kind for kind in FILES if kind != "guideline"]),
    line=st.integers(0, 80),
    value=VALUES,
)
def test_no_value_of_another_type_raises_anything_but_invalid_document(project, kind, line, value):
    documents = {"webhooks": WEBHOOKS} | texts(project)
    lines = documents[kind].splitlines()
    line %= len(lines)
    head, mark, _ = lines[line].partition(": ")
    if not mark and lines[line].endswith(":"):
        head, mark = lines[line][:-1], ": "
        indent = len(head) - len(head.lstrip(" -"))
        end = line + 1
        while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > indent:
            end += 1
        del lines[line + 1 : end]
    lines[line] = f"{head}{mark}{value}" if mark else lines[line]
    documents[kind] = "\n".join(lines)

    outcome = faults_of(documents) or parse(documents)
    assert isinstance(outcome, tuple | AnnotationProject)


def test_a_hundred_thousand_levels_in_any_document_are_one_fault():
    for kind, file in FILES.items():
        bomb = "[" * 100_000
        documents = texts("digits")
        documents[kind] = f"---\nversion: {bomb}\n---\n" if kind == "guideline" else f"version: {bomb}"
        [fault] = [fault for fault in faults_of(documents) if fault.file == file]
        assert fault.found == f"more than {MAX_DEPTH} levels"
