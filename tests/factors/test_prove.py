"""The proof passes for the whole library, and catches every cheat that is planted past the operators."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from data.panel import Axes, Floats
from factors import build
from factors import operators as op
from factors import panel as panels
from factors.changes import poisoned, rescaled_prices
from factors.compute import Computer
from factors.expressions import Expr, column
from factors.panel import Panel
from factors.prove import prove
from factors.registry import Factor, select

Tables = dict[str, pl.DataFrame]
last, close, amount, volume, raw_close = (column(name) for name in ("last", "close", "amount", "volume", "raw_close"))


def planted(expr: Expr, *, raw_only: bool = False) -> Factor:
    """A factor past the registry's refusal."""
    return Factor("cheat", "technical", "a cheat", expr, raw_only)


def cheat(function: Callable[[Floats], Floats], of: Expr = last, *, expr: Expr | None = None) -> Factor:
    """A factor whose kernel is the given function of an expression over the whole panel."""

    def fused(columns: Mapping[str, Floats], names: Sequence[str], start: int, size: int) -> Iterator[tuple[int, dict[str, NDArray[np.float32]]]]:
        whole = np.array(np.broadcast_to(function(Computer(SimpleNamespace(columns=columns), [of])(of)), columns["close"].shape), np.float32)
        for lo in range(start, len(whole), size):
            yield lo, dict.fromkeys(names, whole[lo : lo + size])

    return Factor("cheat", "technical", "a cheat", expr or of, fused=fused)


@pytest.fixture(scope="module")
def days(panel: Panel) -> list[date]:
    """A session after the ex-dates, one in a suspension, one near the end."""
    return [panel.axes.dates[place] for place in (221, 302, 335)]


def changes(factors: list[Factor], tables: Tables, days: list[date]) -> set[str]:
    """Under which changes the factors moved."""
    found = prove(factors, tables, days)
    assert {breach.factor for breach in found} <= {"cheat"}
    return {breach.change for breach in found}


def test_no_factor_of_the_library_moves(tables: Tables, days: list[date], panel: Panel) -> None:
    factors = build.choose(select(sets=["library", "alpha101"]), panel, "raw").available
    assert len(factors) == len(select(sets=["library", "alpha101"]))
    assert prove(factors, tables, days) == []


def test_a_label_as_a_factor_is_caught(tables: Tables, days: list[date]) -> None:
    def label(x: Floats) -> Floats:
        return np.vstack([x[5:] / x[:-5] - 1, np.full((5, x.shape[1]), np.nan)])

    assert changes([cheat(label)], tables, days) == {"cut", "poisoned"}


def test_a_label_in_disguise_that_is_never_null_is_caught(tables: Tables, days: list[date]) -> None:
    def disguised(x: Floats) -> Floats:
        return np.vstack([x[1:] / x[:-1] - 1, np.zeros((1, x.shape[1]))])

    assert changes([cheat(disguised)], tables, days) == {"cut", "poisoned", "last null"}


def test_a_z_score_over_the_whole_sample_is_caught(tables: Tables, days: list[date]) -> None:
    def whole(x: Floats) -> Floats:
        known = np.maximum(np.isfinite(x).sum(axis=0), 1)
        mean = np.nansum(x, axis=0) / known
        return (x - mean) / np.sqrt(np.nansum((x - mean) ** 2, axis=0) / known)

    # a constant times the history leaves a z-score over it: only time tells
    assert changes([cheat(whole)], tables, days) == {"cut", "poisoned"}


def test_a_backward_fill_is_caught_where_a_gap_ends_later(tables: Tables, panel: Panel) -> None:
    def backward(x: Floats) -> Floats:
        return panels.carried(x[::-1])[::-1]

    # a suspended stock has no value of its own; what the fill says of it leaks into the mean of the market
    change = close / op.delay(close, 1) - 1
    mean = cheat(lambda x: np.nan_to_num(backward(x)).mean(axis=1, keepdims=True), change, expr=op.cs_mean(change))
    assert changes([mean], tables, [panel.axes.dates[110]]) == {"cut", "poisoned", "close null"}  # 0 of what nobody knows


def test_a_window_centred_on_the_session_is_caught(tables: Tables, days: list[date]) -> None:
    def centred(x: Floats) -> Floats:
        return x / ((np.roll(x, 1, axis=0) + x + np.roll(x, -1, axis=0)) / 3)

    assert changes([cheat(centred)], tables, days) == {"cut", "poisoned"}


