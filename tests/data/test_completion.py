"""What an import computes: one price basis, share counts on it, limits, listing days, one row where a key wants one."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from data import calendar
from data.completion import completed, listed, on_basis, on_price_basis, on_sessions, one_per_ex_date, sessions_listed, with_float_shares, with_ids
from data.errors import KestrelError
from data.mapping import Mapping

RAW, ADJUSTED = (Mapping(price_basis=basis, tables={}) for basis in ("raw", "adjusted"))


@pytest.fixture(scope="module")
def bars(quotes: pl.DataFrame) -> pl.DataFrame:
    """The vendor's quotes under the table's names, as a source gives them."""
    flags = [(pl.col("isST") == 1).alias("is_st"), (pl.col("tradestatus") == 1).alias("is_trading")]
    return quotes.rename({"code": "symbol", "preclose": "pre_close"}).with_columns(flags).drop("isST", "tradestatus", "turn").sort("symbol", "date")


@pytest.fixture(scope="module")
def sessions(quotes: pl.DataFrame) -> pl.DataFrame:
    return calendar.table(quotes["date"].to_list())


def adjusted(bars: pl.DataFrame, factor: float = 1.0) -> pl.DataFrame:
    """What a vendor of forward-adjusted prices sells: the past scaled so that today's price stands; volume and amount as traded."""
    jump = (pl.col("close").shift(1) / pl.col("pre_close")).fill_null(1.0).over("symbol", order_by="date")
    cumulative = jump.cum_prod().over("symbol", order_by="date")
    scaled = pl.col("open", "high", "low", "close", "pre_close") * pl.col("adj") / pl.col("adj").last().over("symbol", order_by="date") * factor
    return bars.with_columns(pl.col("close").alias("raw_close"), cumulative.alias("adj")).with_columns(scaled).drop("adj")


# -- raw prices


def test_on_raw_prices_adj_makes_total_returns_out_of_pre_close(bars: pl.DataFrame) -> None:
    found = on_basis(bars, "raw").with_columns((pl.col("close") * pl.col("adj")).alias("total"))
    own = pl.col("total") / pl.col("total").shift(1).over("symbol", order_by="date")
    gap = found.with_columns((own - pl.col("close") / pl.col("pre_close")).alias("gap")).drop_nulls("gap")
    assert gap.height == 33
    assert gap["gap"].abs().max() < 1e-12
    assert found.filter(pl.col("date") == date(2021, 3, 1))["adj"].to_list() == [1.0] * 3


def test_adj_moves_on_ex_dates_alone(bars: pl.DataFrame) -> None:
    found = on_basis(bars, "raw")
    moves = found.filter(pl.col("adj") != pl.col("adj").shift(1).over("symbol", order_by="date")).select("symbol", "date").rows()
    assert moves == [("300750.SZ", date(2021, 3, 10)), ("600000.SH", date(2021, 3, 8))]


def test_prices_of_a_float32_vendor_are_rounded_to_what_a_tick_can_hold(bars: pl.DataFrame) -> None:
    noisy = bars.with_columns(pl.col("open", "high", "low", "close", "pre_close").cast(pl.Float32))
    assert on_basis(noisy, "raw").select("close", "pre_close", "adj").equals(on_basis(bars, "raw").select("close", "pre_close", "adj"))


def test_a_source_that_brings_its_own_factor_keeps_it(bars: pl.DataFrame) -> None:
    assert on_basis(bars.with_columns(adj=pl.lit(3.0)), "raw")["adj"].unique().to_list() == [3.0]


def test_raw_close_is_the_close_where_prices_are_raw(bars: pl.DataFrame) -> None:
    found = on_basis(bars, "raw")
    assert found["raw_close"].equals(found["close"].alias("raw_close"))


