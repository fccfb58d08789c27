"""Simulate a market: settings in, the lake's tables and the oracle out."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from data import calendar
from data.errors import KestrelError
from data.progress import Track, silent
from data.simulator import frames
from data.simulator.futures import futures
from data.simulator.index import index
from data.simulator.market import Market
from data.simulator.news import news, news_scores
from data.simulator.settings import SimulationSettings
from data.simulator.statements import filings
from data.simulator.streams import streams
from data.simulator.universe import universe
from data.simulator.wire import wire


@dataclass(frozen=True)
class Simulation:
    """A simulated market.  `tables` are the lake's, by name; `oracle` (date, symbol, one column per kind, expected) is kept beside it.

    oracle.expected is the simple return the market planted, at the close of `date`, for the session after it.
    """

    tables: dict[str, pl.DataFrame]
    oracle: pl.DataFrame


def simulate(settings: SimulationSettings | None = None, *, track: Track = silent) -> Simulation:
    """Every table of the lake but `scores`, each in its schema, sorted by its keys; raw prices, exact factors.

    Raises KestrelError where the calendar doesn't reach the span or the market is too small for its index.
    """
    settings = settings or SimulationSettings()
    exchange = calendar.seed()["date"]
    if exchange[-1] < settings.end:
        raise KestrelError(f"The XSHG calendar ends on {exchange[-1]}: simulate up to an earlier end than {settings.end}.")
    sessions = calendar.table(exchange.filter(exchange >= settings.start).to_list())
    known = sessions["date"].to_numpy().astype("datetime64[D]")
    days = known[known <= np.datetime64(settings.end)]
    parts = streams(settings.seed)
    stocks = universe(settings, days, parts["universe"])
    found = filings(stocks, days, parts["statements"])
    pieces = wire(settings, stocks, days, parts["wire"])
    tape = Market(settings, stocks, days, found, pieces.tones(len(days), len(stocks)), parts).run(track)
    levels = index(settings, stocks, tape, days, parts["index"])
    told, tone = news(pieces, stocks, frames.delisted(tape, days, known), parts["wire"])
    tables = {
        "calendar": sessions,
        "securities": frames.securities(tape, days, known, stocks),
        "bars": frames.bars(tape, days, stocks),
        "caps": frames.caps(tape, days, stocks),
        "reports": frames.reports(found, tape, days, stocks),
        "dividends": frames.dividends(tape, days, stocks),
        "members": frames.members(levels, days, stocks),
        "industries": frames.industries(tape, days, stocks),
        "index_bars": frames.index_bars(levels, days),
        "futures_bars": futures(levels, days, known, parts["futures"]),
        "news": told,
        "news_scores": news_scores(told, tone, parts["scores"]),
    }
    return Simulation(tables, frames.oracle(tape, days, stocks))
