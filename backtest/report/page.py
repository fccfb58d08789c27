"""The HTML page of a tear sheet: the answer in tiles and one plot, then why, then what is to be done, then the small print."""

from collections.abc import Mapping

import numpy as np

from backtest import metrics
from backtest.drawdowns import worst
from backtest.exposures import Exposures
from backtest.report import figures, tallies
from backtest.report.markup import Card, form, paragraph, section, table, tiles, whole
from backtest.report.sheet import Sheet, Signals

TOP = 20  # holdings that the page lists


def page(sheet: Sheet, measured: Mapping[str, float]) -> str:
    """The whole page, which needs no network: plotly's script, the look and every number are inside."""
    cards = [*_account(sheet), *_scores(sheet.signals), *_exposures(sheet.exposures), *_trading(sheet), *_outlook(sheet), *_print(sheet, measured)]
    first, last = sheet.result.dates[0], sheet.result.dates[-1]
    lede = f"{first} to {last} · {len(sheet.result.dates)} sessions · against {sheet.comparison.name}"
    footer = "Returns are simulated, after all costs listed. A simulation is no promise and this page no investment advice."
    return whole(sheet.title, lede, cards, top=_tiles(sheet, measured), footer=footer)


def _tiles(sheet: Sheet, measured: Mapping[str, float]) -> str:
    monthly = metrics.monthly_excess(sheet.result.returns_D, sheet.comparison.b_D, sheet.result.dates).values()
    shown = [
        ("Excess a year", form(measured["excess_geometric"], "+.2%")),
        ("Information ratio", form(measured["information_ratio"], ".2f")),
        ("Tracking error", form(measured["tracking_error"], ".2%")),
        ("Worst excess drawdown", form(measured["excess_max_drawdown"], ".2%")),
        ("Months ahead", form(measured["monthly_hit_rate"], ".0%")),
        ("Best, worst month", f"{form(max(monthly), '+.1%')} {form(min(monthly), '+.1%')}"),
        ("Return a year", form(measured["annual_return"], "+.2%")),
        ("Benchmark a year", form(measured["benchmark_annual_return"], "+.2%")),
        ("Sharpe ratio", form(measured["sharpe"], ".2f")),
        ("Turnover a year", form(measured["turnover"], ".1f")),
        ("Costs a year", form(measured["cost"], ".2%")),
        ("Order value filled", form(tallies.filled_share(sheet.result), ".1%")),
    ]
    return tiles(shown)


def _account(sheet: Sheet) -> list[Card]:
    """What became of the money, against the index."""
    result, versus = sheet.result, sheet.comparison
    dates, r_D, b_D = result.dates, result.returns_D, versus.b_D
    lines = {"Account": metrics.wealth(r_D), versus.name: metrics.wealth(b_D)}
    if versus.price_D is not None:
        lines["Price index, without dividends"] = metrics.wealth(versus.price_D)
    tracking = figures.tracking(dates, r_D, b_D, sheet.window, versus.tracking_target)
    return [
        Card("Net asset value", "what 1 became after costs, log scale", [figures.wealth(dates, lines)], wide=True),
        Card("Excess", "account over benchmark, compounded", [figures.excess(dates, r_D, b_D)]),
        Card("Tracking", f"over the last {sheet.window} sessions, a year", [tracking]),
        Card("Excess by month", "geometric, the year at the right", [figures.months(metrics.monthly_excess(r_D, b_D, dates))], wide=True),
        Card("By year", "returns of the year's sessions; costs of mean equity", html=_years(sheet), wide=True),
        Card("Worst excess drawdowns", "of account over benchmark, compounded", html=_drawdowns(sheet), wide=True),
    ]


def _years(sheet: Sheet) -> str:
    percent = {"return", "benchmark", "excess", "tracking_error", "excess_drawdown", "cost"}
    found = tallies.years(sheet.result, sheet.comparison.b_D)
    rows = [[str(row["year"])] + [form(row[key], ".2%" if key in percent else ".2f") for key in list(row)[2:]] for row in found]
    return table(["Year", "Return", "Benchmark", "Excess", "Tracking error", "Information ratio", "Excess drawdown", "Turnover", "Costs"], rows)


