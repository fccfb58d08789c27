"""One self-contained HTML page and its numbers as JSON: what the account did, against what, at which cost, under which assumptions."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtest import metrics
from backtest.attribution.parts import Attribution, linked
from backtest.drawdowns import worst
from backtest.exposures import Exposures
from backtest.futures.result import NeutralResult
from backtest.report import tallies
from backtest.report.markup import clean
from backtest.report.page import page
from backtest.report.sheet import Outlook, Sheet
from backtest.result import COSTS
from backtest.stress import windows

REPORT_VERSION = 4


def write_report(folder: Path, sheet: Sheet) -> tuple[Path, Path]:
    """Write report.html and report.json into `folder` and return their paths.  Needs no network to be read."""
    body = page(sheet, metrics.summary(sheet.result, sheet.comparison.b_D))
    numbers = json.dumps(clean(report_data(sheet)), ensure_ascii=False, indent=1, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "report.html", body)
    write_whole(folder / "report.json", numbers)
    return folder / "report.html", folder / "report.json"


def report_data(sheet: Sheet) -> dict[str, Any]:
    """Everything the page shows, for programs: fractions, CNY, ISO dates; a number that doesn't exist is NaN here and null in the file."""
    result, comparison = sheet.result, sheet.comparison
    r_D, b_D = result.returns_D, comparison.b_D
    drawdowns = worst(result.dates, metrics.relative_wealth(r_D, b_D))
    return {
        "version": REPORT_VERSION,
        "title": sheet.title,
        "benchmark": comparison.name,
        "metrics": {**metrics.summary(result, b_D), "order_value_filled": tallies.filled_share(result)},
        "assumptions": result.policies(),
        "facts": dict(sheet.facts),
        "settings": {name: getattr(result, name).model_dump(mode="json") for name in ("strategy", "costs", "settings")},
        "years": tallies.years(result, b_D),
        "months": {f"{year}-{month:02d}": value for (year, month), value in metrics.monthly_excess(r_D, b_D, result.dates).items()},
        "excess_drawdowns": [{key: _plain(value) for key, value in asdict(one).items()} for one in drawdowns],
        "stress": [{key: _plain(value) for key, value in row.items()} for row in tallies.windows(result, b_D)],
        "shocks": None if sheet.shocks is None else sheet.shocks.to_dicts(),
        "hedged": _hedged(sheet.hedged),
        "making": _making(sheet),
        "attribution": _attribution(sheet.attribution, sheet),
        "capacity": None if sheet.capacity is None else sheet.capacity.to_dicts(),
        "orders": tallies.executions(result).to_dicts(),
        "positions": result.positions(),
        "next_session": _outlook(sheet.outlook, sheet),
        "exposures": _exposures(sheet.exposures),
        "series": _series(sheet),
        "signals": {
            "date": [day.isoformat() for day in sheet.signals.dates],
            "horizon": sheet.signals.horizon,
            "rank_ic": sheet.signals.rank_ic_D.tolist(),
            "decay": {str(horizon): value for horizon, value in sheet.signals.decay.items()},
            "quantiles": list(sheet.signals.quantiles),
        },
    }


def _series(sheet: Sheet) -> dict[str, Any]:
    """What the account did each session; exposures lie over the same dates."""
    result, comparison = sheet.result, sheet.comparison
    te_D, ir_D = metrics.rolling(result.returns_D, comparison.b_D, sheet.window)
    return {
        "date": [day.isoformat() for day in result.dates],
        "nav": result.nav_D.tolist(),
        "cash": result.cash_D.tolist(),
        "holdings": result.holdings_D.tolist(),
        "return": result.returns_D.tolist(),
        "benchmark_return": comparison.b_D.tolist(),
        "price_return": None if comparison.price_D is None else comparison.price_D.tolist(),
        "tracking_error": te_D.tolist(),
        "information_ratio": ir_D.tolist(),
        "turnover": result.turnover_D.tolist(),
        "dividends": result.dividends_D.tolist(),
        **{name: result.costs_D[name].tolist() for name in COSTS},
    }


def _exposures(found: Exposures | None) -> dict[str, Any] | None:
    """Styles and industries by name, each a list over the dates of `series`."""
    if found is None:
        return None
    return {
        "styles": {name: x_D.tolist() for name, x_D in found.style_D.items()},
        "coverage": dict(found.coverage),
        "industries": {name: found.industry_DG[:, g].tolist() for g, name in enumerate(found.industries)},
        "active_share": found.active_share_D.tolist(),
        "remarks": list(found.remarks),
    }


def _attribution(found: Attribution | None, sheet: Sheet) -> dict[str, Any] | None:
    """Parts of the excess: linked over the whole and each period by kind, and in CNY by session, over the dates of `series`."""
    if found is None:
        return None
    parts = [{"kind": kind, "name": name, "linked": value} for (kind, name), value in zip(found.parts, linked(found).tolist(), strict=True)]
    by_kind = found.kinds
    names = [kind for kind, _ in by_kind.parts]
    spans = [("whole", slice(None)), *tallies.periods(sheet.result)]
    return {
        "parts": parts,
        "periods": {name: dict(zip(names, linked(by_kind, inside).tolist(), strict=True)) for name, inside in spans},
        "daily": {name: (by_kind.cents_DP[:, k] / 100).tolist() for k, name in enumerate(names)},
        "excess": (found.excess_D / 100).tolist(),
        "fill_to_close": (found.after_D / 100).tolist(),
        "sessions_without_members": found.unknown,
    }


def _hedged(found: NeutralResult | None) -> dict[str, Any] | None:
    """The account around the long book, against cash; its series lie over the same dates."""
    if found is None:
        return None
    stressed = windows(found.dates, found.returns_D, np.zeros(len(found.dates))).to_dicts()
    return {
        "benchmark": "cash",
        "metrics": found.summary(),
        "settings": found.settings.model_dump(mode="json"),
        "stress": [{key: _plain(value) for key, value in row.items()} for row in stressed],
        "series": found.daily.drop("date").to_dict(as_series=False),
        "remarks": list(found.remarks),
    }


def _making(sheet: Sheet) -> dict[str, Any]:
    """What gave way, what was forecast, what the guard cut, what the sleeves made, and the covenant's breaches; rows with ISO dates."""
    tables = sheet.trail.tables(sheet.result.dates) | ({} if sheet.broken is None else {"covenant": sheet.broken})
    rows = {name: [{key: _plain(value) for key, value in row.items()} for row in frame.to_dicts()] for name, frame in tables.items()}
    return {**rows, "remarks": list(sheet.trail.remarks)}


def _outlook(found: Outlook | None, sheet: Sheet) -> dict[str, Any] | None:
    """The orders of the next session with the stocks' names; 0 shares: left out."""
    if found is None:
        return None
    names = pl.Series("name", [sheet.names.get(symbol) for symbol in found.orders["symbol"]], dtype=pl.String)
    amounts = (found.orders["shares"] * found.orders["reference_price"]).fill_null(0.0).round(2).alias("amount")
    orders = found.orders.with_columns(names, amounts).to_dicts()
    return {"session": _plain(found.session), "note": found.note, "orders": orders}


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def write_whole(path: Path, text: str) -> None:
    """Write the file whole or not at all."""
    half = path.with_name(f".{path.name}.part")
    half.write_text(text, encoding="utf-8")
    half.replace(path)
