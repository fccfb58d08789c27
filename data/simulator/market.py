"""The market itself, session by session: what is learnt, paid, suspended, traded, and expected at the close."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.progress import Track
from data.simulator.actions import Actions, ExRights
from data.simulator.alpha import SEASONED, Alpha, Close, standard
from data.simulator.quotes import OLD, Quotes, Turnover, limits, quote, ratio_table
from data.simulator.returns import REACTION, REFRESH, Returns
from data.simulator.settings import KINDS, SimulationSettings
from data.simulator.spells import Spells
from data.simulator.statements import Filings, Knowledge
from data.simulator.streams import Streams
from data.simulator.universe import Universe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

PRICES = ("open", "high", "low", "close", "pre_close", "limit_up", "limit_down")


@dataclass
class Tape:
    """What the market leaves behind, [D, N] each: prices in int32 cents, cells of stocks that aren't listed undefined."""

    shape: tuple[int, int]
    actions: list[ExRights] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.cents = {name: np.zeros(self.shape, dtype=np.int32) for name in PRICES}
        self.listed, self.trading, self.st = (np.zeros(self.shape, dtype=bool) for _ in range(3))
        self.volume, self.amount = np.zeros(self.shape), np.zeros(self.shape, dtype=np.int64)
        self.adj, self.total, self.floating = (np.ones(self.shape) for _ in range(3))
        self.trailing = np.full((4, *self.shape), np.nan)  # revenue, profit, equity, cash
        self.prices = np.full(self.shape, np.nan)  # log of close x adj
        self.turnover = np.zeros(self.shape)
        self.mean_return = np.zeros(self.shape[0])
        self.expected = np.zeros((len(KINDS), *self.shape), dtype=np.float32)
        self.seasoned = np.zeros(self.shape, dtype=bool)
        self.last = np.full(self.shape[1], self.shape[0])  # the last session of a delisted stock, D for the others

    @property
    def ever(self) -> Flags:
        """Which stocks were listed at some session, [N]."""
        return np.asarray(self.listed.any(axis=0))


class Market:
    """The running state between two sessions.  D sessions, N stocks."""

    def __init__(
        self, settings: SimulationSettings, stocks: Universe, days: NDArray[np.datetime64], found: Filings, tones: Floats, streams: Streams
    ) -> None:
        count = len(stocks)
        self.stocks, self.days, self.tones, self.streams = stocks, days, tones, streams
        self.knowledge = Knowledge(found, count)
        self.returns = Returns(stocks, len(days), streams)
        self.spells = Spells(settings.suspended, count, streams["suspensions"])
        self.actions = Actions(count, streams["actions"])
        self.activity = Turnover(stocks.activity, streams["turnover"])
        self.alpha = Alpha(settings.alpha, count)
        self.ratios = ratio_table(days)
        self.industries = stocks.industries.copy()
        self.cents, self.shares, self.adj = stocks.cents.copy(), stocks.shares.copy(), np.ones(count)
        self.carry = np.where(stocks.listed_at >= 0, stocks.premium, 0.0)
        self.expected = np.zeros(count)
        self.tape = Tape((len(days), count))

    def run(self, track: Track) -> Tape:
        """Trade every session."""
        for session in track(range(len(self.days)), "simulate"):
            self._trade(session)
        self.tape.actions = self.actions.done
        self.tape.last = self.spells.last_session(len(self.days))
        return self.tape

    def _trade(self, session: int) -> None:
        """One session, from what is learnt before the open to what is expected at the close."""
        listed = (self.stocks.listed_at <= session) & ~self.spells.gone
        age = session - self.stocks.listed_at
        annual, profits, announced = self.knowledge.learn(session)
        self.spells.judge(annual, self.knowledge.losses, listed)
        if session > 0:
            self.actions.plan(session, annual, profits, announced, self.cents, self.shares, listed)
        trading = self.spells.suspend(listed & (age >= OLD)) & listed
        for _, stock, industry in self.stocks.changes[self.stocks.changes[:, 0] == session]:
            self.industries[stock] = industry
        before = self.cents
        reference, grown = self.actions.pay(session, trading, before)
        self.shares = np.floor(self.shares * (10_000 + grown) / 10_000)
        self.adj = np.where(grown + (reference != before) > 0, self.adj * (before / reference), self.adj)
        floating = np.floor(self.shares * self.stocks.float_ratio(session) / 100) * 100

        shock, volatility = self.returns.draw(session, self.industries)
        shock = np.clip(shock + REACTION * self.tones[session], -0.5, 0.6)
        places = (session, self.stocks.boards, self.spells.st.astype(int), np.clip(age, 0, OLD))
        bounds = limits(reference, self.ratios[:, *places])
        quotes = quote(reference, self.carry, shock, self.expected, volatility, bounds, self.streams["quotes"])
        waited = (1 + self.carry) * (1 + shock + self.expected) - 1
        self.carry = np.where(trading, quotes.carry, np.where(listed, waited, self.carry))
        volume, amount = self.activity.draw(quotes, shock / volatility, np.log(volatility / self.stocks.volatility), floating)
        self.cents = np.where(trading, quotes.close, before)
        self._write(session, listed, trading, reference, bounds, quotes, floating)
        self.tape.volume[session], self.tape.amount[session] = np.where(trading, volume, 0.0), np.where(trading, amount, 0)
        self.tape.turnover[session] = np.where(trading, volume / floating, 0.0)
        self._expect(session, listed, reference)
        self.spells.close(session, listed, self.cents)

    def _write(
        self, session: int, listed: Flags, trading: Flags, reference: Ints, bounds: tuple[Ints, Ints], quotes: Quotes, floating: Floats
    ) -> None:
        """Keep the session on the tape; a suspended stock rests at its last close."""
        tape = self.tape
        found = (quotes.open, quotes.high, quotes.low)
        for name, values in zip(PRICES, found, strict=False):
            tape.cents[name][session] = np.where(trading, values, self.cents)
        tape.cents["close"][session], tape.cents["pre_close"][session] = self.cents, reference
        tape.cents["limit_up"][session], tape.cents["limit_down"][session] = bounds
        tape.listed[session], tape.trading[session], tape.st[session] = listed, trading, self.spells.st
        tape.adj[session], tape.total[session], tape.floating[session] = self.adj, self.shares, floating
        tape.trailing[:, session] = self.knowledge.trailing.T

    def _expect(self, session: int, listed: Flags, reference: Ints) -> None:
        """Form the expectation of the next session from the tables up to this close."""
        tape = self.tape
        tape.prices[session] = np.where(listed, np.log(self.cents / 100 * self.adj), np.nan)
        tape.mean_return[session] = (self.cents / reference - 1)[listed].mean()
        seasoned = listed & (session - self.stocks.listed_at >= SEASONED)
        caps = self.shares * self.cents / 100
        past = slice(max(session - 279, 0), session + 1)  # as far as any alpha looks back
        close = Close(
            prices=tape.prices[past], turnover=tape.turnover[past], market=tape.mean_return[past], caps=caps,
            earnings_yield=self.knowledge.trailing[:, 1] / caps, industries=self.industries, tone=self.tones[session], eligible=seasoned,
        )  # fmt: skip
        by_kind = self.alpha.expect(close)
        tape.expected[:, session], tape.seasoned[session] = by_kind, seasoned
        self.expected = by_kind.sum(axis=0)
        if session % REFRESH == 0:
            back = min(120, session)
            momentum = tape.prices[session] - tape.prices[session - back]
            self.returns.expose(standard(np.log(caps), listed), standard(momentum, listed))
