"""What every simulated market must satisfy, on one small market that spans the rule changes of 2020 to 2023."""

from dataclasses import replace
from datetime import date, time

import numpy as np
import polars as pl
import pytest

from data.checks import blocking, check
from data.limits import with_limits
from data.simulator import KINDS, Simulation, SimulationSettings, simulate
from data.simulator.oracle import coefficients
from data.tables import TABLES
from data.validation import validated

# exchange_calendars still reads Series.values of a zoned index, which pandas 3.1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning an ndarray")

SETTINGS = SimulationSettings(stocks=300, members=150, years=4, end=date(2023, 12, 29), seed=11)
TINY = {"stocks": 60, "members": 30, "years": 1, "end": date(2023, 12, 29)}


def kept(settings: SimulationSettings) -> Simulation:
    """A market whose tables and oracle are made once."""
    found = simulate(settings)
    oracle = found.oracle
    return replace(found, tables=dict(found.tables), side=lambda: oracle)


@pytest.fixture(scope="module")
def market() -> Simulation:
    return kept(SETTINGS)


@pytest.fixture(scope="module")
def bars(market: Simulation) -> pl.DataFrame:
    """Bars in the sequence of each stock, with its last row beside each row."""
    before = pl.col("close", "adj").shift(1).over("symbol").name.prefix("last_")
    return market.tables["bars"].sort("symbol", "date").with_columns(before)


def test_every_table_is_in_its_schema_and_order(market: Simulation) -> None:
    assert set(market.tables) == set(TABLES) - {"scores", "minute_bars", "names"}
    for name, frame in market.tables.items():
        assert frame.height > 0
        assert validated(name, frame).equals(frame), name


def test_the_lakes_checks_find_nothing_that_blocks(market: Simulation) -> None:
    assert blocking(check(market.tables, "raw")) == []


def test_the_same_seed_gives_the_same_tables_however_often_they_are_made() -> None:
    first, second = (simulate(SimulationSettings(**TINY, minute_days=(date(2023, 12, 29),))) for _ in range(2))
    for name in first.tables:
        frame = first.tables[name]
        assert frame.equals(second.tables[name]), name
        assert frame.equals(first.tables[name]), name
    assert first.oracle.equals(second.oracle)


def test_switching_alpha_off_leaves_every_other_draw_as_it_was() -> None:
    planted, none = simulate(SimulationSettings(**TINY)), simulate(SimulationSettings(**TINY, alpha="none"))
    for name in ("calendar", "securities", "reports", "industries", "news", "news_scores"):
        assert planted.tables[name].equals(none.tables[name]), name
    pair = planted.tables["bars"].join(none.tables["bars"], on=["date", "symbol"]).filter(pl.col("close") != pl.col("pre_close"))
    gap = (pair["close"] / pair["pre_close"] - pair["close_right"] / pair["pre_close_right"]).abs()
    assert gap.median() < 0.003
    assert none.oracle.select(pl.col("expected", *KINDS).abs().max()).row(0) == (0.0,) * 6


def test_another_seed_gives_another_market() -> None:
    assert not simulate(SimulationSettings(**TINY)).tables["bars"].equals(simulate(SimulationSettings(**TINY, seed=8)).tables["bars"])


def test_prices_are_whole_cents_and_in_order(bars: pl.DataFrame) -> None:
    for name in ("open", "high", "low", "close", "pre_close"):
        assert (bars[name] * 100 - (bars[name] * 100).round()).abs().max() < 1e-6
    assert bars.filter((pl.col("low") > pl.min_horizontal("open", "close")) | (pl.col("high") < pl.max_horizontal("open", "close"))).is_empty()


def test_no_price_leaves_its_limits_and_the_limits_are_the_exchanges(market: Simulation) -> None:
    bars = market.tables["bars"].join(market.tables["securities"], on="symbol").join(market.tables["calendar"], on="date")
    assert bars.filter((pl.col("high") > pl.col("limit_up")) | (pl.col("low") < pl.col("limit_down"))).filter("is_trading").is_empty()
    listed = market.tables["calendar"].select(list_date="date", first="session")
    bars = bars.join(listed, on="list_date", how="left").sort("date", "symbol")
    expected = with_limits(bars, bars["session"] - bars["first"], price_basis="raw")
    for name in ("limit_up", "limit_down"):
        assert expected[name].equals(market.tables["bars"][name])
    assert market.tables["bars"].filter(pl.col("close") == pl.col("limit_up")).height > 100
    assert market.tables["bars"]["limit_up"].null_count() > 20


