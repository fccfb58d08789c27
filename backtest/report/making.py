"""Cards of how the book was made: what gave way, what the guard cut, what each sleeve brought, what was promised, and shocks to come."""

import numpy as np
import polars as pl

from backtest.guard import Reading
from backtest.netting import Netted
from backtest.report import traces
from backtest.report.labels import Words
from backtest.report.markup import Card, form, paragraph, table
from backtest.report.sheet import Sheet
from backtest.report.traces import Figure

STUCK = "names that couldn't be traded"


def stress(sheet: Sheet, say: Words) -> list[Card]:
    """What shocks that haven't happened yet would do to the account on the morrow of its last session."""
    if sheet.shocks is None:
        return []
    rows = []
    for row in sheet.shocks.iter_rows(named=True):
        counted = row["measure"] == "days for 95 %"
        value = row["value"] if np.isfinite(row["value"]) else np.nan
        rows.append([say.known(row["shock"]), say.known(row["measure"]), form(value, ",.1f" if counted else ".2%")])
    html = table([say("Shock"), say("Measure"), say("Value of it")], rows, texts=2)
    return [Card(say("Shocks"), say("to the last holdings, of equity; sizes as in backtest.stress.Shocks"), html=html, wide=True)]


def making(sheet: Sheet, say: Words) -> list[Card]:
    """How the book was made; nothing of what didn't take part in it."""
    trail = sheet.trail
    cards = [] if trail.forecasts.is_empty() else _optimised(sheet, say)
    if sheet.broken is not None:
        cards.append(Card(say("What was promised"), say("sessions beyond the covenant"), html=_broken(sheet.broken, say), wide=True))
    if trail.cuts is not None:
        cards += _guarded(trail.cuts, say)
    if trail.netted is not None:
        cards += _sleeves(trail.netted, sheet, say)
    if trail.remarks:
        cards.append(Card(say("About the making"), html="".join(paragraph(say.known(text)) for text in trail.remarks), wide=True))
    return cards


def _optimised(sheet: Sheet, say: Words) -> list[Card]:
    """The optimiser's forecasts, and every limit that gave way."""
    forecasts = sheet.trail.forecasts.sort("date", maintain_order=True)
    lines = [
        traces.line(own["date"].to_list(), own["tracking_error"].to_numpy(), name or say("Tracking error as forecast"), shade)
        for ((name,), own), shade in zip(forecasts.group_by("sleeve", maintain_order=True), traces.SHADES, strict=False)
    ]
    dark = Card(say("Forecast"), say("tracking error a year of each rebalance's book"), [traces.figure(lines, yaxis={"tickformat": ".1%"})])
    return [dark, Card(say("Limits that gave way"), _rebalances(forecasts, say), html=_relaxed(sheet.trail.relaxations, say))]


def _rebalances(forecasts: pl.DataFrame, say: Words) -> str:
    turnover, names = forecasts.select(pl.col("turnover", "names").mean()).row(0)
    template = "{count} rebalances of {names} names and {turnover} turnover on average"
    return say(template, count=forecasts.height, names=f"{names:.0f}", turnover=f"{turnover:.1%}")


def _relaxed(relaxations: pl.DataFrame, say: Words) -> str:
    """A row a limit: on how many evenings it gave way, and how far at most.  Names that can't be traded are one row."""
    if relaxations.is_empty():
        return paragraph(say("No limit ever gave way."))
    stuck = pl.col("constraint").str.starts_with("names:")
    named = pl.when(stuck).then(pl.lit(STUCK)).otherwise(pl.col("constraint")).alias("constraint")
    beyond = (pl.col("given") - pl.col("wanted")).abs().max().alias("beyond")
    found = relaxations.with_columns(named).group_by("constraint").agg(pl.col("date").n_unique().alias("evenings"), pl.col("wanted").last(), beyond)
    rows = []
    for row in found.sort("evenings", "constraint", descending=[True, False]).iter_rows(named=True):
        wanted = "" if row["constraint"] == STUCK else form(row["wanted"], ".4g")
        limit, lots, _ = row["constraint"].partition(" after lots")
        named_so = say.known(limit) + (f" {say('after lots')}" if lots else "")
        rows.append([named_so, f"{row['evenings']:,}", wanted, form(row["beyond"], ".4f")])
    return table([say("Limit"), say("Evenings"), say("Wanted last"), say("Most beyond")], rows, tall=True)


def _broken(broken: pl.DataFrame, say: Words) -> str:
    if broken.is_empty():
        return paragraph(say("Every session kept to the covenant."))
    found = broken.group_by("promise", "limit").agg(pl.len().alias("sessions"), pl.col("value").max(), pl.col("date").min().alias("first"))
    rows = [
        [say.known(row["promise"].replace("_", " ")), form(row["limit"], ".2%"), f"{row['sessions']:,}", form(row["value"], ".2%"), str(row["first"])]
        for row in found.sort("promise").iter_rows(named=True)
    ]
    return table([say("Promise"), say("Limit"), say("Sessions beyond"), say("Most"), say("First")], rows)


def _guarded(cuts: pl.DataFrame, say: Words) -> list[Card]:
    """What the guard left of gross and of active weights, and which measures made it cut."""
    days = cuts["date"].to_list()
    left = {say("Gross"): ("gross", traces.INK), say("Active weights"): ("active", traces.ACCENT)}
    lines = [traces.line(days, cuts[column].to_numpy(), name, shade) for name, (column, shade) in left.items()]
    rows = []
    for name in Reading._fields:
        read = cuts[name].drop_nulls().to_numpy()
        mean, most = (float(read.mean()), float(read.max())) if len(read) else (np.nan, np.nan)
        count = cuts.filter(pl.col("reasons").str.contains(f"{name} ")).height
        rows.append([say.known(name.replace("_", " ")), form(mean, ".3f"), form(most, ".3f"), f"{count:,}"])
    note = say("{cut} of {count} evenings were cut", cut=cuts.filter(pl.col("reasons") != "").height, count=cuts.height)
    return [
        Card(say("Guard"), say("what it left of the wanted book"), [traces.figure(lines, yaxis={"tickformat": ".0%", "rangemode": "tozero"})]),
        Card(say("What the guard read"), note, html=table([say("Measure"), say("mean"), say("Most"), say("Evenings cut")], rows)),
    ]


def _sleeves(found: Netted, sheet: Sheet, say: Words) -> list[Card]:
    """Each sleeve's part of the account's P&L."""
    capital = sheet.result.capital
    lines = [
        traces.line(sheet.result.dates, np.cumsum(found.pnl_cents_SD[s]) / capital, name, shade)
        for s, (name, shade) in enumerate(zip(found.names, traces.SHADES, strict=False))
    ]
    path: Figure = traces.figure(lines, yaxis={"tickformat": ".1%"})
    rows = [
        [name, form(float(pnl) / 100, ",.0f"), form(float(costs) / 100, ",.0f"), form(float(pnl) / capital, "+.2%")]
        for name, pnl, costs in zip(found.names, found.pnl_cents_SD.sum(axis=1), found.costs_cents_SD.sum(axis=1), strict=True)
    ]
    crossed = say("CNY {crossed} of their orders met inside, without cost", crossed=form(float(found.crossed_cents_D.sum()) / 100, ",.0f"))
    return [
        Card(say("Sleeves"), say("what each made, summed over the sessions, of the starting capital"), [path]),
        Card(say("What each sleeve made"), crossed, html=table([say("Sleeve"), say("P&L, CNY"), say("Costs, CNY"), say("Of the capital")], rows)),
    ]
