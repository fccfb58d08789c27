"""Live and backtest agree: what is published evening by evening is what the backtest trades, and the paper account is its account."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.history import as_of
from data.lake import Lake, open_lake
from pipelines import paper
from pipelines.batch.day import Asked, run_batch
from pipelines.config import Config
from pipelines.paper import statement
from pipelines.portfolio import Ground, hedged, trade
from pipelines.publication import folder_of, published, read_published
from pipelines.signal import ground_of
from pipelines.trade import trained_scores

OfficeIn = Callable[..., Config]
WEIGHED = {"kind": "score_weighted", "k": 10, "buffer": 20, "most": 0.2, "every": 2}
CALM = {"kind": "volatility_scaled", "k": 10, "buffer": 20, "most": 0.2, "every": 1}
SLEEVES = [
    {"name": "fast", "model": "ridge", "strategy": WEIGHED, "budget": 2.0},
    {"name": "slow", "model": "five_factors", "strategy": {**WEIGHED, "every": 3}},
]
BOOKS: dict[str, dict[str, Any]] = {
    "the best k": {},
    "weighted by score": {"backtest__strategy": WEIGHED},
    "scaled by volatility, guarded": {"backtest__strategy": CALM, "backtest__guard": {"volatility": 0.05, "tracking": 0.02, "window": 5}},
    "sleeves, guarded": {"backtest__sleeves": SLEEVES, "backtest__guard": {"volatility": 0.05, "window": 5}, "backtest__stacking": {"window": 10}},
    "an enhancement": {"backtest__strategy": {"kind": "enhancement", "every": 3}},
}
LONG = ("scaled by volatility, guarded", "an enhancement")  # whose risk is estimated over all of the past every evening
EVENINGS = 6


def evenings(lake: Lake) -> list[date]:
    """Sessions in the last fold's test period, the last of them with one to trade on."""
    days: list[date] = lake.read("bars", columns=["date"])["date"].unique().sort().to_list()
    return days[-EVENINGS - 20 : -20]


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.slow) if kind in LONG else kind for kind in BOOKS])
def test_the_paper_account_is_the_backtests_to_the_cent(office: Path, office_in: OfficeIn, kind: str) -> None:
    config, lake = office_in(office, **BOOKS[kind]), open_lake(office / "lake")
    days = evenings(lake)
    for day in days:
        (outcome,) = run_batch(config, Asked(day=day, model="ridge"))
        assert outcome.outcome == "published", outcome.reason
    scores = trained_scores(office / "runs").scores.filter(pl.col("date").is_in(days))
    scores = scores if config.backtest.sleeves else scores.filter(pl.col("model") == "ridge")
    simulated = trade(scores, Ground.of(lake, config)).result
    last = simulated.dates[-1]
    ground = ground_of(lake, config, last, since=paper.first_session(office / "signals", last))
    lived = paper.account(ground, office / "signals")
    assert lived is not None
    assert lived.dates == simulated.dates
    assert lived.nav_cents_D.tolist() == simulated.nav_cents_D.tolist()
    assert lived.cash_cents_D.tolist() == simulated.cash_cents_D.tolist()
    assert lived.positions() == simulated.positions()
    assert simulated.trades.height > 10
    for day, made in published(office / "signals").items():
        orders = read_published(office / "signals", day, "orders.csv")
        traded = simulated.trades.filter(pl.col("date") == date.fromisoformat(made["trade_on"]))
        assert orders["symbol"].to_list() == traded["symbol"].to_list()
        assert orders["side"].to_list() == traded["side"].to_list()
        buys = orders.filter(pl.col("side") == "buy")
        assert buys["shares"].to_list() == traded.filter(pl.col("side") == "buy")["ordered"].to_list()


@pytest.mark.parametrize("kind", ["sleeves, guarded", pytest.param("an enhancement", marks=pytest.mark.slow)])
def test_a_signal_by_weights_knows_nothing_of_what_comes_later(
    office: Path, tmp_path: Path, office_in: OfficeIn, lake_in: Callable[..., Lake], tables: dict[str, pl.DataFrame], kind: str
) -> None:
    config = office_in(office, **BOOKS[kind])
    day = evenings(open_lake(office / "lake"))[0]
    (whole,) = run_batch(config, Asked(day=day, model="ridge"))
    cut = office_in(tmp_path / "cut", **BOOKS[kind])
    lake_in(tmp_path / "cut", as_of(tables, day))
    (tmp_path / "cut" / "runs").symlink_to(office / "runs")
    (known,) = run_batch(cut, Asked(day=day, model="ridge"))
    assert whole.outcome == known.outcome == "published"
    for name in ("orders.csv", "scores.csv", "positions.csv"):
        assert (Path(str(known.folder)) / name).read_bytes() == (Path(str(whole.folder)) / name).read_bytes()


def test_the_neutral_book_writes_its_hedge_and_the_account_tells_it(office: Path, office_in: OfficeIn) -> None:
    config, lake = office_in(office, backtest__hedge={}), open_lake(office / "lake")
    days = evenings(lake)[:4]
    for day in days:
        (outcome,) = run_batch(config, Asked(day=day, model="ridge"))
        assert outcome.outcome == "published", outcome.reason
    signals, last = office / "signals", days[-1]
    assert not (folder_of(signals, days[0]) / "futures.csv").exists()  # nothing is held yet
    opened = read_published(signals, days[1], "futures.csv")
    assert opened.select("side", "why").unique().rows() == [("sell", "hedge")]
    result = paper.account(ground_of(lake, config, last, since=days[0]), signals)
    assert result is not None
    hedge = hedged(result, ground_of(lake, config, last, since=days[0]))
    assert hedge is not None
    assert -int(hedge.position_DC[1].sum()) == opened["contracts"].sum()
    folder = statement(lake, config, day=last)
    assert pl.read_parquet(folder / "hedge.parquet").height == len(days) - 1
    assert "Paper account against 000905.SH" in (folder / "report.html").read_text(encoding="utf-8")


def test_published_orders_that_were_edited_are_no_account(office: Path, office_in: OfficeIn) -> None:
    config, lake = office_in(office), open_lake(office / "lake")
    first, second, *_ = evenings(lake)
    (outcome,) = run_batch(config, Asked(day=first))
    orders = Path(str(outcome.folder)) / "orders.csv"
    orders.write_text(orders.read_text().replace("buy", "sell"))
    (refused,) = run_batch(config, Asked(day=second))
    assert refused.exit_code == 1
    assert "isn't what was published" in refused.reason