def test_nothing_trades_while_suspended(bars: pl.DataFrame) -> None:
    still = bars.filter(~pl.col("is_trading"))
    assert 0.002 < still.height / bars.height < 0.008
    assert still["volume"].max() == 0
    assert still["amount"].max() == 0
    assert still.filter(pl.any_horizontal(pl.col("open", "high", "low", "pre_close") != pl.col("close"))).is_empty()
    assert still.filter(pl.col("close") != pl.col("last_close")).is_empty()
    assert bars.filter("is_trading")["volume"].min() >= 100


def test_amount_over_volume_lies_between_low_and_high(bars: pl.DataFrame) -> None:
    price = bars.filter("is_trading").with_columns(price=pl.col("amount") / pl.col("volume"))
    assert price.filter((pl.col("price") < pl.col("low") - 1e-9) | (pl.col("price") > pl.col("high") + 1e-9)).is_empty()


def test_a_listed_stock_has_a_row_every_session(market: Simulation) -> None:
    sessions = market.tables["calendar"].filter(pl.col("date") <= SETTINGS.end)["session"]
    spans = (
        market.tables["bars"]
        .join(market.tables["calendar"], on="date")
        .group_by("symbol")
        .agg(pl.len(), pl.col("session").min(), last=pl.col("session").max())
    )
    assert (spans["last"] - spans["session"] + 1 == spans["len"]).all()
    found = market.tables["securities"].join(spans, on="symbol")
    alive = found.filter(pl.col("delist_date").is_null())
    assert (alive["last"] == sessions.max()).all()
    assert found.filter(pl.col("delist_date").is_not_null()).height > 0
    assert found.filter(pl.col("list_date") > date(2020, 1, 2)).height > 10


def test_the_factor_chains_pre_close_and_starts_at_one(bars: pl.DataFrame) -> None:
    assert bars.filter(pl.col("last_close").is_null())["adj"].unique().to_list() == [1.0]
    chain = bars.drop_nulls("last_close").with_columns(chain=pl.col("last_adj") * pl.col("last_close") / pl.col("pre_close"))
    assert (chain["adj"] / chain["chain"] - 1).abs().max() < 1e-12


def test_close_times_factor_is_the_return_with_dividends(market: Simulation, bars: pl.DataFrame) -> None:
    paid = bars.join(market.tables["dividends"], left_on=["symbol", "date"], right_on=["symbol", "ex_date"])
    assert paid.height == market.tables["dividends"].height
    grown = 1 + pl.col("bonus") + pl.col("transfer")
    reference = paid.select(pl.col("pre_close") - (pl.col("last_close") - pl.col("cash")) / grown).to_series()
    assert reference.abs().max() < 0.005 + 1e-9  # rounded to the cent
    assert (paid["bonus"] + paid["transfer"] > 0).any()
    quiet = bars.join(market.tables["dividends"], left_on=["symbol", "date"], right_on=["symbol", "ex_date"], how="anti").drop_nulls("last_close")
    assert quiet.filter(pl.col("pre_close") != pl.col("last_close")).is_empty()


def test_splits_change_the_shares(market: Simulation) -> None:
    before = pl.col("total_shares").shift(1).over("symbol").alias("before")
    shares = market.tables["caps"].sort("symbol", "date").with_columns(before).drop_nulls("before").filter(pl.col("total_shares") != pl.col("before"))
    split = shares.join(market.tables["dividends"], left_on=["symbol", "date"], right_on=["symbol", "ex_date"])
    assert split.height == shares.height == market.tables["dividends"].filter(pl.col("bonus") + pl.col("transfer") > 0).height
    gap = split.select((pl.col("before") * (1 + pl.col("bonus") + pl.col("transfer")) - pl.col("total_shares")).abs().max()).item()
    assert gap <= 1


def test_members_and_weights_rebuild_both_levels_of_the_index(market: Simulation, bars: pl.DataFrame) -> None:
    grown = market.tables["dividends"].select("symbol", date="ex_date", grown=pl.col("bonus") + pl.col("transfer"))
    moves = bars.join(grown, on=["symbol", "date"], how="left").with_columns(
        price=pl.col("close") * (1 + pl.col("grown").fill_null(0)) / pl.col("last_close") - 1, total=pl.col("close") / pl.col("pre_close") - 1
    )
    days = market.tables["index_bars"]["date"]
    held = market.tables["members"].join(pl.DataFrame({"date": days[:-1], "next": days[1:]}), on="date")
    rebuilt = held.join(moves, left_on=["symbol", "next"], right_on=["symbol", "date"])
    assert rebuilt.height == held.height  # every member has a bar on the next session
    returns = (
        rebuilt.group_by("next").agg(price=(pl.col("weight") * pl.col("price")).sum(), total=(pl.col("weight") * pl.col("total")).sum()).sort("next")
    )
    for column, level in (("price", "close"), ("total", "close_tr")):
        found = market.tables["index_bars"][level][0] * (1 + returns[column]).cum_prod()
        assert (found / market.tables["index_bars"][level][1:] - 1).abs().max() < 1e-9