def _drawdowns(sheet: Sheet) -> str:
    found = worst(sheet.result.dates, metrics.relative_wealth(sheet.result.returns_D, sheet.comparison.b_D))
    rows = [[form(one.depth, ".2%"), str(one.start), str(one.trough), str(one.recovered or "not yet"), f"{one.sessions:,}"] for one in found]
    return table(["Depth", "Start", "Trough", "Recovered", "Sessions below"], rows) if rows else paragraph("The excess never fell below its high.")


def _scores(signals: Signals) -> list[Card]:
    """What the scores knew."""
    cards = []
    known = signals.rank_ic_D[np.isfinite(signals.rank_ic_D)]
    if len(known):
        spread = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
        ratio = float(known.mean()) / spread if spread > 0 else float("nan")
        note = f"of each session's scores with the returns of the next {signals.horizon} sessions: mean {form(float(known.mean()), '.3f')}, "
        note += f"ICIR {form(ratio, '.2f')}, above zero in {form(float((known > 0).mean()), '.0%')}"
        cards.append(Card("Rank IC", note, [figures.ic(signals.dates, signals.rank_ic_D)], wide=True))
    if signals.decay:
        cards.append(Card("Decay", "mean rank IC by horizon", [figures.decay(signals.decay)], wide=not signals.quantiles))
    if signals.quantiles:
        cards.append(Card("Quantiles", "mean excess return a year, before costs", [figures.quantiles(signals.quantiles)], wide=not signals.decay))
    return cards


def _exposures(found: Exposures | None) -> list[Card]:
    """What the book was exposed to beyond its index."""
    if found is None:
        return []
    cards = []
    if found.style_D:
        largest = max(0.5, *(float(np.nanmax(np.abs(x_D), initial=0)) for x_D in found.style_D.values())) * 1.05
        heads = [_style_head(name, x_D, found.coverage[name]) for name, x_D in found.style_D.items()]
        small = [figures.style(found.dates, x_D, largest) for x_D in found.style_D.values()]
        note = "of the book beyond the index, in deviations of its members; cash counts as the index"
        cards.append(Card("Style exposures", note, small, wide=True, heads=heads))
    if found.industries:
        now, history = figures.industries(found)
        share = found.active_share_D[np.isfinite(found.active_share_D)]
        note = "active weight at the last close, ◆ mean"
        if len(share):
            note += f"; active share {form(float(share[-1]), '.0%')}, mean {form(float(share.mean()), '.0%')}"
        cards.append(Card("Industries", note, [now]))
        cards.append(Card("Industries through time", "active weight at each month's last close: red above, blue below the index", [history]))
    if found.remarks:
        cards.append(Card("About the exposures", "", html="".join(map(paragraph, found.remarks)), wide=True))
    return cards


def _style_head(name: str, exposure_D: np.ndarray, coverage: float) -> str:
    known = exposure_D[np.isfinite(exposure_D)]
    if not len(known):
        return f"{name}: unknown"
    covered = "" if coverage > 0.995 else f" · {form(coverage, '.0%')} of the book covered"
    return f"{name} {form(float(known[-1]), '+.2f')}, mean {form(float(known.mean()), '+.2f')}{covered}"


def _trading(sheet: Sheet) -> list[Card]:
    """What trading took."""
    result = sheet.result
    return [
        Card("Turnover", "by month, one way", [figures.turnover(result)]),
        Card("Costs", "by month and kind, of equity", [figures.costs(result)]),
        Card("Book", "names held, and cash as part of equity", [figures.holdings(result)]),
        Card("Not filled", "part of the value ordered in the quarter, by reason", [figures.unfilled(result)]),
        Card(
            "Fills and rejections",
            "CNY, shares at the close of their session; what is left unfilled is of the value ordered on that side",
            html=_executions(sheet),
            wide=True,
        ),
    ]


