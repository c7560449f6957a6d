"""The reports as files: valid, self-contained, escaped, readable in light, dark and print, small with 300 annotators."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from annotation_ops.adapters.reports.html import PRINTED, TEMPLATES, batch_html, project_html
from annotation_ops.domain.project.contract import TaskType
from annotation_ops.domain.records import JsonObject
from annotation_ops.domain.reporting.project_report import project_report
from annotation_ops.services.govern import override
from annotation_ops.services.report import collect_batch_report, collect_project_report
from annotation_ops_tests.services.report_bench import Bench, moment

VOID = {"meta", "br", "img", "link", "input", "hr"}
EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Elements, attributes and texts; raises on a tag that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> repeats an attribute"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self.open, f"<{tag}/> closes itself outside a drawing"
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Three people: a rejected and a passed attempt, one that a person accepted, one that nobody has judged, an incident."""
    made = Bench.build(tmp_path_factory.mktemp("three"), people=("ann", "bob", "cyd"))
    made.history(2, rejected=(1,), tasks=100)
    failed = made.batch(2)
    made.annotate(failed, skill=0.6)
    made.judge(failed)
    override(
        made.project,
        failed,
        outcome="PASS",
        actor="mia",
        reason="Seen by two seniors.",
        ledger=made.ledger,
        now=moment(2, 1) + timedelta(hours=8),
    )
    made.batch(3)
    made.incident(3)
    yield made
    made.ledger.close()


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    people = [f"ann-{number:03d}" for number in range(300)]
    made = Bench.build(
        tmp_path_factory.mktemp("crowd"), people=people, labels=[f"label {number}" for number in range(40)]
    )
    made.history(2, tasks=1000)
    yield made
    made.ledger.close()


def pages(bench: Bench) -> dict[str, str]:
    found = {"project": project_html(collect_project_report(bench.project, ledger=bench.ledger))}
    for attempt in bench.ledger.attempts(bench.project.name):
        found[attempt.key] = batch_html(collect_batch_report(bench.project, attempt.key, ledger=bench.ledger))
    return found


def test_every_report_is_well_formed_and_says_nothing_of_python(bench: Bench) -> None:
    for name, text in pages(bench).items():
        page = Page(text)

        assert text.startswith("<!DOCTYPE html>"), name
        assert not re.search(r"\bNone\b(?!\.)|\bnan\b|Statistic\(|Undefined", page.text), name
        identities = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(identities) == len(set(identities)), name
        assert {a["href"] for a in page.of("a")} <= {f"#{identity}" for identity in identities}, name


def test_a_report_loads_nothing_and_runs_nothing(bench: Bench) -> None:
    for name, text in pages(bench).items():
        page = Page(text)

        assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:|data:", text), name
        assert page.of("script", "link", "img", "iframe", "object", "embed", "form", "base") == [], name
        assert not [attributes for _, attributes in page.elements if attributes.keys() & {"src", "srcset", "style"}], (
            name
        )
        assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")], name
        policy = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
        assert policy == ["default-src 'none'; style-src 'unsafe-inline'"], name


def test_whatever_people_wrote_is_shown_as_text(tmp_path: Path) -> None:
    made = Bench.build(tmp_path, people=(EVIL, "a\" onload='x", "{{ 7*7 }}"), labels=("<b>cat</b>", "dog&amp;", EVIL))
    made.history(1, rejected=(0,), tasks=40)
    key = made.batch(1)
    made.annotate(key, skill=0.5)
    made.judge(key)
    override(
        made.project,
        key,
        outcome="FAIL",
        actor="<i>mia",
        reason=EVIL,
        ledger=made.ledger,
        now=moment(1, 1) + timedelta(1),
    )
    made.incident(4, slices=("scanner:<img src=x>",))

    for name, text in pages(made).items():
        page = Page(text)

        assert page.of("script", "b", "i", "img") == [] or EVIL not in text, name
        assert page.of("script", "img") == [], name
        assert not [attributes for _, attributes in page.elements if "onload" in attributes], name
        assert EVIL in page.text, name
        assert "{{ 7*7 }}" in page.text, name
    made.ledger.close()


def test_evidence_from_outside_is_shown_as_text_too(bench: Bench) -> None:
    report = collect_batch_report(bench.project, bench.ledger.attempts(bench.project.name)[0].key, ledger=bench.ledger)
    odd: JsonObject = {
        EVIL: [{"<u>": EVIL}, {"<u>": {"value": None, "reason": EVIL, "n": 0}}],
        "list": [EVIL, 0.25, True],
    }

    page = Page(batch_html(replace(report, extras=((EVIL, odd), ("plain", "<u>text</u>")))))

    assert page.of("script", "u") == []
    assert "<u>text</u>" in page.text


