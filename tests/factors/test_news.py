"""News factors against plain numbers, and the law that later news move nothing earlier."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data import calendar
from data.events import EVENTS, GROUPS, NAMES, OTHER
from data.panel import Floats
from factors.build import values
from factors.panel import build_panel
from factors.registry import library, select

Computed = Callable[..., Floats]
NAN = np.nan
NEWS = [factor for factor in library().values() if factor.family == "news"]


def test_a_news_score_decays_over_five_sessions_and_is_null_without_news(computed: Computed) -> None:
    tone = np.full((8, 2), NAN)
    tone[1, 0], tone[2, 0] = 1.0, -0.5
    found = computed(library()["news_score"].expr, news_tone=tone)
    assert found[1:3, 0].tolist() == pytest.approx([1.0, (5 * -0.5 + 4 * 1.0) / 9])
    assert found[5:7, 0].tolist() == pytest.approx([(2 * -0.5 + 1.0) / 3, -0.5])
    assert np.isnan(found[[0, 7], 0]).all()
    assert np.isnan(found[:, 1]).all()


def test_attention_counts_five_sessions_and_is_null_where_the_feed_is_silent(computed: Computed) -> None:
    count = np.zeros((12, 2))
    count[1, 0], count[2, 0] = 1, 2
    count[7:] = NAN
    found = computed(library()["news_attention"].expr, news_count=count)
    assert found[2:7, 0] == pytest.approx(np.log([4, 4, 4, 4, 3]), nan_ok=True)
    assert found[2:9, 1].tolist() == [0.0] * 7
    assert np.isnan(found[9:]).all()


def columns(scores: list[list[float]]) -> dict[str, Floats]:
    """News columns of one stock from the scores of each session's items, beside a stock that has one neutral item always."""
    parts = {
        "news_weight": [[len(items), 1] for items in scores],
        "news_sum": [[sum(items), 0] for items in scores],
        "news_squares": [[sum(score * score for score in items), 0] for items in scores],
        "news_negative": [[sum(score < -0.25 for score in items), 0] for items in scores],
    }
    return {name: np.array(rows, dtype=np.float64) for name, rows in parts.items()}


def test_the_level_is_the_fading_sum_of_scores_over_that_of_items_and_the_prior(computed: Computed) -> None:
    scores: list[list[float]] = [[] for _ in range(40)] + [[1.0, 0.5], [], [-1.0]]
    found = computed(library()["news_level_1"].expr, **{k: v for k, v in columns(scores).items() if k in ("news_weight", "news_sum")})
    # half-life 1: the items of two sessions ago weigh a quarter
    assert found[40, 0] == pytest.approx(1.5 / (2 + 2), rel=1e-3)
    assert found[42, 0] == pytest.approx((1.5 / 4 - 1) / (2 + 2 / 4 + 1), rel=1e-3)
    assert found[39, 0] == 0.0


def test_a_surprise_is_the_tone_of_three_sessions_less_that_of_the_twenty_before(computed: Computed) -> None:
    scores = [[0.5], *([] for _ in range(10)), [0.1, 0.3], *([] for _ in range(4)), [-1.0], []]
    found = computed(library()["news_surprise"].expr, **{k: v for k, v in columns(scores).items() if k in ("news_weight", "news_sum")})
    assert found[17, 0] == pytest.approx(-1.0 - 0.3)
    assert np.isnan(found[2, 0])
    assert np.isnan(found[9, 0])


def dispersion(computed: Computed, scores: list[list[float]]) -> Floats:
    expr = library()["news_dispersion"].expr
    return computed(expr, **{name: values for name, values in columns(scores).items() if name in expr.needs})


def test_dispersion_is_the_deviation_of_all_items_and_null_for_a_single_one(computed: Computed) -> None:
    found = computed(
        library()["news_dispersion"].expr, **{k: v for k, v in columns([[0.7], [-0.3, 0.1], [], [], [], []]).items() if k != "news_negative"}
    )
    assert np.isnan(found[0, 0])
    assert found[1, 0] == pytest.approx(np.std([0.7, -0.3, 0.1]))
    assert found[5, 0] == pytest.approx(np.std([-0.3, 0.1]))


def test_equal_scores_have_no_dispersion_whatever_their_last_bits(computed: Computed) -> None:
    found = dispersion(computed, [[0.1] * 3, [0.1] * 7])
    assert found[:, 0].tolist() == pytest.approx([0.0, 0.0], abs=1e-7)


def test_bad_items_are_counted_over_five_sessions(computed: Computed) -> None:
    found = computed(library()["news_negative"].expr, news_negative=columns([[-1.0, -0.3, -0.2], [0.5], [], [], [], []])["news_negative"])
    assert found[:, 0] == pytest.approx(np.log([3, 3, 3, 3, 3, 1]))
    assert found[:, 1].tolist() == [0.0] * 6


@pytest.mark.parametrize(("name", "half_life"), [("results", 3), ("control", 5), ("conduct", 10), ("distress", 10)])
def test_a_flag_is_halved_every_half_life_after_the_latest_event_and_gone_after_four(computed: Computed, name: str, half_life: int) -> None:
    items = np.zeros((60, 2))
    items[2, 0], items[5, 0] = 3, 1
    found = computed(library()[f"event_{name}"].expr, **{f"news_{name}": items})
    ages = np.arange(55)
    assert found[2:5, 0] == pytest.approx(0.5 ** (ages[:3] / half_life))
    assert found[5:, 0] == pytest.approx(np.where(ages < 4 * half_life, 0.5 ** (ages / half_life), 0.0))
    assert found[:, 1].tolist() == [0.0] * 60


