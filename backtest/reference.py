"""The simulation once more in plain Python, slow and readable: what `simulate` means.  The tests hold both to the same cents.

It shares no code with the compiled loop but the settings and the dated rates; read this file to know what a session does.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from backtest.costs import BUY, RATE_UNIT, SELL, CostSettings, Rates, rates
from backtest.market import Market
from backtest.simulation import SimulationSettings, lots_DB
from backtest.strategies import TopkBuffer, TopkDropout
from data.panel import Floats
from data.rules import exchange_rules

Order = tuple[int, int]  # stock, shares


@dataclass
class Account:
    """Cash in cents, shares by stock, and everything that happened: (session, stock, side, ordered, shares, amount, fees, reason)."""

    cash: int
    shares: dict[int, int] = field(default_factory=dict)
    happened: list[tuple[int, int, str, int, int, int, tuple[int, ...], str]] = field(default_factory=list)


@dataclass(frozen=True)
class Day:
    """What holds on one session: its position d, the settings and the dated rates (row d of each)."""

    d: int
    market: Market
    settings: SimulationSettings
    rates: Rates
    lot_minimum: Any
    lot_step: Any

    def deal(self, n: int) -> float | None:
        """The price an order can be filled at; None while suspended."""
        price = float(self.market.deal_DN(self.settings.deal)[self.d, n])
        return price if self.market.trading_DN[self.d, n] and price > 0 else None

    def believed(self, n: int) -> float:
        """The price an order is sized at."""
        dealt = self.deal(n) if self.settings.size_at == "deal" else None
        return dealt if dealt is not None else float(self.market.reference_DN[self.d, n])

    def lot(self, n: int) -> tuple[int, int]:
        """(smallest order, step above it) in quoted shares."""
        scale, board = float(self.market.scale_DN[self.d, n]), self.market.board_N[n]
        minimum, step = int(self.lot_minimum[self.d, board]), int(self.lot_step[self.d, board])
        return (minimum, step) if scale == 1.0 else (max(1, round(minimum * scale)), max(1, round(step * scale)))

    def lots(self, n: int, wanted: int) -> int:
        """The most shares up to `wanted` in whole lots."""
        minimum, step = self.lot(n)
        return 0 if wanted < minimum else minimum + (wanted - minimum) // step * step

    def fees(self, n: int, side: int, shares: int, amount: int) -> tuple[int, int, int, int]:
        """(commission, stamp duty, transfer fee, slippage) in cents."""
        exchange = self.market.exchange_N[n]
        transfer = _part(amount, self.rates.transfer_DE[self.d, exchange])
        per_share = int(self.rates.per_share_DE[self.d, exchange])
        if per_share:
            transfer += max(100, _part(round(shares / float(self.market.scale_DN[self.d, n])), per_share))
        commission = max(self.rates.minimum, _part(amount, self.rates.commission_S[side]))
        return commission, _part(amount, self.rates.stamp_DS[self.d, side]), transfer, _part(amount, self.rates.slippage)

    def sale(self, n: int, shares: int, price: float) -> int:
        """Cents a sale brings after fees."""
        amount = _cents(shares, price)
        return amount - sum(self.fees(n, SELL, shares, amount)) if shares else 0

    def affordable(self, n: int, wanted: int, price: float, cash: int) -> int:
        """The largest whole-lot order up to `wanted` that the cash pays for, found by halving the number of lots."""
        minimum, step = self.lot(n)
        low, high = 0, (self.lots(n, wanted) - minimum) // step + 1 if wanted >= minimum else 0
        while low < high:
            middle = (low + high + 1) // 2
            shares = minimum + (middle - 1) * step
            amount = _cents(shares, price)
            if amount + sum(self.fees(n, BUY, shares, amount)) <= cash:
                low = middle
            else:
                high = middle - 1
        return minimum + (low - 1) * step if low else 0


def simulate_plainly(
    scores_DN: Floats,
    market: Market,
    *,
    strategy: TopkDropout | TopkBuffer,
    costs: CostSettings,
    settings: SimulationSettings | None = None,
) -> tuple[Account, list[int]]:
    """(the account at the end, equity in cents at each close) of trading every session but the first."""
    settings = settings or SimulationSettings()
    days, rules = market.axes.days, exchange_rules()
    dated = rates(costs, days, rules)
    lots = [lots_DB(name, days, rules, settings.lots) for name in ("lot_minimum", "lot_step")]
    account, equity = Account(round(settings.cash * 100)), []
    for d in range(1, len(days)):
        day = Day(d, market, settings, dated, lots[0], lots[1])
        _rights(account, day)
        _delistings(account, day)
        score = {n: float(x) for n, x in enumerate(scores_DN[d - 1]) if math.isfinite(x)}
        every = strategy.every if isinstance(strategy, TopkBuffer) else 1
        if len(set(score.values())) > 1 and ((market.first_session + d) % every == 0 or not account.shares):
            _trade(account, day, strategy, score)
        equity.append(account.cash + sum(_cents(held, float(market.last_DN[d, n])) for n, held in account.shares.items()))
    return account, equity


def _trade(account: Account, day: Day, strategy: TopkDropout | TopkBuffer, score: dict[int, float]) -> None:
    if isinstance(strategy, TopkDropout):
        sells, names = _dropout(account, strategy, score)
        values = None
    else:
        sells, names, values = _buffered(account, day, strategy, score)
    expected = account.cash
    for n, wanted in sells:
        if day.market.trading_DN[day.d - 1, n]:
            held = account.shares[n]
            expected += day.sale(n, held if wanted >= held else day.lots(n, wanted), day.believed(n))
    for n, wanted in sells:
        _sell(account, day, n, wanted)
    left = max(0, account.cash if day.settings.size_at == "deal" else expected)
    part = int(left * strategy.invested / max(1, len(names)))
    orders = []
    for i, n in enumerate(names):
        price = day.believed(n)
        if not price > 0:
            orders.append((n, 0, "suspended"))
            continue
        wanted = day.lots(n, int((values[i] if values else part) / (price * 100)))
        shares = day.affordable(n, wanted, price, left)
        amount = _cents(shares, price)
        left -= amount + sum(day.fees(n, BUY, shares, amount)) if shares else 0
        orders.append((n, shares, "" if shares else ("no_cash" if wanted else "below_lot")))
    for n, shares, reason in orders:
        if shares:
            _buy(account, day, n, shares)
        else:
            account.happened.append((day.d, n, "buy", 0, 0, 0, (0, 0, 0, 0), reason))


def _dropout(account: Account, strategy: TopkDropout, score: dict[int, float]) -> tuple[list[Order], list[int]]:
    """Qlib's TopkDropout: (sells worst first, names to buy best first)."""
    held = _ranked(account.shares, score)
    new = _ranked([n for n in score if n not in account.shares], score)[: max(0, strategy.drop + strategy.k - len(held))]
    last = _ranked([*held, *new], score)[-strategy.drop :]
    sells = [n for n in reversed(held) if n in last]
    return [(n, account.shares[n]) for n in sells], new[: max(0, len(sells) + strategy.k - len(held))]