def test_a_whole_market_behind_a_stocks_own_factor_is_caught(tables: Tables, days: list[date]) -> None:
    def demeaned(x: Floats) -> Floats:
        return x - (np.nansum(x, axis=1) / np.maximum(np.isfinite(x).sum(axis=1), 1))[:, None]

    assert changes([cheat(demeaned, op.returns())], tables, days) == {"000001.SZ removed"}
    assert changes([planted(op.returns() - op.cs_mean(op.returns()))], tables, days) == set()


def test_a_threshold_in_yuan_is_caught(tables: Tables, days: list[date]) -> None:
    cheap = planted(op.where(20 - raw_close > 0, op.ts_std(op.traded_returns(), 20)))
    assert changes([cheap], tables, days) == {"another currency"}


def test_an_amount_of_money_may_be_a_factor_since_its_order_stays(tables: Tables, days: list[date]) -> None:
    assert changes([planted(op.log(op.ts_mean(amount, 20)))], tables, days) == set()


def test_a_null_that_becomes_a_number_is_caught(tables: Tables, days: list[date]) -> None:
    assert changes([cheat(np.nan_to_num, op.returns())], tables, days) == {"last null"}
    assert changes([planted(op.fill(op.returns(), 0))], tables, days) == set()  # said in its definition


def test_todays_industry_laid_over_the_past_is_caught(tables: Tables, panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    day, moved = panel.axes.dates[300], tables["industries"].head(1).with_columns(pl.lit("b").alias("code"))
    later = tables | {"industries": pl.concat([tables["industries"], moved.with_columns(start=pl.lit(panel.axes.dates[310]))])}
    relative = [planted(op.returns() - op.cs_group_mean(op.returns(), column("industry")))]
    assert changes(relative, later, [day]) == set()

    def newest(industries: pl.DataFrame, axes: Axes) -> dict[str, Floats]:
        codes = dict(industries.sort("start").select("symbol", "code").iter_rows())
        return {"industry": np.tile([float(ord(codes[symbol])) if symbol in codes else np.nan for symbol in axes.symbols], (len(axes.dates), 1))}

    monkeypatch.setattr(panels, "_from_industries", newest)
    assert changes(relative, later, [day]) == {"cut"}


def test_a_figure_restated_later_is_caught(tables: Tables, panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    day, restated = panel.axes.dates[300], tables["reports"].head(1).with_columns(equity=pl.lit(7e9), revision=pl.lit(1, pl.Int32))
    later = tables | {"reports": pl.concat([tables["reports"], restated.with_columns(announced_on=pl.lit(panel.axes.dates[310]))])}
    book = [planted(column("equity"))]
    assert changes(book, later, [day]) == set()

    def as_restated(reports: pl.DataFrame, axes: Axes, names: object) -> dict[str, Floats]:
        del names
        last = dict(reports.sort("symbol", "period_end", "revision").select("symbol", "equity").iter_rows())
        return {"equity": np.tile([last.get(symbol) or np.nan for symbol in axes.symbols], (len(axes.dates), 1))}

    monkeypatch.setattr(panels, "statement_panels", as_restated)
    assert {"cut", "poisoned"} <= changes(book, later, [day])


def test_a_panel_that_takes_rows_as_they_come_is_caught(tables: Tables, days: list[date], monkeypatch: pytest.MonkeyPatch) -> None:
    def first_named(news: pl.DataFrame, scores: pl.DataFrame | None, axes: Axes, latency: timedelta) -> dict[str, Floats]:
        del scores, latency
        known = panels.known_sessions(news.with_row_index("place"), axes).join(news.with_row_index("place").select("id", "place"), on="id")
        named = known.explode("symbols").group_by("date", pl.col("symbols").alias("symbol")).agg(pl.col("place").min().cast(pl.Float64))
        return {"news_count": panels.to_panel(named, "place", axes)}

    monkeypatch.setattr(panels, "_from_news", first_named)
    assert "rows shuffled" in changes([planted(op.ts_mean(column("news_count"), 20, least=1))], tables, days)


def test_a_distance_from_the_high_of_the_whole_sample_is_caught(tables: Tables, days: list[date]) -> None:
    def distance(x: Floats) -> Floats:
        return x / np.fmax.reduce(x, axis=0)

    assert changes([cheat(distance)], tables, days) == {"cut", "poisoned"}


@pytest.mark.parametrize(
    "expr",
    [amount / close, close / raw_close, op.log(close), -op.log(last) - op.log(last), op.ts_mean(volume, 5), column("cash_dividend") / last],
    ids=str,
)
def test_raw_columns_beside_adjusted_ones_are_caught(tables: Tables, panel: Panel, expr: Expr) -> None:
    ex_date = panel.axes.dates[200]  # what falls on single days is caught on these
    assert changes([planted(expr)], tables, [ex_date]) == {"price history rescaled"}


def test_a_price_level_declared_raw_only_is_let_through(tables: Tables, days: list[date]) -> None:
    assert prove([planted(-close, raw_only=True)], tables, days[:1]) == []


def test_the_trap_of_shares_as_traded_is_caught(tables: Tables, days: list[date], monkeypatch: pytest.MonkeyPatch) -> None:
    """Amount / volume / close with the vendor's volume: invariant by its columns, but that volume doesn't stand on the prices' basis."""
    traded = tables["bars"].select("date", "symbol", pl.col("volume").alias("as_traded"))

    def unscaled(given: Tables) -> Tables:
        bars = rescaled_prices(given)["bars"].join(traded, on=["date", "symbol"]).with_columns(pl.col("as_traded").alias("volume")).drop("as_traded")
        return {**rescaled_prices(given), "bars": bars}

    monkeypatch.setattr("factors.prove.rescaled_prices", unscaled)
    assert changes([planted(amount / volume / close)], tables, days[:1]) == {"price history rescaled"}


def test_news_known_before_they_are_published_are_caught(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    at = tables["news"].with_columns(pl.col("published_at").dt.date().alias("date"))
    evening = at.filter(pl.col("published_at").dt.hour() >= 16, pl.col("date").is_in(tables["bars"]["date"].unique().implode()))["date"].to_list()
    assert evening

    def by_day(news: pl.DataFrame, axes: Axes, *, latency: timedelta) -> pl.DataFrame:
        del axes, latency
        return news.select("id", "symbols", pl.col("published_at").dt.date().alias("date"))

    attention = select(["news_attention"])[0]
    assert prove([attention], tables, evening[-3:]) == []
    monkeypatch.setattr(panels, "known_sessions", by_day)
    found = prove([attention], tables, evening[-3:])
    assert {breach.change for breach in found} == {"cut"}
    assert {breach.day for breach in found} <= set(evening[-3:])


def test_a_breach_says_which_factor_moved_under_what_and_where_first(tables: Tables, days: list[date]) -> None:
    def tomorrow(x: Floats) -> Floats:
        return np.vstack([x[1:], x[-1:]]) / x

    breach = prove([cheat(tomorrow), *select(["reversal_20"])], tables, days[:1])[0]
    assert (breach.factor, breach.change, breach.day) == ("cheat", "cut", days[0])
    assert breach.symbol in tables["securities"]["symbol"].to_list()
    assert breach.before != breach.after


def test_poison_changes_every_later_row_and_no_earlier_one(tables: Tables, days: list[date]) -> None:
    day = days[0]
    found = poisoned(tables, day)
    for name in ("bars", "caps", "index_bars"):
        before, after = tables[name].filter(pl.col("date") <= day), tables[name].filter(pl.col("date") > day)
        assert found[name].filter(pl.col("date") <= day).equals(before)
        column_ = "pb" if name == "caps" else "close"
        assert (found[name].filter(pl.col("date") > day)[column_] >= 2.99 * after[column_]).all()
    assert found["calendar"].equals(tables["calendar"])
    assert not found["bars"]["is_st"].equals(tables["bars"]["is_st"])


def test_rescaling_leaves_caps_and_amounts_and_what_is_as_traded(tables: Tables) -> None:
    found = rescaled_prices(tables)
    both = found["bars"].join(tables["bars"], on=["date", "symbol"], suffix="_before")
    ratio = both["close"] / both["close_before"]
    assert sorted(ratio.unique().to_list()) == [2.0**n for n in range(-3, 4)]
    assert (both["amount"] == both["amount_before"]).all()
    assert (both["raw_close"] == both["raw_close_before"]).all()
    assert (both["close"] * both["volume"] == both["close_before"] * both["volume_before"]).all()
    assert found["dividends"].equals(tables["dividends"])