def test_who_is_flagged_is_listed_with_reasons_and_a_hostile_reason_is_text(bench: Bench) -> None:
    raised = {"bob": [f"Calibration is due. {EVIL}"]}

    page = Page(project_html(collect_project_report(bench.project, ledger=bench.ledger, raised=raised)))

    flagged = page.text.partition("Flagged for a look")[2].partition("All annotators")[0]
    assert re.search(r"bob south Calibration is due\. <script>", flagged)
    assert page.of("script") == []
    without = Page(project_html(collect_project_report(bench.project, ledger=bench.ledger, raised={})))
    assert "Nobody stands out." in without.text


def test_whose_accuracy_fell_is_flagged_with_the_numbers(bench: Bench) -> None:
    text = Page(project_html(collect_project_report(bench.project, ledger=bench.ledger))).text

    flagged = text.partition("Flagged for a look")[2].partition("All annotators")[0]
    assert re.search(r"ann north Accuracy fell from 9\d% to 7\d% after about \d+ of \d+ judgements\.", flagged)


def test_who_agrees_less_is_told_beside_everybody_and_the_usual_pace(tmp_path: Path) -> None:
    made = Bench.build(tmp_path, people=("ann", "bob", "cyd", "dan"))
    made.history(1, tasks=200, weak={"cyd": 0.5})

    text = Page(project_html(collect_project_report(made.project, ledger=made.ledger))).text
    made.ledger.close()

    assert re.search(r"cyd north|cyd west", text)
    assert re.search(r"Agrees with the others on 5\d\.\d% of \d+ shared tasks; everybody together on 7\d\.\d%\.", text)


def test_what_is_undefined_says_why(tmp_path: Path) -> None:
    made = Bench.build(tmp_path, people=("ann",))
    made.annotate(made.batch(0), tasks=5, overlap=1, seconds=None)

    text = Page(project_html(collect_project_report(made.project, ledger=made.ledger))).text
    made.ledger.close()

    assert "Agreement of pairs – undefined: no task was judged by two annotators" in text
    assert "Cost per label – undefined: no label was accepted" in text
    assert "Working time – unknown: no judgement carries a lead time" in text
    assert "it takes three annotators with at least 10 shared tasks each" in text
    assert "Not known before people have answered an attempt." not in text


@pytest.mark.parametrize(
    ("task_type", "statistic", "value", "told"),
    [
        (
            "boxes",
            "f1_at_50",
            {"boxes": [{"label": "cat", "x_min": 1.0, "y_min": 1.0, "x_max": 9.0, "y_max": 9.0}]},
            "Agreement of two answers is: Mean IoU, unmatched count as 0.",
        ),
        (
            "spans",
            "span_f1_exact",
            {"spans": [{"label": "cat", "start": 0, "end": 4}]},
            "Agreement of two answers is: Span F1, exact.",
        ),
        ("text", "exact_match", {"text": "a <b>cat</b>"}, "Agreement of two answers is: Exact match."),
    ],
)
def test_answers_that_are_no_labels_have_reports_that_say_so(
    tmp_path: Path, task_type: TaskType, statistic: str, value: JsonObject, told: str
) -> None:
    made = Bench.build(tmp_path, people=("ann", "bob", "cyd"))
    made.project = replace(
        made.project,
        contract=replace(made.project.contract, task_type=task_type),
        criteria=replace(made.project.criteria, statistic=statistic),
    )
    key = made.batch(0)
    made.answer(key, value, tasks=30)
    made.judge(key)

    found = {name: Page(text) for name, text in pages(made).items()}
    made.ledger.close()

    for page in found.values():
        assert told in page.text
        assert page.of("b") == [] or "a <b>cat</b>" not in page.text
        assert "every task gets the fixed overlap" in page.text
        assert page.text.count("The answers of this task type are no labels") >= 2
    assert "1.000" in found[key].text


def test_the_same_records_give_the_same_bytes(bench: Bench) -> None:
    assert pages(bench) == pages(bench)


def test_the_verdict_is_a_word_with_its_reasons_and_codes(bench: Bench) -> None:
    found = pages(bench)
    failed = next(text for key, text in found.items() if key.startswith("2026-03-09") and key.endswith("a1"))
    page = Page(failed)

    assert {"class": "banner fail"} in page.of("div")
    assert re.search(
        r"FAIL Krippendorff's alpha, nominal 0\.\d{3} \(.*\) is below 0\.85\. agreement_too_low", page.text
    )
    assert "undefined because it needs exactly two annotators" in page.text


def test_a_person_s_decision_is_named_with_the_reason_and_what_the_judge_found(bench: Bench) -> None:
    text = next(text for key, text in pages(bench).items() if key.startswith("2026-03-16"))

    assert "person:mia decided on 2026-03-16 17:00 UTC: Seen by two seniors." in Page(text).text
    assert "agreement_too_low" in text


def test_a_batch_that_nobody_judged_says_so(bench: Bench) -> None:
    text = next(text for key, text in pages(bench).items() if key.startswith("2026-03-23"))

    assert "Not judged yet" in Page(text).text
    assert "No two annotators share a task." in text


