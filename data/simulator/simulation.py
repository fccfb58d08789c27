"""Simulate a market: settings in, the lake's tables and the oracle out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data import calendar
from data.errors import KestrelError
from data.progress import Track, silent
from data.simulator import frames
from data.simulator.futures import futures
from data.simulator.index import Index, index
from data.simulator.market import Market, Tape
from data.simulator.minutes import minute_bars
from data.simulator.news import news, news_scores
from data.simulator.settings import SimulationSettings
from data.simulator.statements import Filings, filings
from data.simulator.streams import streams
from data.simulator.universe import Universe, universe
from data.simulator.wire import Wire, wire

Days = NDArray[np.datetime64]
Makers = dict[str, Callable[[], pl.DataFrame]]


class Tables(Mapping[str, pl.DataFrame]):
    """The lake's tables by name.  A table is made whenever it is asked for and not kept, so that memory holds one large table at a time."""

    def __init__(self, makers: Makers) -> None:
        self.makers = dict(makers)

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self.makers)

    def __len__(self) -> int:
        return len(self.makers)

    def __contains__(self, name: object) -> bool:
        return name in self.makers


@dataclass(frozen=True)
class Simulation:
    """A simulated market: `tables` are the lake's by name, each in its schema and sorted by its keys; see `oracle` for what lies beside."""

    settings: SimulationSettings
    tables: Mapping[str, pl.DataFrame]
    side: Callable[[], pl.DataFrame]

    @property
    def oracle(self) -> pl.DataFrame:
        """The side table: date, symbol, a column per kind of alpha, and `expected`, their sum; made whenever it is asked for.

        It is the simple return that the market planted, at the close of `date`, for the session after it.
        """
        return self.side()


def simulate(settings: SimulationSettings | None = None, *, track: Track = silent) -> Simulation:
    """A market with every table of the lake but `scores`, raw prices and exact factors; minute bars of the days asked for.

    Raises KestrelError where the calendar doesn't reach the span, a minute day is no session, or the market is too small for its index.
    """
    settings = settings or SimulationSettings()
    sessions, days = span(settings)
    minutes = minute_sessions(settings, days)
    parts = streams(settings.seed)
    stocks = universe(settings, days, parts["universe"])
    found = filings(stocks, days, parts["statements"])
    pieces = wire(settings, stocks, days, parts["wire"])
    tape = Market(settings, stocks, days, found, pieces.tones(len(days), len(stocks)), parts).run(track)
    levels = index(settings, stocks, tape, days, parts["index"])
    known = sessions["date"].to_numpy().astype("datetime64[D]")
    makers = _market(tape, levels, days, known, stocks, settings.seed) | _companies(tape, found, pieces, days, known, stocks, settings.seed)
    if len(minutes):
        makers["minute_bars"] = lambda: minute_bars(tape, minutes, days, stocks, streams(settings.seed)["minutes"])
    tables = Tables({"calendar": lambda: sessions, **makers})
    return Simulation(settings, tables, lambda: frames.oracle(tape, days, stocks))


def span(settings: SimulationSettings) -> tuple[pl.DataFrame, Days]:
    """(the calendar from the market's first session on, for futures' expiries beyond its end too; the market's sessions [D])."""
    exchange = calendar.seed()["date"]
    if exchange[-1] < settings.end:
        raise KestrelError(f"The XSHG calendar ends on {exchange[-1]}: simulate up to an earlier end than {settings.end}.")
    sessions = calendar.table(exchange.filter(exchange >= settings.start).to_list())
    known = sessions["date"].to_numpy().astype("datetime64[D]")
    return sessions, known[known <= np.datetime64(settings.end)]


def minute_sessions(settings: SimulationSettings, days: Days) -> NDArray[np.int64]:
    """Positions of the sessions with minute bars, ascending.  Raises KestrelError for a day that is none of the market's sessions."""
    wanted = np.unique(np.array(settings.minute_days, dtype="datetime64[D]"))
    wrong = wanted[~np.isin(wanted, days)]
    if len(wrong):
        raise KestrelError(f"minute_days names {wrong[0]}, which is no session of this market ({days[0]} to {days[-1]}). Name a session.")
    return np.searchsorted(days, wanted)


# Whatever is drawn while a table is made comes from a stream of its own, started afresh each time: made twice, a table is the same.


def _market(tape: Tape, levels: Index, days: NDArray[np.datetime64], known: NDArray[np.datetime64], stocks: Universe, seed: int) -> Makers:
    """The tables of prices."""
    return {
        "bars": lambda: frames.bars(tape, days, stocks),
        "caps": lambda: frames.caps(tape, days, stocks),
        "members": lambda: frames.members(levels, days, stocks),
        "index_bars": lambda: frames.index_bars(levels, days),
        "futures_bars": lambda: futures(levels, days, known, streams(seed)["futures"]),
    }


def _companies(tape: Tape, found: Filings, pieces: Wire, days: Days, known: Days, stocks: Universe, seed: int) -> Makers:
    """The tables of what companies are, say and are said to do."""
    ended = frames.delisted(tape, days, known)
    return {
        "securities": lambda: frames.securities(tape, days, known, stocks),
        "reports": lambda: frames.reports(found, tape, days, stocks),
        "dividends": lambda: frames.dividends(tape, days, stocks),
        "industries": lambda: frames.industries(tape, days, stocks),
        "news": lambda: news(pieces, stocks, ended, streams(seed)["titles"]),
        "news_scores": lambda: news_scores(pieces, stocks, ended, streams(seed)["scores"]),
    }
