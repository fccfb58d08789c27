"""Cards of what became of the money: against the index, by month and year, at its worst, in times of stress."""

from collections.abc import Mapping

import numpy as np

from backtest import metrics
from backtest.drawdowns import worst
from backtest.report import figures, tallies
from backtest.report.labels import Words
from backtest.report.markup import Card, form, paragraph, table, tiles
from backtest.report.sheet import Sheet, Signals


def answer(sheet: Sheet, measured: Mapping[str, float], say: Words) -> str:
    """The main figures as tiles."""
    monthly = metrics.monthly_excess(sheet.result.returns_D, sheet.comparison.b_D, sheet.result.dates).values()
    shown = [
        (say("Excess a year"), form(measured["excess_geometric"], "+.2%")),
        (say("Information ratio"), form(measured["information_ratio"], ".2f")),
        (say("Tracking error"), form(measured["tracking_error"], ".2%")),
        (say("Worst excess drawdown"), form(measured["excess_max_drawdown"], ".2%")),
        (say("Months ahead"), form(measured["monthly_hit_rate"], ".0%")),
        (say("Best, worst month"), f"{form(max(monthly), '+.1%')} {form(min(monthly), '+.1%')}"),
        (say("Return a year"), form(measured["annual_return"], "+.2%")),
        (say("Benchmark a year"), form(measured["benchmark_annual_return"], "+.2%")),
        (say("Sharpe ratio"), form(measured["sharpe"], ".2f")),
        (say("Turnover a year"), form(measured["turnover"], ".1f")),
        (say("Costs a year"), form(measured["cost"], ".2%")),
        (say("Order value filled"), form(tallies.filled_share(sheet.result), ".1%")),
    ]
    return tiles(shown)


def account(sheet: Sheet, say: Words) -> list[Card]:
    """What became of the money, against the index."""
    result, versus = sheet.result, sheet.comparison
    dates, r_D, b_D = result.dates, result.returns_D, versus.b_D
    lines = {say("Account"): metrics.wealth(r_D), versus.name: metrics.wealth(b_D)}
    if versus.price_D is not None:
        lines[say("Price index, without dividends")] = metrics.wealth(versus.price_D)
    tracking = figures.tracking(dates, r_D, b_D, sheet.window, versus.tracking_target, say)
    months = figures.months(metrics.monthly_excess(r_D, b_D, dates), say)
    cards = [
        Card(say("Net asset value"), say("what 1 became after costs, log scale"), [figures.wealth(dates, lines)], wide=True),
        Card(say("Excess"), say("account over benchmark, compounded"), [figures.excess(dates, r_D, b_D, say)]),
        Card(say("Tracking"), say("over the last {window} sessions, a year", window=sheet.window), [tracking]),
        Card(say("Excess by month"), say("geometric, the year at the right"), [months], wide=True),
        Card(say("By year"), say("returns of the year's sessions; costs of mean equity"), html=_years(sheet, say), wide=True),
        Card(say("Worst excess drawdowns"), say("of account over benchmark, compounded"), html=_drawdowns(sheet, say), wide=True),
    ]
    if stressed := tallies.windows(result, b_D):
        note = say("as far as the account covers them; returns of the window's sessions, not a year")
        cards.append(Card(say("Stress windows"), note, html=_stress(stressed, say), wide=True))
    return cards


def _years(sheet: Sheet, say: Words) -> str:
    percent = {"return", "benchmark", "excess", "tracking_error", "excess_drawdown", "cost"}
    found = tallies.years(sheet.result, sheet.comparison.b_D)
    rows = [[str(row["year"])] + [form(row[key], ".2%" if key in percent else ".2f") for key in list(row)[2:]] for row in found]
    heads = [say("Year"), say("Return"), say("Benchmark"), say("Excess"), say("Tracking error"), say("Information ratio")]
    return table([*heads, say("Excess drawdown"), say("Turnover"), say("Costs")], rows)


def _drawdowns(sheet: Sheet, say: Words) -> str:
    found = worst(sheet.result.dates, metrics.relative_wealth(sheet.result.returns_D, sheet.comparison.b_D))
    rows = [[form(one.depth, ".2%"), str(one.start), str(one.trough), str(one.recovered or say("not yet")), f"{one.sessions:,}"] for one in found]
    heads = [say("Depth"), say("Start"), say("Trough"), say("Recovered"), say("Sessions below")]
    return table(heads, rows) if rows else paragraph(say("The excess never fell below its high."))


def _stress(found: list[dict[str, object]], say: Words) -> str:
    heads = [say("Window"), "", say("Sessions"), say("Return"), say("Benchmark"), say("Excess"), say("Tracking error")]
    heads += [say("Excess drawdown"), say("Worst day's excess"), say("Turnover")]
    rows = []
    for row in found:
        percent = [form(float(str(row[key])), ".2%") for key in ("return", "benchmark", "excess", "tracking_error", "excess_drawdown", "worst_day")]
        span = f"{row['first']} … {row['last']}"
        rows.append([say.known(str(row["window"])), span, str(row["sessions"]), *percent, form(float(str(row["turnover"])), ".2f")])
    return table(heads, rows, texts=2)


def scores(signals: Signals, say: Words) -> list[Card]:
    """What the scores knew."""
    cards = []
    known = signals.rank_ic_D[np.isfinite(signals.rank_ic_D)]
    if len(known):
        spread = float(known.std(ddof=1)) if len(known) > 1 else float("nan")
        note = say(
            "of each session's scores with the returns of the next {horizon} sessions: mean {mean}, ICIR {icir}, above zero in {share}",
            horizon=signals.horizon,
            mean=form(float(known.mean()), ".3f"),
            icir=form(float(known.mean()) / spread if spread > 0 else float("nan"), ".2f"),
            share=form(float((known > 0).mean()), ".0%"),
        )
        cards.append(Card(say("Rank IC"), note, [figures.ic(signals.dates, signals.rank_ic_D, say=say)], wide=True))
    if signals.decay:
        decay = figures.decay(signals.decay, say)
        cards.append(Card(say("Decay"), say("mean rank IC by horizon"), [decay], wide=not signals.quantiles))
    if signals.quantiles:
        fifths = figures.quantiles(signals.quantiles, say)
        cards.append(Card(say("Quantiles"), say("mean excess return a year, before costs"), [fifths], wide=not signals.decay))
    return cards
