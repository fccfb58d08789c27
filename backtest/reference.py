"""The simulation once more in plain Python, slow and readable: what `simulate` means.  The tests hold both to the same cents.

It shares no code with the compiled loop but the settings, the dated rates and the unit of impact; read this file and `accounts.py` to
know what a session does.
"""

import math
from typing import Any

from backtest.accounts import NO_FEES, Account, Day, cents
from backtest.costs import BUY, SELL, CostSettings, rates
from backtest.market import Market
from backtest.simulation import SimulationSettings, largest_DB, lots_DB
from backtest.strategies import Targets, TopkBuffer, TopkDropout
from data.panel import Floats
from data.rules import exchange_rules

Order = tuple[int, int]  # stock, shares


def simulate_plainly(
    signal_DN: Floats,
    market: Market,
    *,
    strategy: TopkDropout | TopkBuffer | Targets,
    costs: CostSettings,
    settings: SimulationSettings | None = None,
) -> tuple[Account, list[int]]:
    """(the account at the end, equity in cents at each close) of trading scores, or target weights, every session but the first."""
    settings = settings or SimulationSettings()
    days, rules = market.axes.days, exchange_rules()
    dated, traded = rates(costs, days, rules), market.traded_DN
    lots = [lots_DB(name, days, rules, settings.lots) for name in ("lot_minimum", "lot_step")]
    largest = largest_DB(days, rules, settings.lots)
    impact = settings.impact * market.depth_DN if settings.impact else None
    account, equity = Account(round(settings.cash * 100)), []
    for d in range(1, len(days)):
        day = Day(d, market, settings, dated, lots[0], lots[1], largest, impact, traded, rules)
        _rights(account, day)
        _delistings(account, day)
        _trade(account, day, strategy, signal_DN[d - 1])
        worth = sum(cents(held, float(market.last_DN[d, n])) for n, held in account.shares.items())
        equity.append(account.cash + worth - sum(account.tax(n, held, day.date) for n, held in account.shares.items()))
    return account, equity


def _trade(account: Account, day: Day, strategy: TopkDropout | TopkBuffer | Targets, signal: Floats) -> None:
    """Sell, size, buy."""
    sells, names, values = _wishes(account, day, strategy, {n: float(x) for n, x in enumerate(signal) if math.isfinite(x)})
    expected = account.cash
    for n, wanted in sells:
        if day.market.trading_DN[day.d - 1, n]:
            held = account.shares[n]
            expected += day.sale(n, held if wanted >= held else day.lots(n, wanted), day.believed(n))
    for n, wanted in sells:
        _sell(account, day, n, wanted)
    cash = max(0, account.cash if day.settings.size_at == "deal" else expected)
    if values is None:
        values = [int(cash * strategy.invested / max(1, len(names)))] * len(names)  # type: ignore[union-attr]
    orders = _sized(day, _queued(list(zip(names, values, strict=True)), day.settings.buys), cash)
    needs = {n: day.outlay(n, day.cap(n, shares), day.deal(n) or 0.0) for n, shares, _ in orders if shares and not _refused(day, n, BUY)}
    cash, short = account.cash, day.settings.buys == "pro_rata" and sum(needs.values()) > account.cash
    for n, shares, reason in orders:
        if shares:
            _buy(account, day, n, shares, min(account.cash, int(cash * (needs.get(n, 0) / sum(needs.values())))) if short else account.cash)
        else:
            account.happened.append((day.d, n, "buy", 0, 0, 0, NO_FEES, 0, reason))


def _wishes(account: Account, day: Day, strategy: TopkDropout | TopkBuffer | Targets, signal: dict[int, float]) -> Any:
    """(sells, names to buy, their values in cents or None for equal parts of the cash)."""
    if isinstance(strategy, Targets):
        return _aimed(account, day, strategy, signal) if signal else ([], [], [])
    every = strategy.every if isinstance(strategy, TopkBuffer) else 1
    if len(set(signal.values())) < 2 or ((day.market.first_session + day.d) % every and account.shares):
        return [], [], []
    return (*_dropout(account, strategy, signal), None) if isinstance(strategy, TopkDropout) else _buffered(account, day, strategy, signal)


def _queued(wishes: list[tuple[int, int]], buys: str) -> list[tuple[int, int]]:
    """Names and values in the order in which they get the cash."""
    if buys == "symbol":
        return sorted(wishes)
    return sorted(wishes, key=lambda wish: -wish[1]) if buys == "largest" else wishes


def _sized(day: Day, wishes: list[tuple[int, int]], cash: int) -> list[tuple[int, int, str]]:
    """(stock, shares, why none) of each buy."""
    left, orders, total = cash, [], sum(value for _, value in wishes)
    for n, value in wishes:
        price = day.believed(n)
        if not price > 0:
            orders.append((n, 0, "suspended"))
            continue
        wanted = day.lots(n, int(value / (price * 100)))
        budget = int(cash * (value / total)) if day.settings.buys == "pro_rata" and total > cash else left
        shares = day.affordable(n, wanted, price, min(left, budget))
        left -= day.outlay(n, shares, price)
        orders.append((n, shares, "" if shares else ("no_cash" if wanted else "below_lot")))
    return orders