def test_what_a_source_leaves_out_gets_its_plain_meaning(bars: pl.DataFrame) -> None:
    found = on_basis(bars.drop("pre_close", "amount", "is_st", "is_trading"), "raw")
    one = found.filter(pl.col("symbol") == "600000.SH")
    assert one["pre_close"].to_list() == [one["open"][0], *one["close"].to_list()[:-1]]
    assert one["amount"].to_list() == pytest.approx((one["volume"] * (one["high"] + one["low"] + 2 * one["close"]) / 4).to_list())
    assert not found["is_st"].any()
    assert found["is_trading"].all()


def test_a_suspended_session_has_no_volume_whatever_the_vendor_says(bars: pl.DataFrame) -> None:
    for value in (5.0, None):
        told = bars.with_columns(pl.when("is_trading").then(pl.col("volume")).otherwise(value).alias("volume"))
        for basis in ("raw", "adjusted"):
            stopped = on_basis(told, basis).filter(~pl.col("is_trading"))
            assert stopped.select("volume", "amount").rows() == [(0.0, 0.0)] * 2


# -- adjusted prices: the trap


def test_on_adjusted_prices_volume_is_amount_over_vwap_and_adj_is_1(bars: pl.DataFrame) -> None:
    found = on_basis(adjusted(bars), "adjusted").filter("is_trading")
    vwap = (found["high"] + found["low"] + 2 * found["close"]) / 4
    assert found["volume"].to_list() == pytest.approx((found["amount"] / vwap).to_list())
    assert found["adj"].unique().to_list() == [1.0]


def test_amount_over_volume_and_close_reveals_no_later_dividend_or_split(bars: pl.DataFrame) -> None:
    vendor = adjusted(bars)
    naive = (vendor["amount"] / vendor["volume"] / vendor["close"]).fill_nan(None)
    before_split = vendor.select((pl.col("symbol") == "300750.SZ") & (pl.col("date") < date(2021, 3, 10))).to_series()
    assert naive.filter(before_split).min() > 1.9  # as sold, the ratio knows that shares will double
    found = on_basis(vendor, "adjusted").filter("is_trading")
    ratio = found["amount"] / found["volume"] / found["close"]
    assert (ratio * found["close"]).is_between(found["low"], found["high"]).all()
    raw = on_basis(bars, "raw").filter("is_trading")
    traded = (raw["high"] + raw["low"] + 2 * raw["close"]) / 4 / raw["close"]
    assert ratio.to_list() == pytest.approx(traded.to_list(), rel=1e-12)  # what the day itself shows, and nothing else


def test_a_later_dividend_scales_prices_and_shares_but_no_ratio_of_them(bars: pl.DataFrame) -> None:
    today, later = (on_basis(adjusted(bars, factor), "adjusted") for factor in (1.0, 0.97))
    for one, other, power in (("close", "close", 1), ("volume", "volume", -1), ("amount", "amount", 0)):
        assert later[one].to_list() == pytest.approx((today[other] * 0.97**power).to_list())


def test_float_shares_are_volume_over_turnover_on_the_basis_of_the_prices(bars: pl.DataFrame, quotes: pl.DataFrame) -> None:
    caps = quotes.select("date", pl.col("code").alias("symbol"), (pl.col("turn") / 100).alias("turnover"))
    for vendor, basis in ((bars, "raw"), (adjusted(bars), "adjusted")):
        whole = on_basis(vendor, basis)
        found = with_float_shares(caps, whole).join(whole, on=["date", "symbol"])
        traded = quotes.rename({"code": "symbol", "close": "traded"}).select("date", "symbol", "traded")
        both = found.join(traded, on=["date", "symbol"]).with_columns(
            shares=pl.when((pl.col("symbol") == "300750.SZ") & (pl.col("date") >= date(2021, 3, 10))).then(2e8).otherwise(1e8)
        )
        assert both.height == 34  # a suspended session tells nothing
        assert (both["close"] * both["float_shares"]).to_list() == pytest.approx((both["traded"] * both["shares"]).to_list(), rel=2e-4)


