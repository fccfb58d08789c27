"""Cards of where the excess came from, and of what the book was exposed to."""

import numpy as np

from backtest.attribution.parts import Attribution, linked
from backtest.exposures import Exposures
from backtest.report import breakdown, figures, tallies
from backtest.report.labels import Words
from backtest.report.markup import Card, form, paragraph, table
from backtest.report.sheet import Sheet


def attribution(sheet: Sheet, say: Words) -> list[Card]:
    """Where the excess came from; nothing where nobody looked."""
    found = sheet.attribution
    if found is None:
        return []
    note = say("parts of the geometric excess of the whole account, linked over its sessions after Carino")
    cards = [Card(say("Where the excess came from"), note, [breakdown.waterfall(found, say)], wide=True)]
    groups = breakdown.groups(found, say)
    path = breakdown.through_time(found, say)
    cards.append(Card(say("Where it came from, through time"), say("the same parts, added up session by session"), [path], wide=groups is None))
    if groups is not None:
        cards.append(Card(say("Industries and styles"), say("what the largest of them made of the whole excess"), [groups]))
    note = say("each row linked over its own sessions, so that it adds up to its excess")
    cards.append(Card(say("Where it came from, by period"), note, html=_periods(sheet, found, say), wide=True))
    words = "".join(paragraph(text) for text in _words(sheet, found, say))
    return [*cards, Card(say("About the parts"), html=words, wide=True)]


def _periods(sheet: Sheet, found: Attribution, say: Words) -> str:
    rows = []
    for name, inside in [(say("Whole"), slice(None)), *tallies.periods(sheet.result)]:
        parts_K = linked(found.kinds, inside)
        rows.append([say.known(name), *(form(value, "+.2%") for value in parts_K.tolist()), form(float(parts_K.sum()), "+.2%")])
    return table([say("Period"), *breakdown.kind_names(say), say("excess")], rows)


def _words(sheet: Sheet, found: Attribution, say: Words) -> list[str]:
    """What a reader of the parts must know."""
    excess, after = (form(float(cents.sum()) / 100, ",.2f") for cents in (found.excess_D, found.after_D))
    template = "Every session's parts are whole cents and add up to its excess of P&L over the benchmark's on the same equity: CNY {excess} in all."
    words = [say(template, excess=excess)]
    words.append(
        say("The book is looked at as if its orders had been filled whole at the close before; timing is what the deal price made of that instead.")
    )
    words.append(say("From the deal price to the close of their day the fills made CNY {after}, which lies inside the other parts.", after=after))
    if sheet.result.price_basis == "adjusted":
        words.append(say("Dividends are inside the adjusted prices, so their part is zero."))
    if found.unknown:
        words.append(
            say("The index's members are unknown on {unknown} sessions; there, selection is all that the stocks made.", unknown=found.unknown)
        )
    return words


def exposures(found: Exposures | None, say: Words) -> list[Card]:
    """What the book was exposed to beyond its index."""
    if found is None:
        return []
    cards = []
    if found.style_D:
        largest = max(0.5, *(float(np.nanmax(np.abs(x_D), initial=0)) for x_D in found.style_D.values())) * 1.05
        heads = [_style_head(name, x_D, found.coverage[name], say) for name, x_D in found.style_D.items()]
        small = [figures.style(found.dates, x_D, largest, say) for x_D in found.style_D.values()]
        note = say("of the book beyond the index, in deviations of its members; cash counts as the index")
        cards.append(Card(say("Style exposures"), note, small, wide=True, heads=heads))
    if found.industries:
        now, history = figures.industries(found, say)
        share = found.active_share_D[np.isfinite(found.active_share_D)]
        note = say("active weight at the last close, ◆ mean")
        if len(share):
            note += say("; active share {last}, mean {mean}", last=form(float(share[-1]), ".0%"), mean=form(float(share.mean()), ".0%"))
        cards.append(Card(say("Industries"), note, [now]))
        note = say("active weight at each month's last close: red above, blue below the index")
        cards.append(Card(say("Industries through time"), note, [history]))
    if found.remarks:
        cards.append(Card(say("About the exposures"), "", html="".join(paragraph(say.known(text)) for text in found.remarks), wide=True))
    return cards


def _style_head(name: str, exposure_D: np.ndarray, coverage: float, say: Words) -> str:
    known = exposure_D[np.isfinite(exposure_D)]
    name = say.known(name)
    if not len(known):
        return say("{name}: unknown", name=name)
    head = say("{name} {last}, mean {mean}", name=name, last=form(float(known[-1]), "+.2f"), mean=form(float(known.mean()), "+.2f"))
    return head if coverage > 0.995 else head + say(" · {coverage} of the book covered", coverage=form(coverage, ".0%"))
