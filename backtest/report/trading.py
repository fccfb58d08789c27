"""Cards of what trading took, what could be managed, what to trade next, and the small print."""

from collections.abc import Mapping

import numpy as np

from backtest.report import breakdown, figures, tallies
from backtest.report.labels import Words
from backtest.report.markup import Card, form, paragraph, section, table
from backtest.report.sheet import Sheet
from backtest.result import COSTS

TOP = 20  # holdings that the page lists


def trading(sheet: Sheet, say: Words) -> list[Card]:
    """What trading took."""
    result = sheet.result
    note = say("CNY, shares at the close of their session; what is left unfilled is of the value ordered on that side")
    return [
        Card(say("Turnover"), say("by month, one way"), [figures.turnover(result, say)]),
        Card(say("Costs"), say("by month and kind, of equity"), [figures.costs(result, say)]),
        Card(say("Book"), say("names held, and cash as part of equity"), [figures.holdings(result, say)]),
        Card(say("Not filled"), say("part of the value ordered in the quarter, by reason"), [figures.unfilled(result, say)]),
        Card(say("Fills and rejections"), note, html=_executions(sheet, say), wide=True),
    ]


def _executions(sheet: Sheet, say: Words) -> str:
    rows = []
    for row in tallies.executions(sheet.result).iter_rows(named=True):
        reason = "filled" if row["reason"] is None else row["reason"].replace("_", " ")
        values = [f"{row['orders']:,}", f"{row['ordered']:,.0f}", f"{row['filled']:,.0f}", form(row["lost"], ".2%")]
        rows.append([say.known(row["side"]), say.known(reason), *values])
    if not rows:
        return paragraph(say("Nothing was ordered."))
    return table([say("Side"), say("What became of it"), say("Orders"), say("Ordered"), say("Filled"), say("Left unfilled")], rows, texts=2)


def capacity(sheet: Sheet, say: Words) -> list[Card]:
    """What larger and smaller accounts would have kept."""
    if sheet.capacity is None:
        return []
    note = say("net excess a year by what the account starts with, the same scores and rules")
    costless = "impact" not in COSTS or not sheet.result.costs_D["impact"].any()
    html = paragraph(say("Size costs nothing here beyond lots and minimum fees: no market impact was simulated.")) if costless else ""
    return [Card(say("Capacity"), note, [breakdown.capacity(sheet.capacity, say)], html=html, wide=True)]


def outlook(sheet: Sheet, say: Words) -> list[Card]:
    """What to trade next."""
    found = sheet.outlook
    if found is None:
        return []
    title = say("Orders for {session}", session=found.session) if found.session else say("Orders of the next session")
    if found.orders.is_empty():
        return [Card(title, "", html=paragraph(found.note or say("The strategy leaves the book as it is.")), wide=True)]
    equity = float(sheet.result.nav_D[-1])
    sent, left = [], []
    count, totals = {"sell": 0, "buy": 0}, {"sell": 0.0, "buy": 0.0}
    for row in found.orders.iter_rows(named=True):
        side, stock, price = row["side"], sheet.stock(row["symbol"]), row["reference_price"]
        if not row["shares"]:
            left.append([say.known(side), stock, say.known((row["reason"] or "").replace("_", " "))])
            continue
        amount = row["shares"] * price
        count[side], totals[side] = count[side] + 1, totals[side] + amount
        named = say("{stock}, if trading resumes", stock=stock) if row["reason"] == "suspended" else stock
        sent.append([say.known(side), named, f"{row['shares']:,}", f"{price:,.2f}", f"{amount:,.0f}", f"{amount / equity:.2%}"])
    note = say(
        "{sells} sells of CNY {sold}, {buys} buys of CNY {bought}: {turnover} turnover.",
        sells=count["sell"],
        sold=f"{totals['sell']:,.0f}",
        buys=count["buy"],
        bought=f"{totals['buy']:,.0f}",
        turnover=f"{(totals['sell'] + totals['buy']) / 2 / equity:.1%}",
    )
    heads = [say("Side"), say("Stock"), say("Shares"), say("Reference price"), say("Amount"), say("Of equity")]
    html = table(heads, sent, texts=2, tall=True) if sent else ""
    if left:
        inside = table([say("Side"), say("Stock"), say("Reason")], left, texts=3, tall=True)
        html += section(say("Left out"), say("wanted, and why it isn't ordered"), inside)
    return [Card(title, f"{note} {found.note}".strip(), html=html, wide=True)]


def small_print(sheet: Sheet, measured: Mapping[str, float], say: Words) -> list[Card]:
    """Holdings, every figure, and what was assumed."""
    result = sheet.result
    rates = result.costs.model_dump(mode="json").items()
    words = {
        **result.policies(),
        "costs": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in rates if value is not None),
        **sheet.facts,
    }
    left = [[name.replace("_", " "), form(value, ",.0f" if abs(value) > 50 else ".4f")] for name, value in measured.items()]
    count = say("{count} names in all", count=len(result.positions()))
    rows = [[say.known(key), text] for key, text in words.items()]
    return [
        Card(say("Largest holdings on {day}", day=result.dates[-1]), count, html=_holdings(sheet, say)),
        Card(say("All figures"), say("fractions, CNY, a year where it applies"), html=table(["", ""], left)),
        Card(say("What was assumed"), "", html=table([], rows, words=True), wide=True),
    ]


def _holdings(sheet: Sheet, say: Words) -> str:
    result = sheet.result
    shares, price = result.shares_DN[-1], result.price_DN[-1]
    held = [int(n) for n in np.flatnonzero(shares)]
    held.sort(key=lambda n: (-shares[n] * price[n], n))
    rows = []
    for n in held[:TOP]:
        value = float(shares[n] * price[n])
        rows.append([sheet.stock(result.symbols[n]), f"{shares[n]:,}", f"{price[n]:,.2f}", f"{value / result.nav_D[-1]:.2%}"])
    return table([say("Stock"), say("Shares"), say("Price"), say("Weight")], rows) if rows else paragraph(say("Nothing is held."))