def test_share_counts_as_traded_are_put_on_the_basis_of_adjusted_prices(bars: pl.DataFrame) -> None:
    vendor = on_basis(adjusted(bars), "adjusted")
    caps = vendor.select("date", "symbol", pl.lit(1e8).alias("total_shares"), pl.lit(12.0).alias("pe_ttm"))
    found = on_price_basis(caps, vendor, "adjusted").join(vendor, on=["date", "symbol"])
    assert (found["total_shares"] * found["close"]).to_list() == pytest.approx((found["raw_close"] * 1e8).to_list())
    assert found["pe_ttm"].unique().to_list() == [12.0]
    assert on_price_basis(caps, vendor, "raw").equals(caps)


def test_share_counts_as_traded_are_refused_where_the_traded_price_is_unknown(bars: pl.DataFrame) -> None:
    vendor = on_basis(adjusted(bars).drop("raw_close"), "adjusted")
    caps = vendor.select("date", "symbol", float_shares=pl.lit(1e8))
    with pytest.raises(KestrelError, match="maps float_shares: of no use beside adjusted prices without raw_close"):
        on_price_basis(caps, vendor, "adjusted")


# -- listing days and limits


def test_a_stock_whose_bars_begin_later_was_listed_that_day(bars: pl.DataFrame) -> None:
    late = bars.filter((pl.col("symbol") != "300750.SZ") | (pl.col("date") > date(2021, 3, 4)))
    found = listed(late)
    assert found.select("symbol", "list_date").rows() == [("000001.SZ", None), ("300750.SZ", date(2021, 3, 5)), ("600000.SH", None)]
    assert found["board"].to_list() == ["main", "chinext", "main"]


def test_the_listing_age_counts_sessions_of_the_calendar(bars: pl.DataFrame, sessions: pl.DataFrame) -> None:
    listings = {"symbol": ["000001.SZ", "300750.SZ", "600000.SH"], "list_date": [date(2021, 3, 1), date(2021, 3, 6), None]}
    ages = bars.with_columns(sessions_listed(bars, pl.DataFrame(listings), sessions).alias("age"))
    assert ages.filter(pl.col("symbol") == "000001.SZ")["age"].to_list() == list(range(12))
    assert ages.filter(pl.col("symbol") == "300750.SZ")["age"].to_list() == [None] * 5 + list(range(7))  # listed on a Saturday, says the source
    assert ages.filter(pl.col("symbol") == "600000.SH")["age"].null_count() == 12


def test_new_listings_get_the_limits_of_their_age_and_old_ones_the_usual(bars: pl.DataFrame, sessions: pl.DataFrame) -> None:
    listings = {"symbol": ["000001.SZ", "300750.SZ", "600000.SH"], "list_date": [date(1991, 4, 3), date(2021, 3, 1), date(1999, 11, 10)]}
    found = completed({"bars": bars, "calendar": sessions, "securities": pl.DataFrame(listings)}, RAW)
    first = found["bars"].filter(pl.col("date") == date(2021, 3, 1)).sort("symbol")
    assert first["limit_up"].is_null().to_list() == [False, True, False]
    # 1999 lies before the calendar's first session: an old stock, not a new one
    assert (first["limit_up"] / first["pre_close"]).drop_nulls().to_list() == pytest.approx([1.1, 1.1], abs=1e-3)
    assert found["securities"]["board"].to_list() == ["main", "chinext", "main"]


def test_securities_without_listing_days_are_old_stocks(bars: pl.DataFrame, sessions: pl.DataFrame) -> None:
    securities = pl.DataFrame({"symbol": ["000001.SZ", "300750.SZ", "600000.SH"]})
    found = completed({"bars": bars, "calendar": sessions, "securities": securities}, RAW)["bars"]
    assert found["limit_up"].null_count() == 0