def test_the_index_has_its_members_every_session_and_changes_at_reviews(market: Simulation) -> None:
    members = market.tables["members"]
    sizes = members.group_by("date").agg(pl.len(), pl.col("weight").sum(), pl.col("weight").min().alias("least"))
    assert sizes["len"].unique().to_list() == [SETTINGS.members]
    assert (sizes["weight"] - 1).abs().max() < 1e-12
    assert sizes["least"].min() > 0
    sets = members.group_by("date", maintain_order=True).agg("symbol")
    came = [
        (day, len(set(now) - set(was)))
        for day, now, was in zip(sets["date"][1:], sets["symbol"][1:], sets["symbol"][:-1], strict=True)
        if set(now) != set(was)
    ]
    reviews = {
        date(2020, 6, 12),
        date(2020, 12, 11),
        date(2021, 6, 11),
        date(2021, 12, 10),
        date(2022, 6, 10),
        date(2022, 12, 9),
        date(2023, 6, 9),
        date(2023, 12, 8),
    }
    last = set(market.tables["bars"].group_by("symbol").agg(pl.col("date").max())["date"])
    assert reviews <= {day for day, _ in came}
    assert {day for day, _ in came} <= reviews | last  # a delisted member leaves after its last session
    assert max(count for _, count in came) <= 0.2 * SETTINGS.members


def test_reports_are_filed_after_their_period_and_by_the_deadline(market: Simulation) -> None:
    first = market.tables["reports"].group_by("symbol", "period_end").agg(pl.col("announced_on").min())
    late = first.join(market.tables["securities"], on="symbol").filter(pl.col("announced_on") >= pl.col("list_date"))
    due = pl.col("period_end").dt.month().replace_strict({3: "04-30", 6: "08-31", 9: "10-31", 12: "04-30"}, return_dtype=pl.String)
    year = pl.col("period_end").dt.year() + (pl.col("period_end").dt.month() == 12).cast(pl.Int32)
    deadline = pl.concat_str(year.cast(pl.String), pl.lit("-"), due).str.to_date()
    assert late.filter((pl.col("announced_on") <= pl.col("period_end")) | (pl.col("announced_on") > deadline)).is_empty()
    assert market.tables["reports"].height > first.height  # restatements
    assert market.tables["reports"]["announced_on"].max() <= SETTINGS.end


def test_a_balance_sheet_adds_up_and_gross_profit_lies_between_revenue_and_nothing(market: Simulation) -> None:
    filed = market.tables["reports"]
    owed = filed["total_assets"] - filed["equity"]
    assert ((filed["debt"] > 0) & (filed["debt"] < owed)).all()
    assert ((filed["cash"] > 0) & (filed["cash"] < filed["total_assets"])).all()
    assert ((filed["gross_profit"] > 0) & (filed["gross_profit"] < filed["revenue"])).all()
    assert 0.2 < (owed / filed["total_assets"]).median() < 0.6


def test_ratios_are_those_of_the_reports_known_the_session_after_they_were_announced(market: Simulation) -> None:
    caps = market.tables["caps"].join(market.tables["bars"].select("date", "symbol", "close"), on=["date", "symbol"])
    checked = 0
    for symbol in market.tables["securities"]["symbol"].gather_every(30):
        reports = market.tables["reports"].filter(pl.col("symbol") == symbol)
        for row in caps.filter(pl.col("symbol") == symbol).gather_every(45).iter_rows(named=True):
            known = reports.filter(pl.col("announced_on") < row["date"]).sort("announced_on").group_by("period_end").last()
            values = {end: (profit, equity) for end, profit, equity in known.select("period_end", "net_profit", "equity").iter_rows()}
            latest = max(values)
            year_end, same = date(latest.year - 1, 12, 31), latest.replace(year=latest.year - 1)
            trailing = values[latest][0] if latest.month == 12 else values[latest][0] + values[year_end][0] - values[same][0]
            cap = row["total_shares"] * row["close"]
            assert row["pe_ttm"] == pytest.approx(cap / trailing)
            assert row["pb"] == pytest.approx(cap / values[latest][1])
            checked += 1
    assert checked > 100


def test_industries_change_by_date_and_without_hindsight(market: Simulation) -> None:
    industries = market.tables["industries"]
    assert not industries["hindsight"].any()
    assert industries.height > industries["symbol"].n_unique() == market.tables["securities"].height


def test_st_comes_and_goes_and_binds_the_limit(market: Simulation) -> None:
    bars = market.tables["bars"].filter("is_st", pl.col("symbol").str.starts_with("60"))
    assert bars.height > 0
    assert (bars["limit_up"] / bars["pre_close"] - 1).median() == pytest.approx(0.05, abs=0.005)