def _buffered(account: Account, day: Day, strategy: TopkBuffer, score: dict[int, float]) -> tuple[list[Order], list[int], list[int]]:
    """Top k with a buffer: (sells, names to buy, their values in cents)."""
    ranked = _ranked(score, score)[: strategy.buffer]
    kept = [n for n in ranked if n in account.shares][: strategy.k]
    names = set(kept + [n for n in ranked if n not in account.shares][: strategy.k - len(kept)])
    worth = {n: _cents(held, day.believed(n)) for n, held in account.shares.items()}
    target = int((account.cash + sum(worth.values())) * strategy.invested / strategy.k)
    sells = [(n, account.shares[n]) for n in reversed(_ranked(account.shares, score)) if n not in names]
    buys, values = [], []
    for n in ranked:
        value = target - worth.get(n, 0)
        if n not in names or (n in worth and abs(value) <= strategy.band * target):
            continue
        if value > 0:
            buys.append(n)
            values.append(value)
        elif value < 0:
            sells.append((n, int(-value / (day.believed(n) * 100))))
    return sells, buys, values


def _buy(account: Account, day: Day, n: int, ordered: int) -> None:
    price, shares, reason = day.deal(n), 0, ""
    up = float(day.market.limit_up_DN[day.d, n])
    if price is None:
        reason = "suspended"
    elif day.settings.limits and price > up - min(0.005, up * 1e-4):
        reason = "limit_up"
    else:
        shares = day.affordable(n, ordered, price, account.cash)
        reason = "" if shares == ordered else "no_cash" if shares < day.lots(n, ordered) else "below_lot"
    amount = _cents(shares, price or 0.0)
    paid = day.fees(n, BUY, shares, amount) if shares else (0, 0, 0, 0)
    account.cash -= amount + sum(paid)
    if shares:
        account.shares[n] = account.shares.get(n, 0) + shares
    account.happened.append((day.d, n, "buy", ordered, shares, amount, paid, reason))


