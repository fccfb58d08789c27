"""The page: every factor in one table, then a sheet of plots for each of the strongest."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from backtest.report.markup import Card, form, paragraph, table, tiles, whole
from factors.evaluate import Evaluation, Sheet
from pipelines.tearsheet import figures

Row = Mapping[str, Any]

LINES = 8  # factors in the plot of running sums
# Column of the summary: (head, key, form); capacity is CNY m.
COLUMNS = (
    ("RankIC", "rank_ic", "+.4f"),
    ("RankICIR", "rank_icir", "+.2f"),
    ("t", "t", "+.1f"),
    ("p, all tries", "p_by", ".3f"),
    ("IC", "ic", "+.4f"),
    ("Spread", "spread", "+.2%"),
    ("net", "spread_net", "+.2%"),
    ("Turnover", "turnover", ".0%"),
    ("Half-life", "half_life", ".0f"),
    ("Rises", "monotonicity", "+.1f"),
    ("Coverage", "coverage", ".0%"),
    ("CNY m", "capacity", ",.0f"),
)


def page(found: Evaluation, rows: Sequence[Row], *, tries: int, remarks: Sequence[str] = (), top: int = 10) -> str:
    """The whole page, which needs no network.  rows: one a factor, best first, with its p-values adjusted."""
    strongest = rows[:top]
    cards = [_summary(rows, len(strongest)), *_together(found, strongest)]
    for place, row in enumerate(strongest):
        cards += _sheet(found, row, place)
    cards.append(_words(found, tries, remarks))
    count = f"{len(rows)} factor" + ("s" if len(rows) != 1 else "")
    held = f"{found.settings.main} sessions held"
    lede = f"{found.dates[0]} to {found.dates[-1]} · {len(found.dates):,} sessions · {count} · {held} · {tries:,} ideas tried"
    return whole("Factors", lede, cards, footer="What factors foretold is no promise and this page no investment advice.")


def _summary(rows: Sequence[Row], linked: int) -> Card:
    """All factors, those with a sheet of their own linked to it."""
    head = '<th class="text">Factor</th>' + "".join(f"<th>{escape(name)}</th>" for name, _, _ in COLUMNS) + '<th class="text">Most like</th>'
    body = []
    for place, row in enumerate(rows):
        name = escape(row["factor"])
        cells = "".join(f"<td>{_cell(row, key, pattern)}</td>" for _, key, pattern in COLUMNS)
        link = f'<a href="#factor{place}">{name}</a>' if place < linked else name
        body.append(f'<tr><td class="text">{link}</td>{cells}<td class="text">{escape(row["closest"])}</td></tr>')
    html = f'<div class="scroll tall"><table class="dense"><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
    note = "by |RankIC|; p for all tries; spread of the outer quantiles a holding period; half-life in sessions; capacity in millions of CNY"
    return Card("All factors", note, html=html, wide=True)


def _cell(row: Row, key: str, pattern: str) -> str:
    value = float(row[key])
    if np.isposinf(value):
        return "∞"
    if key in ("p_by", "monotonicity_p") and value < 0.0005:
        return "< .001"
    return form(value / 1e6 if key == "capacity" else value, pattern)


def _together(found: Evaluation, rows: Sequence[Row]) -> list[Card]:
    series = {row["factor"]: found.sheets[row["factor"]].rank_ic_D for row in rows[:LINES]}
    note = "running sum of the daily RankIC, turned round where it falls"
    return [Card("The strongest side by side", note, [figures.totals(found.dates, series)], wide=True)] if len(series) > 1 else []


def _sheet(found: Evaluation, row: Row, place: int) -> list[Card]:
    """One factor."""
    sheet, horizon = found.sheets[row["factor"]], found.settings.main
    shown = [
        ("RankIC", form(row["rank_ic"], "+.4f")),
        ("t, Newey-West", form(row["t"], "+.2f")),
        ("p for all tries", _cell(row, "p_by", ".3f")),
        ("Spread a period", form(row["spread"], "+.2%")),
        ("net of costs", form(row["spread_net"], "+.2%")),
        ("Capacity, CNY m", _cell(row, "capacity", ",.0f")),
    ]
    decay = {int(one["horizon"]): one["rank_ic"] for one in sheet.horizons}
    curves = figures.quantile_curves(found.dates, sheet.quantile_DQ, horizon)
    rising = f"return over {horizon} sessions less the mean of all; p of rising all the way: {_cell(row, 'monotonicity_p', '.3f')}"
    return [
        Card(row["factor"], f"number {place + 1} by |RankIC|", html=f'<a id="factor{place}"></a>{tiles(shown)}', wide=True),
        Card("RankIC", f"of returns over {horizon} sessions", [figures.rank_ic(found.dates, sheet.rank_ic_D)]),
        Card("Quantiles through time", "sum of returns less the mean of all, before costs", [curves]),
        Card("Quantiles", rising, [figures.quantile_bars(sheet.quantile_DQ)]),
        Card("Decay", "mean RankIC by horizon", [figures.decay(decay)]),
        _lasting(found, sheet, row),
        *_made_of(sheet, row),
        Card("By year and by regime", "", html=_parts(sheet), wide=True),
    ]


def _lasting(found: Evaluation, sheet: Sheet, row: Row) -> Card:
    """How fast it changes, and whom it covers."""
    lags = figures.small_bars({str(lag): value for lag, value in sheet.autocorrelation.items()}, ".2f")
    specs = [lags, figures.turnover(found.dates, sheet.turnover_DQ), figures.coverage(found.dates, sheet.coverage_D)]
    heads = ["Ranks against those so many sessions before", f"Names replaced in {found.settings.main} sessions", "Stocks with a value"]
    return Card("How long it lasts", f"half-life {_cell(row, 'half_life', '.0f')} sessions", specs, heads=heads, wide=True)


def _made_of(sheet: Sheet, row: Row) -> list[Card]:
    """Likeness to styles, factors and industries."""
    cards = []
    if sheet.styles:
        cards.append(Card("Styles", "correlation of ranks", [figures.tilts(sheet.styles, "+.2f")]))
    if sheet.closest:
        cards.append(Card("Most like", "correlation of ranks with the lake's other factors", [figures.tilts(sheet.closest, "+.2f")]))
    if sheet.industries:
        note = f"mean rank in deviations, the largest; {form(row['industry_share'], '.0%')} of the ranks' variance lies between industries"
        cards.append(Card("Industries", note, [figures.tilts(sheet.industries, "+.2f")], wide=len(cards) % 2 == 0))
    return cards


def _parts(sheet: Sheet) -> str:
    """RankIC by year and by the state the market was in, known at each close."""
    heads = ["", "Sessions", "RankIC", "RankICIR", "IC", "ICIR"]
    rows = [*sheet.years.iter_rows(named=True), *sheet.regimes.iter_rows(named=True)]
    cells = [
        [str(row.get("year", row.get("regime"))), f"{row['days']:,}", *(form(row[key], "+.4f") for key in ("rank_ic", "rank_icir", "ic", "icir"))]
        for row in rows
    ]
    return table(heads, cells) if cells else paragraph("No session has a figure.")


def _words(found: Evaluation, tries: int, remarks: Sequence[str]) -> Card:
    """What the figures mean and rest on."""
    how = found.settings
    words = [
        ["t", f"of the mean daily RankIC with Bartlett weights over the {how.main} sessions that returns overlap (Newey and West 1987)"],
        ["p", f"two-sided, for the {tries:,} ideas judged so far on overlapping dates: share of false finds (Benjamini and Yekutieli 2001)"],
        ["net", f"|spread| less {how.cost:.2%} for each sale and each purchase of names replaced in either outer quantile"],
        ["capacity", f"of the quantile bought: its number of stocks times {how.participation:.0%} of the amount a session that nine in ten exceed"],
        ["regimes", "rising: the market's last 60 sessions are up; wild: its last 20 moved more than the median of all such spans until then"],
        ["sampled", f"styles, likeness, industries and capacity are taken in every {how.sample}th session"],
        *([["note", remark] for remark in remarks]),
    ]
    return Card("What the figures mean", "", html=table([], words, words=True), wide=True)