def _aimed(account: Account, day: Day, strategy: Targets, weight: dict[int, float]) -> tuple[list[Order], list[int], list[int]]:
    """Target weights: (sells, names to buy by falling weight, their values in cents)."""
    worth = {n: cents(held, day.believed(n)) for n, held in account.shares.items()}
    equity, sells, buys = account.cash + sum(worth.values()), [], []
    for n in sorted(weight):
        target, held = int(equity * weight[n]), account.shares.get(n, 0)
        value = target - worth.get(n, 0)
        if target and held and abs(value) <= strategy.band * target:
            continue
        if value > 0:
            buys.append((-weight[n], n, value))
        elif held:
            sells.append((n, int(-value / (day.believed(n) * 100)) if target else held))
    buys.sort()
    return sells, [n for _, n, _ in buys], [value for _, _, value in buys]


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
    worth = {n: cents(held, day.believed(n)) for n, held in account.shares.items()}
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


def _refused(day: Day, n: int, side: int) -> str:
    """Why the market takes no order of this side; empty where it does."""
    price, up, down = day.deal(n), float(day.market.limit_up_DN[day.d, n]), float(day.market.limit_down_DN[day.d, n])
    if price is None:
        return "suspended"
    if day.settings.limits and side == BUY and price > up - min(0.005, up * 1e-4):
        return "limit_up"
    if day.settings.limits and side == SELL and price < down + min(0.005, down * 1e-4):
        return "limit_down"
    return ""


def _buy(account: Account, day: Day, n: int, ordered: int, budget: int) -> None:
    price, shares, reason = day.deal(n), 0, _refused(day, n, BUY)
    if price is not None and not reason:
        wanted = day.cap(n, ordered)
        shares = day.affordable(n, wanted, price, budget)
        if shares < ordered:
            reason = "no_cash" if shares < day.lots(n, wanted) else "volume" if wanted < ordered else "below_lot"
    amount = cents(shares, price or 0.0)
    paid = day.fees(n, BUY, shares, amount) if shares else NO_FEES
    account.cash -= amount + sum(paid)
    account.add(n, shares, day.date)
    account.happened.append((day.d, n, "buy", ordered, shares, amount, paid, 0, reason))


def _sell(account: Account, day: Day, n: int, ordered: int) -> None:
    price, shares, reason = day.deal(n), 0, _refused(day, n, SELL)
    held = account.shares[n]
    if price is not None and not reason:
        wanted = day.cap(n, ordered)
        shares = held if wanted >= held else day.lots(n, wanted)
        if shares < ordered:
            reason = "volume" if wanted < min(ordered, held) else "below_lot"
        if account.cash + day.sale(n, shares, price) - account.tax(n, shares, day.date) < 0:
            shares, reason = 0, "no_cash"
    amount, tax = cents(shares, price or 0.0), account.tax(n, shares, day.date)
    paid = day.fees(n, SELL, shares, amount) if shares else NO_FEES
    account.cash += amount - sum(paid) - tax
    account.remove(n, shares)
    account.happened.append((day.d, n, "sell", ordered, shares, amount, paid, tax, reason))


def _rights(account: Account, day: Day) -> None:
    market, d = day.market, day.d
    for n, held in sorted(account.shares.items()):
        paid = cents(held, float(market.cash_DN[d, n]))
        new = math.floor(held * float(market.ratio_DN[d, n]) + 1e-9)
        for parcel in account.parcels[n] if day.settings.dividend_tax else ():
            for k, rung in enumerate(("to_one_month", "to_one_year", "beyond")):
                rate = day.rules.at("dividend_tax", rung, market.axes.dates[d - 1])
                parcel.owed[k] += round(float(market.taxable_DN[d, n]) * rate * 100 * 1_000_000)
        account.cash += paid
        account.add(n, new, day.date)
        if paid:
            account.happened.append((d, n, "dividend", held, 0, paid, NO_FEES, 0, ""))
        if new:
            account.happened.append((d, n, "bonus", held, new, 0, NO_FEES, 0, ""))


def _delistings(account: Account, day: Day) -> None:
    worth = 1.0 if day.settings.delisted == "last_close" else 0.0
    for n, held in sorted(account.shares.items()):
        if day.d >= day.market.delisted_N[n] and not day.market.trading_DN[day.d, n]:
            amount = cents(held, float(day.market.last_DN[day.d, n]) * worth)
            tax = min(amount, account.tax(n, held, day.date))
            account.cash += amount - tax
            account.remove(n, held)
            account.happened.append((day.d, n, "delisted", held, held, amount, NO_FEES, tax, ""))


def _ranked(names: Any, score: dict[int, float]) -> list[int]:
    """Best first, ties by symbol, names without a score last."""
    return sorted(names, key=lambda n: (-score.get(n, -math.inf), n))