def _executions(sheet: Sheet) -> str:
    rows = []
    for row in tallies.executions(sheet.result).iter_rows(named=True):
        reason = "filled" if row["reason"] is None else row["reason"].replace("_", " ")
        values = [f"{row['orders']:,}", f"{row['ordered']:,.0f}", f"{row['filled']:,.0f}", form(row["lost"], ".2%")]
        rows.append([row["side"], reason, *values])
    return (
        table(["Side", "What became of it", "Orders", "Ordered", "Filled", "Left unfilled"], rows, texts=2)
        if rows
        else paragraph("Nothing was ordered.")
    )


def _outlook(sheet: Sheet) -> list[Card]:
    """What to trade next."""
    outlook = sheet.outlook
    if outlook is None:
        return []
    title = f"Orders for {outlook.session}" if outlook.session else "Orders of the next session"
    if outlook.orders.is_empty():
        return [Card(title, "", html=paragraph(outlook.note or "The strategy leaves the book as it is."), wide=True)]
    equity = float(sheet.result.nav_D[-1])
    sent, left = [], []
    totals = {"sell": 0.0, "buy": 0.0}
    for row in outlook.orders.iter_rows(named=True):
        stock, price = sheet.stock(row["symbol"]), row["reference_price"]
        if not row["shares"]:
            left.append([row["side"], stock, (row["reason"] or "").replace("_", " ")])
            continue
        amount = row["shares"] * price
        totals[row["side"]] += amount
        resumes = ", if trading resumes" if row["reason"] == "suspended" else ""
        sent.append([row["side"], stock + resumes, f"{row['shares']:,}", f"{price:,.2f}", f"{amount:,.0f}", f"{amount / equity:.2%}"])
    turnover = (totals["sell"] + totals["buy"]) / 2 / equity
    count = {side: sum(row[0] == side for row in sent) for side in totals}
    sides = ", ".join(f"{count[side]} {side}s of CNY {amount:,.0f}" for side, amount in totals.items())
    note = f"{sides}: {turnover:.1%} turnover. {outlook.note}"
    html = table(["Side", "Stock", "Shares", "Reference price", "Amount", "Of equity"], sent, texts=2, tall=True) if sent else ""
    if left:
        html += section("Left out", "wanted, and why it isn't ordered", table(["Side", "Stock", "Reason"], left, texts=3, tall=True))
    return [Card(title, note.strip(), html=html, wide=True)]


def _print(sheet: Sheet, measured: Mapping[str, float]) -> list[Card]:
    """Holdings, every figure, and what was assumed."""
    result = sheet.result
    rates = result.costs.model_dump(mode="json").items()
    words = {
        **result.policies(),
        "costs": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in rates if value is not None),
        **sheet.facts,
    }
    left = [[name.replace("_", " "), form(value, ",.0f" if abs(value) > 50 else ".4f")] for name, value in measured.items()]
    return [
        Card(f"Largest holdings on {result.dates[-1]}", f"{len(result.positions())} names in all", html=_holdings(sheet)),
        Card("All figures", "fractions, CNY, a year where it applies", html=table(["", ""], left)),
        Card("What was assumed", "", html=table([], [[key, text] for key, text in words.items()], words=True), wide=True),
    ]


def _holdings(sheet: Sheet) -> str:
    result = sheet.result
    shares, price = result.shares_DN[-1], result.price_DN[-1]
    held = [int(n) for n in np.flatnonzero(shares)]
    held.sort(key=lambda n: (-shares[n] * price[n], n))
    rows = []
    for n in held[:TOP]:
        value = float(shares[n] * price[n])
        rows.append([sheet.stock(result.symbols[n]), f"{shares[n]:,}", f"{price[n]:,.2f}", f"{value / result.nav_D[-1]:.2%}"])
    return table(["Stock", "Shares", "Price", "Weight"], rows) if rows else paragraph("Nothing is held.")