def test_futures_meet_the_index_at_expiry(market: Simulation) -> None:
    futures = market.tables["futures_bars"].join(market.tables["index_bars"].select("date", level="close"), on="date")
    assert futures.group_by("date").len()["len"].unique().to_list() == [4]
    assert set(futures["multiplier"]) == {200.0}
    last = futures.filter(pl.col("date") == pl.col("expiry"))
    assert last.height == 48
    assert (last["settle"] / last["level"] - 1).abs().max() < 0.002
    far = futures.with_columns(term=(pl.col("expiry") - pl.col("date")).dt.total_days() / 365).filter(pl.col("term") > 0.1)
    assert -0.15 < far.select(((pl.col("close") / pl.col("level")).log() / pl.col("term")).mean()).item() < 0.0
    assert futures.filter(
        (pl.col("low") > pl.min_horizontal("open", "close", "settle")) | (pl.col("high") < pl.max_horizontal("open", "close", "settle"))
    ).is_empty()


def test_news_come_day_and_night_about_listed_stocks(market: Simulation) -> None:
    news = market.tables["news"]
    hours = news["published_at"].dt.time()
    assert ((hours > time(15)) & (hours < time(23, 59, 59))).mean() > 0.3
    assert (hours < time(9, 30)).mean() > 0.1
    assert (news["published_at"].dt.weekday() > 5).any()
    assert news["title"].n_unique() > 0.85 * news.height
    told = news.explode("symbols").join(market.tables["securities"], left_on="symbols", right_on="symbol")
    assert told.height == news["symbols"].list.len().sum()
    assert told.filter(pl.col("published_at").dt.date() <= pl.col("list_date")).is_empty()
    assert told.filter(pl.col("published_at").dt.date() >= pl.col("delist_date")).is_empty()
    assert set(market.tables["news_scores"]["id"]) == set(news["id"])
    parts = market.tables["news_scores"].select(pl.col("p_negative") + pl.col("p_neutral") + pl.col("p_positive")).to_series()
    assert (parts - 1).abs().max() < 1e-12


def test_linear_alpha_is_a_function_of_the_tables_at_the_close(market: Simulation) -> None:
    """Computed again from bars and caps alone, cut after the session: nothing later is needed, nothing hidden is used."""
    day = date(2022, 9, 1)
    bars = market.tables["bars"].filter(pl.col("date") <= day).sort("symbol", "date").join(market.tables["caps"], on=["date", "symbol"], how="left")
    price = (pl.col("close") * pl.col("adj")).log()
    rows = bars.group_by("symbol", maintain_order=True).agg(
        reversal=price.slice(-6, 1).first() - price.last(),
        calm=-(pl.col("volume") / pl.col("float_shares")).tail(20).mean().log(),
        value=(1 / pl.col("pe_ttm")).last(),
        steady=-price.diff().tail(20).std(ddof=0),
    )
    found = market.oracle.filter(pl.col("date") == day).join(rows, on="symbol", maintain_order="left")

    def score(name: str) -> np.ndarray:
        x = found[name].to_numpy()
        reach = 3 * 1.4826 * np.median(np.abs(x - np.median(x)))
        x = np.clip(x, np.median(x) - reach, np.median(x) + reach)
        return (x - x.mean()) / x.std()

    total = 0.55 * score("reversal") + 0.6 * score("calm") + 0.4 * score("value") + 0.4 * score("steady")
    np.testing.assert_allclose(found["linear"], 8e-4 * total / np.sqrt(0.55**2 + 0.6**2 + 2 * 0.4**2), rtol=1e-5, atol=1e-9)


def test_the_oracle_knows_about_as_much_as_a_good_desk(market: Simulation) -> None:
    found = coefficients(market.oracle, market.tables["bars"])
    assert 0.05 < found["ic"].mean() < 0.10
    assert market.oracle["expected"].null_count() == 0
    for kind in KINDS:
        assert coefficients(market.oracle, market.tables["bars"], column=kind, horizon=1)["ic"].mean() > 0


def test_without_alpha_yesterdays_winners_and_the_news_foretell_nothing() -> None:
    market = simulate(SimulationSettings(stocks=200, members=100, years=3, end=date(2023, 12, 29), alpha="none"))
    bars = market.tables["bars"].sort("symbol", "date")
    price = pl.col("close") * pl.col("adj")
    known = bars.with_columns(
        reversal=(price / price.shift(5)).over("symbol"),
        calm=pl.col("volume").rolling_mean(20).over("symbol"),
        old=pl.int_range(pl.len()).over("symbol"),
    ).filter(pl.col("old") > 60)
    for column in ("reversal", "calm"):
        ic = coefficients(known.drop_nulls(column), market.tables["bars"], column=column)["ic"]
        assert abs(ic.mean()) < 3 * ic.std() / np.sqrt(len(ic) / 5)  # windows of 5 sessions overlap