def test_only_news_that_report_an_event_raise_the_flag_of_its_group() -> None:
    moment = datetime.combine(DAYS[3], time(10))
    for kind, event in EVENTS.items():
        found = news_values([(moment, 0, -0.5, kind), (moment, 1, -0.5, OTHER)])
        raised = {group for group in GROUPS if found[f"event_{group}"][3, 0] == 1}
        assert raised == {event.group}
        assert all(found[f"event_{group}"][3, 1] == 0 for group in GROUPS)


def test_a_scorer_that_tells_no_events_feeds_no_flags() -> None:
    assert not {f"event_{group}" for group in GROUPS} & set(news_values([(datetime.combine(DAYS[3], time(10)), 0, 0.5, None)]))


def test_every_factor_of_the_family_is_null_while_the_feed_is_silent(computed: Computed) -> None:
    silent = np.full((60, 2), NAN)
    for factor in NEWS:
        assert np.isnan(computed(factor.expr, **dict.fromkeys(factor.expr.needs, silent))).all(), factor.name


SHANGHAI = ZoneInfo("Asia/Shanghai")
DAYS = [day for day in (date(2021, 3, 1) + timedelta(days=n) for n in range(60)) if day.weekday() < 5]
STOCKS = ["000001.SZ", "600000.SH"]
MOMENTS = st.datetimes(datetime.combine(DAYS[0], time()), datetime.combine(DAYS[-1], time(23, 59, 59)))
Item = tuple[datetime, int, float, str | None]
ITEMS = st.lists(st.tuples(MOMENTS, st.integers(0, 1), st.floats(-1, 1, allow_nan=False), st.sampled_from([*NAMES, None])), min_size=1, max_size=30)


def news_values(items: Sequence[Item]) -> dict[str, np.ndarray]:
    """Every news factor of a market with these items."""
    flat = dict.fromkeys(("open", "high", "low", "close", "pre_close", "raw_close", "adj"), 1.0) | {"volume": 100.0, "amount": 100.0}
    bars = pl.DataFrame({"date": DAYS}).join(pl.DataFrame({"symbol": STOCKS}), how="cross")
    bars = bars.with_columns(*(pl.lit(value).alias(name) for name, value in flat.items()), limit_up=None, limit_down=None, is_trading=True)
    # an id says nothing of its time, as in a real feed
    ids = [f"{hash((moment, stock)) % 10**9:09}-{n}" for n, (moment, stock, *_) in enumerate(items)]
    moments, symbols = [moment.replace(tzinfo=SHANGHAI) for moment, *_ in items], [STOCKS[stock] for _, stock, *_ in items]
    news = pl.DataFrame({"id": ids, "published_at": moments, "symbols": [[symbol] for symbol in symbols]})
    news = news.with_columns(pl.col("published_at").dt.convert_time_zone("Asia/Shanghai"))
    scores = pl.DataFrame({"id": ids, "symbol": symbols, "scorer": "one", "score": [score for *_, score, _ in items]})
    scores = scores.with_columns(pl.Series("event", [event for *_, event in items], dtype=pl.String))
    panel = build_panel({"bars": bars, "calendar": calendar.table(DAYS), "news": news, "news_scores": scores})
    return values([factor for factor in NEWS if factor.unavailable(panel.columns, "raw") is None], panel)


@settings(max_examples=25, deadline=None)
@given(earlier=ITEMS, later=ITEMS, cut=st.integers(5, len(DAYS) - 2))
def test_later_news_leave_every_earlier_factor_as_it_was_to_the_bit(earlier: list[Item], later: list[Item], cut: int) -> None:
    close = datetime.combine(DAYS[cut], time(15))
    known = [*(item for item in earlier if item[0] <= close), (close, 0, 0.25, OTHER)]
    perturbed: list[Item] = [(max(moment, close + timedelta(microseconds=1)), stock, score, event) for moment, stock, score, event in later]
    before, after = news_values(known), news_values(known + perturbed)
    for name, found in before.items():
        assert np.array_equal(found[: cut + 1], after[name][: cut + 1], equal_nan=True), name


def test_the_law_would_notice_an_item_at_the_close() -> None:
    close = datetime.combine(DAYS[30], time(15))
    earlier = [(close - timedelta(days=2), 0, 0.5, OTHER), *((datetime.combine(day, time(9)), 1, 0.0, OTHER) for day in DAYS)]
    before, moved = news_values(earlier), set()
    for kind in ("rating_change", "executive_gone", "accounting_fraud", "funds_at_risk"):  # one of each group
        after = news_values([*earlier, (close, 0, -1.0, kind)])
        moved |= {name for name, found in before.items() if not np.array_equal(found[:31], after[name][:31], equal_nan=True)}
    assert moved == set(before) - {"news_surprise"}  # it needs twenty sessions before


def test_half_lives_are_one_and_three_sessions() -> None:
    assert "news_level_1" in {factor.name for factor in select()}
    for span, half_life in ((3, 1.0), (9, 3.1)):
        assert (1 - 2 / (span + 1)) ** half_life == pytest.approx(0.5, abs=0.001)
