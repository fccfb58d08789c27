"""The HTML page of a tear sheet: the answer in tiles and one plot, then why, then what is to be done, then the small print."""

from collections.abc import Mapping

from backtest.report import hedging, making, origins, performance, trading
from backtest.report.labels import Words
from backtest.report.markup import whole
from backtest.report.sheet import Sheet


def page(sheet: Sheet, measured: Mapping[str, float]) -> str:
    """The whole page, which needs no network: plotly's script, the look and every number are inside."""
    say = Words(sheet.lang)
    cards = [
        *hedging.hedged(sheet, say),
        *performance.account(sheet, say),
        *making.stress(sheet, say),
        *origins.attribution(sheet, say),
        *performance.scores(sheet.signals, say),
        *origins.exposures(sheet.exposures, say),
        *making.making(sheet, say),
        *trading.trading(sheet, say),
        *trading.capacity(sheet, say),
        *trading.outlook(sheet, say),
        *trading.small_print(sheet, measured, say),
    ]
    dates = sheet.result.dates
    span = {"first": dates[0], "last": dates[-1], "sessions": len(dates), "name": sheet.comparison.name}
    lede = say("{first} to {last} · {sessions} sessions · against {name}", **span)
    footer = say("Returns are simulated, after all costs listed. A simulation is no promise and this page no investment advice.")
    top = performance.answer(sheet, measured, say) if sheet.hedged is None else hedging.answer(sheet.hedged, say)
    return whole(sheet.title, lede, cards, top=top, footer=footer, lang=sheet.lang)