def test_a_mapped_calendar_is_numbered_by_the_import(bars: pl.DataFrame) -> None:
    days = pl.DataFrame({"date": sorted(set(bars["date"]), reverse=True)})
    assert completed({"calendar": days}, RAW)["calendar"]["session"].to_list() == list(range(12))


def test_closes_never_leave_the_limits_made_of_them(bars: pl.DataFrame, sessions: pl.DataFrame) -> None:
    for vendor, mapping in ((bars, RAW), (adjusted(bars), ADJUSTED)):
        found = completed({"bars": vendor, "calendar": sessions}, mapping)["bars"]
        assert found.select(pl.col("close").is_between("limit_down", "limit_up").all()).item()


# -- one row where the key wants one


def test_identical_payouts_count_once_and_different_ones_add_up() -> None:
    day = date(2020, 7, 1)
    paid = pl.DataFrame(
        {
            "symbol": ["600000.SH"] * 3 + ["000001.SZ", "000001.SZ"],
            "ex_date": [day, day, day, None, day],
            "cash": [0.5, 0.5, 0.2, 9.0, 0.1],
            "bonus": [0.0] * 5,
            "transfer": [0.0, 0.0, 0.3, 0.0, 0.0],
            "announced_on": [date(2020, 6, 1), date(2020, 6, 2), None, None, date(2020, 6, 3)],
        }
    )
    found = one_per_ex_date(paid)
    assert found.select("symbol", "cash", "transfer", "announced_on").rows() == [
        ("000001.SZ", pytest.approx(0.1), 0.0, date(2020, 6, 3)),
        ("600000.SH", pytest.approx(0.7), 0.3, date(2020, 6, 1)),
    ]


def test_members_are_dated_by_the_first_session_at_or_after_the_sources_date(sessions: pl.DataFrame) -> None:
    members = pl.DataFrame(
        {"date": [date(2021, 3, 6), date(2021, 3, 5)], "index": "000905.SH", "symbol": ["600000.SH", "000001.SZ"], "weight": [1.0, 1.0]}
    )
    assert on_sessions(members, sessions).sort("date").select("date", "symbol").rows() == [
        (date(2021, 3, 5), "000001.SZ"),
        (date(2021, 3, 8), "600000.SH"),
    ]


def test_of_two_lists_that_fall_on_one_session_the_later_holds_whole(sessions: pl.DataFrame) -> None:
    days = [date(2021, 3, 6)] * 2 + [date(2021, 3, 8)]
    members = pl.DataFrame({"date": days, "index": "000905.SH", "symbol": ["600000.SH", "000001.SZ", "600000.SH"], "weight": [0.5, 0.5, 1.0]})
    assert on_sessions(members, sessions).select("date", "symbol", "weight").rows() == [(date(2021, 3, 8), "600000.SH", 1.0)]


def test_news_get_an_id_of_time_stocks_and_title_once_each() -> None:
    at = datetime(2021, 3, 4, 10, tzinfo=ZoneInfo("Asia/Shanghai"))
    news = pl.DataFrame({"published_at": [at] * 4, "symbols": [["600000.SH"]] * 4, "title": ["a", "a", "b", None]})
    found = with_ids(news)
    assert found["title"].to_list() == ["a", "b"]
    assert found["id"].str.len_chars().to_list() == [16, 16]
    assert with_ids(news)["id"].equals(found["id"])
    assert with_ids(found.with_columns(id=pl.lit("mine")))["id"].to_list() == ["mine", "mine"]


def test_every_number_of_a_completed_lake_is_finite(bars: pl.DataFrame, sessions: pl.DataFrame) -> None:
    for vendor, mapping in ((bars, RAW), (adjusted(bars), ADJUSTED)):
        numbers = completed({"bars": vendor, "calendar": sessions}, mapping)["bars"].select(pl.selectors.float())
        assert np.isfinite(numbers.to_numpy()).all()
