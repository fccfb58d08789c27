"""Cards of a hedged account: what it made beside cash, from which parts, and what its margin did."""

import numpy as np

from backtest import metrics
from backtest.futures.result import PARTS, NeutralResult
from backtest.report import figures, traces
from backtest.report.labels import Words
from backtest.report.markup import Card, form, paragraph, table, tiles
from backtest.report.sheet import Sheet
from backtest.stress import windows


def answer(found: NeutralResult, say: Words) -> str:
    """The main figures of the hedged account as tiles."""
    reached = found.summary()
    shown = [
        (say("Return a year"), form(reached["annual_return"], "+.2%")),
        (say("Volatility a year"), form(reached["volatility"], ".2%")),
        (say("Sharpe ratio"), form(reached["sharpe"], ".2f")),
        (say("Worst drawdown"), form(reached["max_drawdown"], ".2%")),
        (say("Alpha a year"), form(reached["alpha"], "+.2%")),
        (say("Basis a year"), form(reached["basis"], "+.2%")),
        (say("Margin, mean of equity"), form(reached["mean_margin"], ".1%")),
        (say("Margin calls"), form(reached["calls"], ".0f")),
    ]
    return tiles(shown)


def hedged(sheet: Sheet, say: Words) -> list[Card]:
    """The account around the long book; nothing where there is none."""
    found = sheet.hedged
    if found is None:
        return []
    words = [
        say("The account is short of index futures, so its benchmark is cash. From the net asset value of the long book on, all is about that."),
        *(say.known(text) for text in found.remarks),
    ]
    path = figures.wealth(found.dates, {say("Hedged account"): metrics.wealth(found.returns_D)})
    parts = traces.figure(
        [
            traces.line(found.dates, np.cumsum(found.parts_D[name]) / found.capital, say.known(name.replace("_", " ")), shade)
            for name, shade in zip(PARTS, traces.SHADES, strict=False)
            if found.parts_D[name].any()
        ],
        yaxis={"tickformat": ".0%"},
    )
    cards = [
        Card(say("Hedged account"), say("what 1 became after costs, log scale"), [path], wide=True),
        Card(say("Where its money came from"), say("summed over the sessions, of the starting capital"), [parts]),
        Card(say("Margin"), say("at each close, of equity"), [_margin(found, say)]),
        Card(say("Parts"), say("of mean equity a year; they sum to the change of equity, to the cent"), html=_parts(found, say), wide=True),
    ]
    if html := _windows(found, say):
        note = say("as far as the account covers them; returns of the window's sessions, not a year")
        cards.append(Card(say("Stress windows of the hedged account"), note, html=html, wide=True))
    return [*cards, Card(say("About the hedge"), html="".join(paragraph(text) for text in words), wide=True)]


def _margin(found: NeutralResult, say: Words) -> traces.Figure:
    equity_D = found.equity_cents_D
    lines = [
        traces.line(found.dates, found.margin_cents_D / equity_D, say("Margin"), traces.INK),
        traces.line(found.dates, found.cash_cents_D / equity_D, say("Cash"), traces.GREY),
    ]
    return traces.figure(lines, yaxis={"tickformat": ".0%", "rangemode": "tozero"})


def _parts(found: NeutralResult, say: Words) -> str:
    split = found.split()
    heads = [*(say.known(name.replace("_", " ")) for name in PARTS), say("Sum")]
    return table(heads, [[form(value, "+.2%") for value in (*split.values(), sum(split.values()))]], texts=0)


def _windows(found: NeutralResult, say: Words) -> str:
    """The windows that it lived through, against cash."""
    percent = ("total", "worst_day", "max_drawdown", "volatility")
    rows = [
        [say.known(row["window"]), f"{row['start']} … {row['end']}", str(row["sessions"]), *(form(row[name] or np.nan, ".2%") for name in percent)]
        for row in windows(found.dates, found.returns_D, np.zeros(len(found.dates))).iter_rows(named=True)
    ]
    heads = [say("Window"), "", say("Sessions"), say("Return"), say("Worst day"), say("Worst drawdown"), say("Volatility a year")]
    return table(heads, rows, texts=2) if rows else ""
