"""The panel knows at a session's close what the tables hold by then: news by the hour, dividends by the ex-date, closes carried."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from data import calendar
from data.errors import KestrelError
from data.panel import Floats
from factors.panel import Panel, build_panel, carried, of_one_scorer

SHANGHAI = ZoneInfo("Asia/Shanghai")
THU, FRI, MON, TUE, AFTER = (
    date(2021, 9, 16),
    date(2021, 9, 17),
    date(2021, 9, 20),
    date(2021, 9, 22),
    date(2021, 9, 23),
)  # 20 and 21 are a holiday below
DAYS = [THU, FRI, TUE, AFTER]
A, B = "000001.SZ", "600000.SH"
NAN = np.nan


def bars(**changes: list[object]) -> pl.DataFrame:
    """Two stocks over four sessions; B is suspended on the second."""
    base: dict[str, list[object]] = {
        "date": [day for day in DAYS for _ in (A, B)],
        "symbol": [A, B] * 4,
        "close": [10.0, 20.0, 11.0, 20.0, 5.5, 22.0, 6.0, 21.0],
        "volume": [100.0, 50.0, 200.0, 0.0, 300.0, 60.0, 400.0, 70.0],
        "adj": [1.0, 1.0, 1.0, 1.0, 2.0, 1.0, 2.0, 1.0],
        "is_trading": [True, True, True, False, True, True, True, True],
        "limit_up": [11.0, 22.0, 11.0, 22.0, 6.05, 22.0, 6.05, 24.2],
        "limit_down": [9.0, 18.0, 9.0, 18.0, 4.95, 18.0, 4.95, 21.0],
    }
    frame = pl.DataFrame(base | changes)
    same = [pl.col("close").alias(name) for name in ("open", "high", "low", "pre_close", "raw_close")]
    return frame.with_columns(*same, (pl.col("close") * pl.col("volume")).alias("amount"), is_st=pl.lit(False))


def panel(**tables: pl.DataFrame) -> Panel:
    return build_panel({"bars": bars(), "calendar": calendar.table([*DAYS, date(2021, 9, 24)]), **tables})


def same(found: Floats, expected: list[list[float]]) -> bool:
    return np.array_equal(found, np.array(expected), equal_nan=True)


def news(*moments: datetime, symbols: list[str] | None = None) -> pl.DataFrame:
    ids = [str(n) for n in range(len(moments))]
    frame = pl.DataFrame({"id": ids, "published_at": list(moments), "symbols": [symbols or [A]] * len(moments), "title": "a"})
    return frame.with_columns(pl.col("published_at").dt.convert_time_zone("Asia/Shanghai"))


def at(day: date, hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=SHANGHAI)


# -- bars


def test_prices_are_times_adj_and_shares_over_it_so_that_the_split_shows_in_neither() -> None:
    found = panel().columns
    assert same(found["close"], [[10, 20], [11, NAN], [11, 22], [12, 21]])
    assert same(found["volume"], [[100, 50], [200, NAN], [150, 60], [200, 70]])
    assert same(found["amount"], [[1000, 1000], [2200, NAN], [1650, 1320], [2400, 1470]])
    assert found["vwap"] == pytest.approx(found["close"], nan_ok=True)


def test_a_suspended_session_is_null_but_for_the_last_close() -> None:
    found = panel()
    assert found.trading.tolist() == [[True, True], [True, False], [True, True], [True, True]]
    assert same(found.columns["last"], [[10, 20], [11, 20], [11, 22], [12, 21]])
    assert same(found.columns["raw_close"], [[10, 20], [11, 20], [5.5, 22], [6, 21]])


def test_a_session_without_volume_is_no_trade_whatever_the_flag_says() -> None:
    volumes: list[object] = [100.0, 50.0, 200.0, 0.0, 0.0, 60.0, 400.0, 70.0]
    found = build_panel({"bars": bars(volume=volumes), "calendar": calendar.table(DAYS)})
    assert not found.trading[2, 0]
    assert np.isnan(found.columns["close"][2, 0])


def test_closes_at_their_limits_are_marked_and_no_limit_is_no_hit() -> None:
    found = panel().columns
    assert same(found["limit_up_hit"], [[0, 0], [1, NAN], [0, 1], [0, 0]])
    assert same(found["limit_down_hit"], [[0, 0], [0, NAN], [0, 0], [0, 1]])
    none = build_panel({"bars": bars(limit_up=[None] * 8, limit_down=[None] * 8), "calendar": calendar.table(DAYS)}).columns
    assert np.nansum(none["limit_up_hit"]) == np.nansum(none["limit_down_hit"]) == 0


def test_the_axes_are_every_session_between_the_first_and_last_bar() -> None:
    sparse = bars().filter(pl.col("date") != TUE)
    found = build_panel({"bars": sparse, "calendar": calendar.table([date(2021, 9, 15), *DAYS, date(2021, 9, 24)])})
    assert found.axes.dates == tuple(DAYS)
    assert np.isnan(found.columns["close"][2]).all()
    assert same(found.columns["last"][2:3], [[11, 20]])


def test_a_lake_without_raw_closes_has_no_such_column() -> None:
    found = build_panel({"bars": bars().with_columns(raw_close=pl.lit(None, pl.Float64)), "calendar": calendar.table(DAYS)})
    assert "raw_close" not in found.columns


def test_only_tables_that_are_there_make_columns() -> None:
    assert not {"float_shares", "cash_dividend", "news_count", "news_tone", "index_close"} & set(panel().columns)
    assert "news_count" not in panel(news=news(at(THU, 9)).clear()).columns


# -- caps


def caps(**columns: list[float | None]) -> pl.DataFrame:
    base = {name: [None] * 3 for name in ("total_shares", "float_shares", "pe_ttm", "pb", "ps_ttm", "pcf_ttm")}
    return pl.DataFrame({"date": [THU, TUE, THU], "symbol": [A, A, B], **(base | columns)}, schema_overrides=dict.fromkeys(base, pl.Float64))


def test_share_counts_stand_on_the_basis_of_the_prices_and_carry() -> None:
    found = panel(caps=caps(float_shares=[1000.0, 2000.0, 500.0])).columns["float_shares"]
    assert same(found, [[1000, 500], [1000, 500], [1000, 500], [1000, 500]])  # twice as many shares after the split, each worth half


def test_ratios_carry_to_the_next_and_columns_of_nothing_are_left_out() -> None:
    found = panel(caps=caps(pe_ttm=[12.0, 15.0, None])).columns
    assert same(found["pe_ttm"], [[12, NAN], [12, NAN], [15, NAN], [15, NAN]])
    assert not {"pb", "float_shares", "total_shares"} & set(found)


# -- dividends


def test_cash_falls_on_its_ex_date_and_is_0_on_every_other_session() -> None:
    paid = pl.DataFrame({"symbol": [A, B, "688981.SH"], "ex_date": [TUE, THU, TUE], "cash": [0.5, 0.2, 9.0], "announced_on": [THU, THU, THU]})
    assert same(panel(dividends=paid).columns["cash_dividend"], [[0, 0.2], [0, 0], [0.5, 0], [0, 0]])


# -- news


@pytest.mark.parametrize(
    ("moment", "known"),
    [
        (at(THU, 0), THU),
        (at(THU, 9, 30), THU),
        (at(THU, 14, 59, 59), THU),
        (at(THU, 15), THU),
        (at(THU, 15, 0, 1), FRI),
        (at(THU, 23, 59, 59), FRI),
        (at(FRI, 15, 1), TUE),  # Friday after the close: the session after the holiday
        (at(date(2021, 9, 18), 12), TUE),
        (at(MON, 10), TUE),
        (at(date(2021, 9, 21), 23), TUE),
        (at(TUE, 2, 23), TUE),
        (at(TUE, 15, 30), AFTER),
    ],
)
def test_news_belong_to_the_first_session_that_closes_after_them(moment: datetime, known: date) -> None:
    count = panel(news=news(moment)).columns["news_count"]
    assert same(count, [[1, 0] if day == known else [NAN, NAN] for day in DAYS])  # a silent feed is null, not 0


@pytest.mark.parametrize("moment", [at(AFTER, 15, 0, 1), at(date(2021, 9, 15), 23), at(date(2019, 1, 1), 10)])
def test_news_beyond_the_panel_are_left_out(moment: datetime) -> None:
    assert np.isnan(panel(news=news(moment)).columns["news_count"]).all()


def test_news_in_another_zone_are_known_at_their_instant() -> None:
    utc = datetime(2021, 9, 16, 7, 0, 1, tzinfo=ZoneInfo("UTC"))  # 15:00:01 in Shanghai
    assert panel(news=news(utc)).columns["news_count"][1].tolist() == [1, 0]


def test_an_item_about_two_stocks_counts_for_both_and_items_add_up() -> None:
    count = panel(news=news(at(THU, 9), at(THU, 10), symbols=[A, B, "688981.SH"])).columns["news_count"]
    assert same(count[:1], [[2, 2]])


def test_an_item_about_no_stock_counts_for_none_but_shows_that_the_feed_speaks() -> None:
    items = news(at(THU, 9)).with_columns(symbols=pl.lit([], pl.List(pl.String)))
    count = panel(news=items).columns["news_count"]
    assert (count[0] == 0).all()
    assert np.isnan(count[1:]).all()


def test_the_tone_is_the_mean_score_of_a_sessions_items_and_null_without_any() -> None:
    scores = pl.DataFrame(
        {"id": ["0", "0", "1", "2"], "symbol": [A, B, A, A], "scorer": "plain", "score": [1.0, -0.5, 0.0, 0.6]},
    )
    found = panel(news=news(at(THU, 9), at(THU, 10), at(FRI, 16), symbols=[A, B]), news_scores=scores).columns["news_tone"]
    assert same(found, [[0.5, -0.5], [NAN, NAN], [0.6, NAN], [NAN, NAN]])


def test_the_order_of_scores_changes_no_bit_of_the_tone() -> None:
    rng = np.random.default_rng(0)
    items = news(*[at(THU, 10)] * 40)
    scores = pl.DataFrame({"id": [str(n) for n in range(40)], "symbol": A, "scorer": "a", "score": rng.normal(size=40)})
    found = {panel(news=items, news_scores=scores.sample(fraction=1, shuffle=True, seed=seed)).columns["news_tone"][0, 0] for seed in range(5)}
    assert len(found) == 1


def test_scores_of_several_scorers_are_never_mixed_and_one_must_be_named() -> None:
    scores = pl.DataFrame({"id": ["0", "0"], "symbol": A, "scorer": ["teacher", "student"], "score": [1.0, -0.5]})
    with pytest.raises(KestrelError, match="student, teacher"):
        panel(news=news(at(THU, 9)), news_scores=scores)
    found = panel(news=news(at(THU, 9)), news_scores=of_one_scorer(scores, "student")).columns
    assert found["news_tone"][0, 0] == -0.5
    with pytest.raises(KestrelError, match="no scores of nobody"):
        of_one_scorer(scores, "nobody")


def test_scored_items_are_counted_added_up_and_0_where_others_have_news() -> None:
    scores = pl.DataFrame({"id": ["0", "1", "2"], "symbol": A, "scorer": "plain", "score": [1.0, -0.5, -0.25]})
    found = panel(news=news(at(THU, 9), at(THU, 10), at(TUE, 10)), news_scores=scores).columns
    assert same(found["news_weight"], [[2, 0], [NAN, NAN], [1, 0], [NAN, NAN]])
    assert same(found["news_sum"], [[0.5, 0], [NAN, NAN], [-0.25, 0], [NAN, NAN]])
    assert same(found["news_squares"], [[1.25, 0], [NAN, NAN], [0.0625, 0], [NAN, NAN]])
    assert same(found["news_negative"], [[1, 0], [NAN, NAN], [0, 0], [NAN, NAN]])


# -- index and carrying


def test_the_index_is_one_number_a_session_carried_over_gaps() -> None:
    levels = pl.DataFrame({"date": [THU, TUE, THU], "index": ["000905.SH", "000905.SH", "000300.SH"], "close": [6000.0, 6100.0, 4000.0]})
    assert same(panel(index_bars=levels).columns["index_close"], [[6000], [6000], [6100], [6100]])
    other = build_panel({"bars": bars(), "calendar": calendar.table(DAYS), "index_bars": levels}, index="000852.SH")
    assert "index_close" not in other.columns


def test_an_industry_holds_from_its_start_and_one_known_by_hindsight_is_none() -> None:
    rows = {"symbol": [A, A, B], "start": [FRI, AFTER, FRI], "code": ["bank", "coal", "bank"], "hindsight": [False, False, True]}
    assert same(panel(industries=pl.DataFrame(rows)).columns["industry"], [[NAN, NAN], [0, NAN], [0, NAN], [1, NAN]])
    assert "industry" not in panel(industries=pl.DataFrame(rows).with_columns(hindsight=pl.lit(True))).columns


def test_carrying_leaves_its_argument_alone() -> None:
    values = np.array([[1.0], [NAN]])
    assert carried(values)[:, 0].tolist() == [1, 1]
    assert np.isnan(values[1, 0])


def test_every_column_of_a_whole_market_has_the_shape_of_its_axes(tables: dict[str, pl.DataFrame]) -> None:
    found = build_panel(tables)
    for name, values in found.columns.items():
        assert values.shape in (found.axes.shape, (found.axes.shape[0], 1)), name
        assert values.dtype == np.float64
        assert not np.isinf(values).any(), name


def test_shuffled_tables_make_the_same_panel(tables: dict[str, pl.DataFrame]) -> None:
    found = build_panel({name: frame.sample(fraction=1, shuffle=True, seed=3) for name, frame in tables.items()})
    expected = build_panel(tables)
    for name, values in expected.columns.items():
        assert np.array_equal(found.columns[name], values, equal_nan=True), name
