"""A report as one HTML file that needs nothing else: styles and charts are inside, no script, no address.

The view models come from `services.report`; the doors (command line, Dagster) put the two together, so the services
know neither Jinja2 nor HTML. What is text in the ledger is escaped, and a content policy in the file forbids scripts and
loading anything, should a text ever slip through.
"""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from annotation_ops.adapters.reports import charts, words
from annotation_ops.domain.quality.agreement.report import CATEGORICAL
from annotation_ops.domain.quality.statistic import Statistic
from annotation_ops.domain.reporting.batch_report import BatchReport
from annotation_ops.domain.reporting.people import FEW_SHARED, FEW_TASKS
from annotation_ops.domain.reporting.project_report import ProjectReport

TEMPLATES = Path(__file__).parent / "templates"
MOST_ROWS = 60
"""Rows of a table of records before the older ones are only counted."""

PRINTED = 60
"""Annotators listed on paper, where nothing scrolls; the file lists all."""
MANY_COLUMNS = 14
"""Columns of a heat map above which its cells become narrow."""


def batch_html(report: BatchReport) -> str:
    """The same report gives the same bytes."""
    statistics = [statistic for _, statistic in report.statistics]
    classes = [row.agreement for row in report.classes]
    return _render(
        "batch.html.j2",
        report=report,
        start=charts.strip_start(statistics),
        class_start=charts.strip_start(classes),
        primary=report.evidence[0].name if report.evidence else "",
        labelled=report.task_type in CATEGORICAL,
    )


def project_html(report: ProjectReport) -> str:
    """The same report gives the same bytes."""
    agreement = [row.agreement for row in report.annotators]
    return _render(
        "project.html.j2",
        report=report,
        start=charts.strip_start(agreement),
        most_rows=MOST_ROWS,
        labelled=report.task_type in CATEGORICAL,
    )


def _render(template: str, **context: object) -> str:
    text = _environment().get_template(template).render(**context)
    return re.sub(r"[ \t]*\n\s*", "\n", text)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        title_of=words.title,
        because=words.because,
        plain=words.plain,
        in_words=words.in_words,
        number=words.number,
        percent=words.percent,
        chance=words.chance,
        count=words.count,
        when=words.when,
        interval=words.interval,
        told=words.told,
        agreement_is=words.agreement_is,
        agreement_step=words.agreement_step,
        share_step=words.share_step,
        evidence_chart=charts.evidence_chart,
        trend_chart=charts.trend_chart,
        histogram=charts.histogram,
        strip=charts.strip,
        shape=_shape,
    )
    environment.globals.update(FEW_TASKS=FEW_TASKS, FEW_SHARED=FEW_SHARED, MANY_COLUMNS=MANY_COLUMNS, PRINTED=PRINTED)
    return environment


def _shape(value: object) -> str:
    """How a value of a stored document is shown: statistic, record, table, list or text."""
    match value:
        case Statistic():
            return "statistic"
        case {"value": _, "n": _}:
            return "measured"
        case dict():
            return "record"
        case [dict(), *_]:
            return "table"
        case list() | tuple():
            return "list"
        case bool():
            return "flag"
        case float():
            return "number"
        case _:
            return "text"
