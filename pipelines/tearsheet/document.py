"""A tear sheet of factors as one HTML page, and everything it shows, for all factors, as JSON beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backtest.report.document import write_whole
from backtest.report.markup import clean
from backtest.report.traces import numbers
from factors.evaluate import Evaluation, Sheet
from factors.quantiles import column_means
from pipelines.tearsheet.page import page

VERSION = 1


def write_sheet(path: Path, found: Evaluation, rows: Sequence[Mapping[str, Any]], *, tries: int, remarks: Sequence[str] = (), top: int = 10) -> Path:
    """Write `path`.html and `path`.json and return the page's.  rows: one a factor, best first; the `top` first get a sheet of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = clean(sheet_data(found, rows, tries=tries, remarks=remarks))
    write_whole(path.with_suffix(".json"), json.dumps(numbers, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    write_whole(path.with_suffix(".html"), page(found, rows, tries=tries, remarks=remarks, top=top))
    return path.with_suffix(".html")


def sheet_data(found: Evaluation, rows: Sequence[Mapping[str, Any]], *, tries: int, remarks: Sequence[str]) -> dict[str, Any]:
    """Every figure of every factor, for programs: fractions, CNY, ISO dates; a number that doesn't exist is null in the file."""
    return {
        "version": VERSION,
        "settings": found.settings.model_dump(mode="json"),
        "tries": tries,
        "remarks": list(remarks),
        "date": [day.isoformat() for day in found.dates],
        "summary": [dict(row) for row in rows],
        "factors": {row["factor"]: _factor(found.sheets[row["factor"]]) for row in rows},
    }


def _factor(sheet: Sheet) -> dict[str, Any]:
    return {
        "horizons": sheet.horizons,
        "years": sheet.years.to_dicts(),
        "regimes": sheet.regimes.to_dicts(),
        "rank_autocorrelation": {str(lag): value for lag, value in sheet.autocorrelation.items()},
        "styles": sheet.styles,
        "industries": sheet.industries,
        "closest": sheet.closest,
        "quantile_returns": column_means(sheet.quantile_DQ).tolist(),
        "rank_ic": numbers(sheet.rank_ic_D),
    }