def test_further_evidence_is_shown_when_it_is_there(bench: Bench) -> None:
    report = collect_batch_report(bench.project, bench.ledger.attempts(bench.project.name)[0].key, ledger=bench.ledger)
    gold = {"value": 0.94, "low": 0.91, "high": 0.97, "n": 58, "reason": None}
    audit = {
        "accepted": True,
        "upper_bound": 0.0481,
        "strata": [{"stratum": "cat", "error_rate": gold}],
        "reason": None,
    }

    page = Page(batch_html(replace(report, extras=(("gold_score", gold), ("audit", audit)))))

    assert "Score on gold tasks 0.940 (0.910 to 0.970, n 58)" in page.text
    assert "Accepted yes Wrong labels, upper bound 0.0481" in page.text
    assert "Score on gold tasks" not in Page(batch_html(replace(report, extras=()))).text


def test_tables_and_drawings_can_be_read_without_seeing_them(bench: Bench, crowd: Bench) -> None:
    for text in (*pages(bench).values(), *pages(crowd).values()):
        page = Page(text)

        assert all(attributes.get("scope") in ("col", "row") for attributes in page.of("th"))
        for drawing in page.of("svg"):
            assert drawing.get("aria-hidden") == "true" or (drawing.get("role") == "img" and drawing.get("aria-label"))
        assert [attributes.get("lang") for attributes in page.of("html")] == ["en"]


def test_verdicts_over_time_differ_in_shape_and_letter_not_in_colour_alone(bench: Bench) -> None:
    drawing = project_html(collect_project_report(bench.project, ledger=bench.ledger)).split("<svg", 2)[1]

    marks = re.findall(
        r"<(circle|rect|path) class=\"mark-(\w+)\".*?<text class=\"letter\"[^>]*>(\w)</text>", drawing, re.S
    )
    assert set(marks) == {("circle", "pass", "P"), ("rect", "fail", "F")}
    assert len(re.findall('class="person"', drawing)) == 2, "the accepted one and the legend"
    assert 'class="threshold"' in drawing
    assert 'class="band"' in drawing


def test_three_hundred_annotators_fit_a_small_file_made_in_seconds(crowd: Bench) -> None:
    project = collect_project_report(crowd.project, ledger=crowd.ledger)
    batch = collect_batch_report(crowd.project, crowd.ledger.attempts(crowd.project.name)[0].key, ledger=crowd.ledger)
    started = time.process_time()

    texts = [project_html(project), batch_html(batch)]

    assert time.process_time() - started < 3
    assert max(len(text.encode()) for text in texts) < 2_000_000
    page = Page(texts[0])
    assert "The other 270 annotators" in page.text
    assert "16 more have no column" in page.text
    assert all(f"ann-{number:03d}" in texts[0] for number in range(300))
    assert texts[0].count('<tr class="beyond">') == 300 - PRINTED
    assert "On paper the first 60 of 300; the file lists all." in page.text
    assert "Too many annotators for a matrix" in page.text
    assert "Within and between cohorts" in page.text


def test_a_project_without_records_has_a_page() -> None:
    empty = project_report((), project="new", task_type="boxes", labels=("cat",), cohorts={}, incidents=(), price=1.0)

    page = Page(project_html(empty))

    assert "No batch was judged yet." in page.text
    assert "Nobody has judged anything yet." in page.text


def palettes() -> dict[str, dict[str, str]]:
    style = (TEMPLATES / "style.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", style, re.S)
    return {name: dict(re.findall(r"--([\w-]+): (#\w{6})", text)) for name, text in (("light", light), ("dark", dark))}


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_colour_reaches_the_contrast_of_wcag_aa(scheme: str) -> None:
    colours = palettes()[scheme]
    pairs = [(text, ground) for text in ("ink", "muted", "accent") for ground in ("bg", "surface")]
    pairs += [(kind, ground) for kind in ("pass", "fail", "open") for ground in ("bg", f"{kind}-bg")]
    pairs += [("ink", f"{kind}-bg") for kind in ("pass", "fail", "open")]
    pairs += [(f"t{step}", f"s{step}") for step in range(7)]

    assert {pair: c for pair in pairs if (c := contrast(colours[pair[0]], colours[pair[1]])) < 4.5} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_scale_of_the_heat_maps_is_ordered_by_brightness_alone(scheme: str) -> None:
    scale = [luminance(palettes()[scheme][f"s{step}"]) for step in range(7)]

    assert scale == sorted(scale, reverse=scheme == "light")


def test_paper_is_white_in_a_dark_room() -> None:
    style = (TEMPLATES / "style.css").read_text()

    assert "@media screen and (prefers-color-scheme: dark)" in style
    assert "@media (prefers-color-scheme: dark)" not in style
    assert "break-inside: avoid" in style.partition("@media print")[2]
