"""One self-contained HTML page and its numbers as JSON: what the account did, against what, at which cost, under which assumptions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtest import figures, metrics
from backtest.markup import clean, form, inside_script, section, table
from backtest.result import COSTS, Result
from data.errors import KestrelError
from data.panel import Floats

REPORT_VERSION = 1
TOP = 20  # holdings that the page lists


@dataclass(frozen=True)
class Signals:
    """What is known of the scores themselves; every part may be missing.

    rank_ic_D [D] belongs to `dates`.  decay: mean RankIC by horizon in sessions.  quantiles: mean excess return a year, worst first.
    """

    dates: tuple[date, ...] = ()
    rank_ic_D: Floats = field(default_factory=lambda: np.empty(0))
    decay: Mapping[int, float] = field(default_factory=dict)
    quantiles: Sequence[float] = ()


@dataclass(frozen=True)
class Comparison:
    """What the account is measured against: daily returns [D] over the result's sessions.  `price_D` is the index without dividends."""

    name: str
    b_D: Floats
    price_D: Floats | None = None
    tracking_target: float | None = 0.05


def write_report(
    folder: Path,
    result: Result,
    comparison: Comparison,
    *,
    title: str,
    facts: Mapping[str, str] | None = None,
    signals: Signals | None = None,
    names: Mapping[str, str] | None = None,
    window: int = 60,
) -> tuple[Path, Path]:
    """Write report.html and report.json into `folder` and return their paths.

    facts: what else a reader must know (model, table versions, evaluations of this test period), as text.  names: of stocks.
    Needs no network to be read: plotly's script is inside.  Raises KestrelError where a series has another length than the result.
    """
    for label, series in (("the benchmark", comparison.b_D), ("its price index", comparison.price_D)):
        if series is not None and len(series) != len(result.dates):
            raise KestrelError(f"{label} has {len(series)} returns, the result {len(result.dates)} sessions. Take both over result.dates.")
    figures_of = metrics.summary(result, comparison.b_D)
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / "report.html", folder / "report.json"
    body = _page(result, comparison, figures_of, title, facts or {}, signals or Signals(), names or {}, window)
    _replace(page, body)
    _replace(data, json.dumps(clean(report_data(result, comparison, title, facts, signals)), ensure_ascii=False, indent=1, allow_nan=False))
    return page, data


def report_data(
    result: Result, comparison: Comparison, title: str, facts: Mapping[str, str] | None = None, signals: Signals | None = None
) -> dict[str, Any]:
    """Everything the page shows, for programs: fractions, CNY, ISO dates; a number that doesn't exist is NaN here and null in the file."""
    signals = signals or Signals()
    r_D, b_D = result.returns_D, comparison.b_D
    return {
        "version": REPORT_VERSION,
        "title": title,
        "benchmark": comparison.name,
        "metrics": metrics.summary(result, b_D),
        "assumptions": result.policies(),
        "facts": dict(facts or {}),
        "settings": {name: getattr(result, name).model_dump(mode="json") for name in ("strategy", "costs", "settings")},
        "years": years(result, comparison),
        "months": {f"{year}-{month:02d}": value for (year, month), value in metrics.monthly_excess(r_D, b_D, result.dates).items()},
        "orders": _orders(result).to_dicts(),
        "positions": result.positions(),
        "series": {
            "date": [day.isoformat() for day in result.dates],
            "nav": result.nav_D.tolist(),
            "cash": result.cash_D.tolist(),
            "return": r_D.tolist(),
            "benchmark_return": b_D.tolist(),
            "price_return": None if comparison.price_D is None else comparison.price_D.tolist(),
            "turnover": result.turnover_D.tolist(),
            "dividends": result.dividends_D.tolist(),
            **{name: result.costs_D[name].tolist() for name in COSTS},
        },
        "signals": {
            "date": [day.isoformat() for day in signals.dates],
            "rank_ic": signals.rank_ic_D.tolist(),
            "decay": {str(horizon): value for horizon, value in signals.decay.items()},
            "quantiles": list(signals.quantiles),
        },
    }


