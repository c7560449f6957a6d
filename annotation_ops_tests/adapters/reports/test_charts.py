from datetime import UTC, datetime, timedelta

from annotation_ops.adapters.reports.charts import LETTERED, evidence_chart, strip, strip_start, trend_chart
from annotation_ops.domain.quality.statistic import Statistic, undefined
from annotation_ops.domain.reporting.batch_report import Evidence
from annotation_ops.domain.reporting.trends import TrendPoint

MEASURED = Statistic(0.9, None, 0.8, 0.95, 60)


def point(
    at: int, measured: Statistic | None = MEASURED, *, name: str = "cohen_kappa", ask: float = 0.85
) -> TrendPoint:
    day = datetime(2026, 3, 2, tzinfo=UTC) + timedelta(days=at)
    return TrendPoint(f"b{at}", day, "PASS", False, "system", "", "1.0.0+x", name, measured, ask)


def test_better_is_higher_and_later_is_further_right() -> None:
    low, high = trend_chart([point(0, Statistic(0.5, None, 0.4, 0.6, 9)), point(1)]).marks

    assert low.x < high.x
    assert low.y > high.y
    assert low.high is not None
    assert low.low is not None
    assert low.high < low.y < low.low


def test_the_line_breaks_where_nothing_is_measured_or_another_statistic_is() -> None:
    gap, other = undefined("single_category", n=60), "gwet_ac1"
    points = [point(0), point(1), point(2, gap), point(3), point(4), point(5, name=other), point(6, name=other)]

    chart = trend_chart(points)

    assert len(chart.segments) == 3
    assert [mark.defined for mark in chart.marks] == [True, True, False, True, True, True, True]


def test_a_changed_threshold_is_a_step() -> None:
    before, after = trend_chart([point(0), point(1), point(2, ask=0.9)]).thresholds

    assert (before.label, before.last, after.label, after.last) == ("0.85", False, "0.9", True)
    assert before.right == after.left
    assert before.y > after.y


def test_hundreds_of_attempts_get_small_marks_without_letters_and_a_dozen_dates() -> None:
    chart = trend_chart([point(at) for at in range(400)])

    assert not chart.lettered
    assert trend_chart([point(at) for at in range(LETTERED)]).lettered
    assert len(chart.dates) <= 12
    assert len({mark.x for mark in chart.marks}) == 400


def test_a_negative_statistic_stays_inside_the_drawing() -> None:
    chart = trend_chart([point(0, Statistic(-0.3, None, -0.6, 0.1, 9)), point(1)])

    assert all(14 <= y <= 270 for mark in chart.marks for y in (mark.y, mark.low, mark.high) if y is not None)
    assert strip_start([Statistic(-0.3, None, -0.62, 0.1, 9)]) == -0.8


def test_what_must_stay_below_its_line_is_drawn_from_zero() -> None:
    chart = evidence_chart(Evidence("share_below", Statistic(0.02, None, 0.0, 0.06, 60), 0.1, True, 0.05, None))

    assert chart.ticks[0].label == "0.0"
    assert chart.value is not None
    assert chart.value < chart.line
    assert chart.zone is not None
    assert chart.zone[0] == chart.line, "the zone of indifference lies above what is allowed"


def test_what_is_undefined_leaves_its_strip_empty() -> None:
    drawn = strip(undefined("no_overlap", n=0), start=0.0, line=0.5)

    assert (drawn.value, drawn.low, drawn.high) == (None, None, None)
    assert drawn.line == 75.0