def _sell(account: Account, day: Day, n: int, ordered: int) -> None:
    price, shares, reason = day.deal(n), 0, ""
    held, down = account.shares[n], float(day.market.limit_down_DN[day.d, n])
    if price is None:
        reason = "suspended"
    elif day.settings.limits and price < down + min(0.005, down * 1e-4):
        reason = "limit_down"
    else:
        shares = held if ordered >= held else day.lots(n, ordered)
        reason = "below_lot" if shares < ordered else ""
        if account.cash + day.sale(n, shares, price) < 0:
            shares, reason = 0, "no_cash"
    amount = _cents(shares, price or 0.0)
    paid = day.fees(n, SELL, shares, amount) if shares else (0, 0, 0, 0)
    account.cash += amount - sum(paid)
    _set(account, n, held - shares)
    account.happened.append((day.d, n, "sell", ordered, shares, amount, paid, reason))


def _rights(account: Account, day: Day) -> None:
    for n, held in sorted(account.shares.items()):
        paid = _cents(held, float(day.market.cash_DN[day.d, n]))
        new = math.floor(held * float(day.market.ratio_DN[day.d, n]) + 1e-9)
        account.cash += paid
        account.shares[n] += new
        if paid:
            account.happened.append((day.d, n, "dividend", held, 0, paid, (0, 0, 0, 0), ""))
        if new:
            account.happened.append((day.d, n, "bonus", held, new, 0, (0, 0, 0, 0), ""))


def _delistings(account: Account, day: Day) -> None:
    worth = 1.0 if day.settings.delisted == "last_close" else 0.0
    for n, held in sorted(account.shares.items()):
        if day.d >= day.market.delisted_N[n] and not day.market.trading_DN[day.d, n]:
            amount = _cents(held, float(day.market.last_DN[day.d, n]) * worth)
            account.cash += amount
            _set(account, n, 0)
            account.happened.append((day.d, n, "delisted", held, held, amount, (0, 0, 0, 0), ""))


def _ranked(names: Any, score: dict[int, float]) -> list[int]:
    """Best first, ties by symbol, names without a score last."""
    return sorted(names, key=lambda n: (-score.get(n, -math.inf), n))


def _set(account: Account, n: int, shares: int) -> None:
    account.shares[n] = shares
    if not shares:
        del account.shares[n]


def _cents(shares: int, price: float) -> int:
    return math.floor(shares * price * 100 + 0.5) if shares else 0


def _part(amount: int, units: Any) -> int:
    return (amount * int(units) + RATE_UNIT // 2) // RATE_UNIT
