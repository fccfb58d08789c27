"""Several strategies in one account: their targets stacked by a risk budget, their orders netted, the account's P&L split among them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from backtest.earnings import earned
from backtest.market import Market
from backtest.targets import Evening, Weigher
from data.errors import KestrelError
from data.panel import Floats

# N stocks, S sleeves, W sessions of a window
ROUNDS = 200  # of the descent; it converges in a few dozen


class Sleeve(NamedTuple):
    """A strategy of its own horizon: what it wants, and its part of the account's risk or capital."""

    name: str
    weigher: Weigher
    budget: float


class Stacking(BaseModel):
    """How budgets become parts of the capital.

    "risk": every sleeve adds its budget of the variance of the whole, measured over the last `window` sessions of the sleeves' own
    books against the index, and looked at anew every `every` sessions; until the window is full, budgets are of capital.
    "capital": budgets are of capital.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    by: Literal["risk", "capital"] = "risk"
    window: int = Field(default=60, ge=10)
    every: int = Field(default=20, ge=1)


class Stack:
    """A weigher made of sleeves' weighers.

    Each sleeve sees a book of its own: its last targets, moved by prices and rights since, on its part of the equity.  What the
    account couldn't fill doesn't reach that book, so the account tries again.  The weights wanted are the sum of the sleeves', so
    opposite wishes meet before anything is traded.  `targets_SN` keeps what each wanted by session, in parts of the account's equity.
    """

    def __init__(self, sleeves: Sequence[Sleeve], market: Market, *, stacking: Stacking | None = None, index_D: Floats | None = None) -> None:
        """index_D [D]: the index's return of each session of the market; without it risk is the sleeves' whole volatility.

        Raises KestrelError where there is no sleeve, two share a name, or a budget isn't positive.
        """
        self.names = tuple(sleeve.name for sleeve in sleeves)
        if not sleeves or len(set(self.names)) < len(sleeves) or min(sleeve.budget for sleeve in sleeves) <= 0:
            raise KestrelError(f"sleeves are {[(s.name, s.budget) for s in sleeves]}. Give each its own name and a positive budget.")
        self.sleeves, self.market, self.stacking = tuple(sleeves), market, stacking or Stacking()
        self.index_D = np.zeros(len(market.axes.dates)) if index_D is None else index_D
        budgets = np.array([sleeve.budget for sleeve in sleeves])
        self.budget_S = budgets / budgets.sum()
        self.part_S = self.budget_S
        self.book_SN = np.zeros((len(sleeves), market.axes.shape[1]))  # of each sleeve's own equity
        self.active: list[Floats] = []  # returns above the index by session, [S] each
        self.targets_SN: dict[int, Floats] = {}
        self.last: int | None = None

    def __call__(self, evening: Evening) -> Floats | None:
        """The stack's weights [N]; None where every sleeve leaves its book alone and the parts stay."""
        self._grow(evening.session)
        moved = self._budgeted(evening.session)
        for i, sleeve in enumerate(self.sleeves):
            wanted = sleeve.weigher(self._own(evening, i))
            if wanted is not None:
                self.book_SN[i], moved = wanted, True
        if not moved:
            return None
        self.targets_SN[evening.session] = self.part_S[:, None] * self.book_SN
        return np.asarray(self.targets_SN[evening.session].sum(axis=0))

    def memory(self) -> dict[str, Any]:
        """What this evening leaves to the next, as plain values that JSON keeps to the last bit; see `recall`."""
        axes = self.market.axes
        books = [{axes.symbols[n]: float(book_N[n]) for n in np.flatnonzero(book_N)} for book_N in self.book_SN]
        last = None if self.last is None else axes.dates[self.last].isoformat()
        return {
            "sleeves": self.names,
            "last": last,
            "parts": self.part_S.tolist(),
            "books": books,
            "active": [row_S.tolist() for row_S in self.active],
        }

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from another stack's memory; one of other sleeves is no memory of this."""
        if tuple(memory["sleeves"]) != self.names:
            return
        axes = self.market.axes
        place = {name: n for n, name in enumerate(axes.symbols)}
        self.last = None if memory["last"] is None else axes.index(date.fromisoformat(memory["last"]))
        self.part_S = np.array(memory["parts"])
        self.active = [np.array(row_S) for row_S in memory["active"]]
        for i, book in enumerate(memory["books"]):
            for name, weight in book.items():
                self.book_SN[i, place[name]] = weight

    def _own(self, evening: Evening, i: int) -> Evening:
        """The evening as sleeve i sees it."""
        equity = evening.equity * float(self.part_S[i])
        weights_N = self.book_SN[i].copy()
        shares_N = np.zeros(len(weights_N), dtype=np.int64)
        priced_N = (weights_N > 0) & (evening.price_N > 0)
        shares_N[priced_N] = np.floor(weights_N[priced_N] * equity / evening.price_N[priced_N] + 1e-9)
        return Evening(evening.session, weights_N, shares_N, evening.price_N, equity * (1 - float(weights_N.sum())), equity)

    def _grow(self, session: int) -> None:
        """Move the books by what each stock made since the last evening, and note the sleeves' returns."""
        for d in range(session if self.last is None else self.last + 1, session + 1):
            if d == 0 or not self.book_SN.any():
                continue
            earned_N = earned(self.market, d)
            made_S = self.book_SN @ earned_N
            self.active.append(made_S - self.book_SN.sum(axis=1) * self.index_D[d])
            self.book_SN = self.book_SN * (1 + earned_N) / (1 + made_S)[:, None]
        self.last = session

    def _budgeted(self, session: int) -> bool:
        """Set the parts anew where that is due; whether they moved."""
        window, full = self.stacking.window, len(self.active) >= self.stacking.window
        if self.stacking.by == "capital" or not full or (len(self.active) - window) % self.stacking.every:
            return False
        self.part_S = risk_parts(np.cov(np.array(self.active[-window:]).T, ddof=1).reshape(len(self.sleeves), -1), self.budget_S)
        return True


def risk_parts(covariance_SS: Floats, budget_S: Floats) -> Floats:
    """Parts of capital, summing to 1, at which every sleeve adds its budget of the variance; the budgets where nothing varies.

    Cyclical coordinate descent on x'Cx / 2 - sum b ln x.  (Griveau-Billion, Richard and Roncalli 2013)
    """
    variance_S = np.diag(covariance_SS)
    if not (variance_S > 0).all():
        return budget_S
    x_S = budget_S / np.sqrt(variance_S)
    for _ in range(ROUNDS):
        for i in range(len(x_S)):
            others = float(covariance_SS[i] @ x_S - variance_S[i] * x_S[i])
            x_S[i] = (-others + np.sqrt(others**2 + 4 * variance_S[i] * budget_S[i])) / (2 * variance_S[i])
    return np.asarray(x_S / x_S.sum())