def years(result: Result, comparison: Comparison) -> list[dict[str, float]]:
    """The main figures of each calendar year; returns are of the year's sessions, not annualised."""
    rows = []
    of_year = np.array([day.year for day in result.dates])
    for year in sorted(set(of_year.tolist())):
        r_D, b_D = result.returns_D[of_year == year], comparison.b_D[of_year == year]
        ours, theirs = float(np.prod(1 + r_D)) - 1, float(np.prod(1 + b_D)) - 1
        rows.append(
            {
                "year": year,
                "sessions": len(r_D),
                "return": ours,
                "benchmark": theirs,
                "excess": (1 + ours) / (1 + theirs) - 1,
                "tracking_error": metrics.tracking_error(r_D, b_D),
                "information_ratio": metrics.information_ratio(r_D, b_D),
                "excess_drawdown": metrics.excess_drawdown(r_D, b_D),
                "turnover": float(result.turnover_D[of_year == year].sum()),
                "cost": float(sum(result.costs_D[name][of_year == year].sum() for name in COSTS) / result.nav_D[of_year == year].mean()),
            }
        )
    return rows


def _page(
    result: Result,
    comparison: Comparison,
    measured: Mapping[str, float],
    title: str,
    facts: Mapping[str, str],
    signals: Signals,
    names: Mapping[str, str],
    window: int,
) -> str:
    from plotly.offline import get_plotlyjs

    plots = _plots(result, comparison, signals, window)
    sections = "\n".join(_plot_section(i, *plot) for i, plot in enumerate(plots))
    specs = json.dumps(clean([plot[2] for plot in plots]), allow_nan=False, separators=(",", ":"))
    first, last = result.dates[0], result.dates[-1]
    lede = f"{first} to {last} · {len(result.dates)} sessions · against {comparison.name}"
    script = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{(Path(__file__).parent / "report.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
<header><h1>{escape(title)}</h1><p class="lede">{escape(lede)}</p></header>
{_tiles(measured)}
<div class="grid">
{sections}
{_tables(result, comparison, measured, facts, names)}
</div>
<footer>Returns are simulated, after all costs listed. A simulation is no promise and this page no investment advice.</footer>
</main>
<script type="application/json" id="figures">{inside_script(specs)}</script>
<script>{get_plotlyjs()}</script>
<script>{script}</script>
</body>
</html>
"""


def _plots(result: Result, comparison: Comparison, signals: Signals, window: int) -> list[tuple[str, str, figures.Figure, bool]]:
    """(title, note, figure, whole width) of each plot, in order."""
    dates, r_D, b_D = result.dates, result.returns_D, comparison.b_D
    lines = {"Account": metrics.wealth(r_D), comparison.name: metrics.wealth(b_D)}
    if comparison.price_D is not None:
        lines["Price index, without dividends"] = metrics.wealth(comparison.price_D)
    monthly = metrics.monthly_excess(r_D, b_D, dates)
    plots = [
        ("Net asset value", "what 1 became after costs, log scale", figures.wealth(dates, lines), True),
        ("Excess", "account over benchmark, compounded", figures.excess(dates, r_D, b_D), False),
        ("Tracking", f"over the last {window} sessions, a year", figures.tracking(dates, r_D, b_D, window, comparison.tracking_target), False),
        ("Excess by month", "geometric, the year at the right", figures.months(monthly), True),
    ]
    if len(signals.rank_ic_D):
        plots.append(("Rank IC", "of each session's scores, and their sum (right)", figures.ic(signals.dates, signals.rank_ic_D), True))
    if signals.decay:
        plots.append(("Decay", "mean rank IC by horizon", figures.decay(signals.decay), not signals.quantiles))
    if signals.quantiles:
        plots.append(("Quantiles", "mean excess return a year, before costs", figures.quantiles(signals.quantiles), not signals.decay))
    return [
        *plots,
        ("Turnover", "by month, one way", figures.turnover(result), False),
        ("Costs", "by month and kind, of equity", figures.costs(result), False),
        ("Book", "names held, and cash as part of equity", figures.holdings(result), False),
        ("Orders not wholly filled", "by quarter and reason", figures.fills(result), False),
    ]


def _tiles(measured: Mapping[str, float]) -> str:
    shown = [
        ("Excess a year", "excess_geometric", "+.2%", "lead"),
        ("Information ratio", "information_ratio", ".2f", ""),
        ("Tracking error", "tracking_error", ".2%", ""),
        ("Worst excess drawdown", "excess_max_drawdown", ".2%", ""),
        ("Return a year", "annual_return", "+.2%", ""),
        ("Benchmark a year", "benchmark_annual_return", "+.2%", ""),
        ("Turnover a year", "turnover", ".1f", ""),
        ("Costs a year", "cost", ".2%", ""),
    ]
    tiles = [f'<div class="tile {look}"><b>{form(measured[key], pattern)}</b><span>{label}</span></div>' for label, key, pattern, look in shown]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _tables(result: Result, comparison: Comparison, measured: Mapping[str, float], facts: Mapping[str, str], names: Mapping[str, str]) -> str:
    percent = {"return", "benchmark", "excess", "tracking_error", "excess_drawdown", "cost"}
    by_year = [
        [str(row["year"])] + [form(row[key], ".2%" if key in percent else ".2f") for key in list(row)[2:]] for row in years(result, comparison)
    ]
    heads = ["Year", "Return", "Benchmark", "Excess", "Tracking error", "Information ratio", "Excess drawdown", "Turnover", "Costs"]
    counts = [[row["side"], row["status"], row["reason"] or "", f"{row['orders']:,}", f"{row['amount']:,.0f}"] for row in _orders(result).to_dicts()]
    figures_left = [[name.replace("_", " "), form(value, ",.0f" if abs(value) > 50 else ".4f")] for name, value in measured.items()]
    words = {**result.policies(), "costs": _rates(result), **facts}
    return "\n".join(
        [
            section("By year", "returns of the year's sessions; costs of mean equity", table(heads, by_year), wide=True),
            section("Orders", "filled amount in CNY", table(["Side", "Status", "Reason", "Orders", "Amount"], counts, texts=3)),
            section("What was assumed", "", table([], [[key, text] for key, text in words.items()], words=True)),
            section(f"Largest holdings on {result.dates[-1]}", f"{len(result.positions())} names in all", _holdings(result, names)),
            section("All figures", "fractions, CNY, a year where it applies", table(["", ""], figures_left)),
        ]
    )


def _orders(result: Result) -> pl.DataFrame:
    """Orders and their filled amount by side, status and reason."""
    return result.trades.group_by("side", "status", "reason").agg(orders=pl.len(), amount=pl.col("amount").sum()).sort("side", "status", "reason")


def _holdings(result: Result, names: Mapping[str, str]) -> str:
    shares, price = result.shares_DN[-1], result.price_DN[-1]
    held = [int(n) for n in np.flatnonzero(shares)]
    held.sort(key=lambda n: (-shares[n] * price[n], n))
    rows = []
    for n in held[:TOP]:
        symbol, value = result.symbols[n], float(shares[n] * price[n])
        rows.append([f"{symbol} {names.get(symbol, '')}".strip(), f"{shares[n]:,}", f"{price[n]:,.2f}", f"{value / result.nav_D[-1]:.2%}"])
    return table(["Stock", "Shares", "Price", "Weight"], rows)


def _rates(result: Result) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result.costs.model_dump(mode="json").items() if value is not None)


def _plot_section(number: int, title: str, note: str, figure: figures.Figure, wide: bool) -> str:
    height = figure["layout"]["height"]
    return section(title, note, f'<div class="plot" id="plot{number}" style="height:{height}px"></div>', wide=wide)


def _replace(path: Path, text: str) -> None:
    """Write the file whole or not at all."""
    half = path.with_name(f".{path.name}.part")
    half.write_text(text, encoding="utf-8")
    half.replace(path)
