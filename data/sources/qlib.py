"""Qlib's .bin folders, both ways: calendars/day.txt, instruments/*.txt, features/<code>/<field>.day.bin.

A .bin is float32, little-endian: the first value is the place in the calendar at which the others start; NaN is no trade.  Prices there are
raw * factor, volume is shares / factor, so on the way in raw = price / factor, and volume = volume * factor.  Float32 holds 24 bits: prices
come back to the cent below 40,000 CNY, volume and amount to 1 part in 10 million (exactly, below 16 million shares at a factor of 1).
Lost on the way out: names, days of listing and delisting, weights, dividends, reports, caps, total returns, and at which price a suspended
stock stood other than its last close.  Without factors the prices are taken for adjusted ones.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from data import mapping
from data.assembly import with_suspended
from data.checks import Finding, check
from data.completion import completed
from data.errors import KestrelError
from data.ingest import refuse, refuse_strangers, write_tables
from data.lake import Lake
from data.progress import Track, silent
from data.symbols import symbol
from data.validation import validated

PRICES = ("open", "high", "low", "close", "pre_close", "limit_up", "limit_down")
FLAGS = ("is_st", "is_trading")
TRADED = ("open", "high", "low", "close", "volume", "amount", "vwap", "change")  # NaN where a stock is suspended
INDICES = {"csi300": "000300.SH", "csi500": "000905.SH", "csi1000": "000852.SH", "csi800": "000906.SH", "csi100": "000903.SH"}
NEAR = 4e-7  # what two roundings to float32 can do


# -- out


def export_qlib(lake: Lake, folder: Path, *, track: Track = silent) -> dict[str, int]:
    """Write bars, members and index levels of a lake as a Qlib folder; {what: how many}.  Raises KestrelError where the folder isn't empty."""
    if folder.exists() and any(folder.iterdir()):
        raise KestrelError(f"{folder} isn't empty. Name a new folder, so that no file of other data stays among these.")
    bars = lake.read("bars")
    if not bars.height:
        raise KestrelError(f"{lake.uri} has no bars to export. Import or fetch some first.")
    days = lake.read("calendar")["date"]
    last = bars["date"].sort()[-1]
    for name, found in (("day", days.filter(days <= last)), ("day_future", days)):
        _lines(folder / "calendars" / f"{name}.txt", [str(day) for day in found])
    stocks = bars.partition_by("symbol", maintain_order=True)
    for stock in track(stocks, "export"):
        _features(folder, stock["symbol"][0], _fields(stock), days)
    _lines(folder / "instruments" / "all.txt", ["\t".join(map(str, (_code(s["symbol"][0]), s["date"][0], s["date"][-1]))) for s in stocks])
    counts = {"sessions": len(days.filter(days <= last)), "stocks": len(stocks)}
    if lake.has("members"):
        counts |= _write_members(folder, lake.read("members"), last)
    if lake.has("index_bars"):
        for index in lake.read("index_bars").partition_by("index"):
            levels = index.sort("date").select("date", "open", "high", "low", "close", factor=pl.lit(1.0))
            _features(folder, index["index"][0], levels, days)
    return counts


def _fields(bars: pl.DataFrame) -> pl.DataFrame:
    """One stock's bars as Qlib has them, the factor rounded to float32 first, so that dividing by it gives the prices back."""
    rounded = bars.with_columns(factor=pl.col("adj").cast(pl.Float32).cast(pl.Float64)).with_columns(pl.col(FLAGS).cast(pl.Float64))
    adjusted = rounded.with_columns(
        pl.col(PRICES) * pl.col("factor"),
        (pl.col("volume") / pl.col("factor")).cast(pl.Float32).cast(pl.Float64).alias("volume"),
        pl.col("amount").cast(pl.Float32).cast(pl.Float64),
    )
    # of what is written, so that it comes out the same from what is read
    full = adjusted.with_columns(vwap=pl.col("amount") / pl.col("volume"), change=pl.col("close") / pl.col("pre_close") - 1)
    silenced = [pl.when(pl.col("is_trading") > 0).then(name).alias(name) for name in TRADED]
    return full.with_columns(silenced).select("date", *PRICES, "volume", "amount", "vwap", "change", "factor", *FLAGS)


def _features(folder: Path, stock: str, fields: pl.DataFrame, days: pl.Series) -> None:
    """Write each field of one instrument."""
    places = days.search_sorted(fields["date"]).to_numpy()
    home = folder / "features" / _code(stock).lower()
    home.mkdir(parents=True, exist_ok=True)
    for name in fields.columns:
        if name != "date":
            values = np.full(places[-1] - places[0] + 2, np.nan, dtype="<f4")
            values[0] = places[0]
            values[places - places[0] + 1] = fields[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            values.tofile(home / f"{name}.day.bin")


def _write_members(folder: Path, members: pl.DataFrame, last: date) -> dict[str, int]:
    """Write each index's members as spans from the list that takes them in to the last day before the one that doesn't."""
    names = {index: name for name, index in INDICES.items()}
    counts = {}
    for found in members.partition_by("index"):
        spans, index = _spans(found, last), found["index"][0]
        name = names.get(index, _code(index).lower())
        _lines(folder / "instruments" / f"{name}.txt", [f"{_code(stock)}\t{start}\t{end}" for stock, start, end in spans.iter_rows()])
        counts[name] = spans["symbol"].n_unique()
    return counts


def _spans(members: pl.DataFrame, last: date) -> pl.DataFrame:
    """Members as symbol, start, end: a run of consecutive lists is one span, up to the day before the list that ends it."""
    lists = members.select("date").unique().sort("date").with_row_index("number").with_columns(pl.col("number").cast(pl.Int64))
    numbered = members.join(lists, on="date").sort("symbol", "date")
    run = (pl.col("number").diff().over("symbol") != 1).fill_null(True).cum_sum().alias("run")
    runs = numbered.with_columns(run).group_by("run", "symbol").agg(pl.col("date").min().alias("start"), pl.col("number").max() + 1)
    ends = lists.select("number", (pl.col("date") - pl.duration(days=1)).alias("end"))
    return runs.join(ends, on="number", how="left").select("symbol", "start", pl.col("end").fill_null(last)).sort("symbol", "start")


# -- in


def import_qlib(lake: Lake, folder: Path, *, keep: bool = False, track: Track = silent) -> tuple[dict[str, int], list[Finding]]:
    """Import a Qlib folder; ({table: rows}, findings).

    Raises KestrelError on a broken folder and, unless `keep`, where tables of an earlier import would stay beside other bars;
    ChecksFailed where a blocking check finds something.
    """
    raw, basis = read_qlib(folder, track=track)
    if not keep:
        refuse_strangers(lake, raw)
    tables = {name: validated(name, frame) for name, frame in completed(raw, mapping.Mapping(price_basis=basis, tables={})).items()}
    findings = check(tables, basis)
    refuse(findings, str(folder))
    write_tables(lake, tables, basis, {"import": f"qlib {folder.name}"}, track=track)
    return {name: frame.height for name, frame in tables.items()}, findings


def read_qlib(folder: Path, *, track: Track = silent) -> tuple[dict[str, pl.DataFrame], Literal["raw", "adjusted"]]:
    """(calendar, bars, members and index_bars of a Qlib folder, the basis of its prices).  Raises KestrelError that names what is broken."""
    days = _days(folder)
    stocks: list[pl.DataFrame] = []
    indices: list[pl.DataFrame] = []
    for home in track(sorted(path for path in (folder / "features").glob("*") if path.is_dir()), "read"):
        fields = _read_features(home, days)
        levels = home.name.startswith(("sh000", "sz399"))
        (indices if levels else stocks).append(fields.with_columns(pl.lit(symbol(home.name)).alias("index" if levels else "symbol")))
    if not stocks:
        raise KestrelError(f"{folder / 'features'} holds no stock. Name the folder that has calendars, instruments and features in it.")
    bars = pl.concat(stocks, how="diagonal")
    factored = "factor" in bars.columns and bool(bars["factor"].is_not_null().any())
    tables = {"calendar": pl.DataFrame({"date": days}), "bars": _bars(bars if factored else bars.with_columns(factor=pl.lit(1.0)), days, factored)}
    future = folder / "calendars" / "day_future.txt"
    if future.is_file():
        tables["calendar"] = pl.DataFrame({"date": _dates(future)})
    if indices:
        tables["index_bars"] = pl.concat(indices, how="diagonal").filter(pl.col("close").is_not_null()).drop("factor", strict=False)
    lists = [_lists(file, index) for name, index in INDICES.items() if (file := folder / "instruments" / f"{name}.txt").is_file()]
    if lists:
        tables["members"] = pl.concat(lists)
    return tables, "raw" if factored else "adjusted"


def _bars(fields: pl.DataFrame, days: pl.Series, factored: bool) -> pl.DataFrame:
    """Qlib's fields as bars: prices and volume as traded, a missing reference price from the last close, suspended rows flat.

    Without factors prices and volume are adjusted alike, so that volume at the mean price is the amount.
    """
    missing = [name for name in ("open", "high", "low", "close", "volume") if name not in fields.columns]
    if missing:
        raise KestrelError(f"The folder has no field {', '.join(missing)}, without which there are no bars. Dump it with them.")
    trading = pl.col("close").is_not_null() & pl.col("volume").is_not_null()
    known = fields.sort("symbol", "date").with_columns(pl.col("factor").fill_nan(None).forward_fill().over("symbol", order_by="date"))
    if "pre_close" not in known.columns:
        last = pl.col("close").forward_fill().shift(1).over("symbol", order_by="date")
        known = known.with_columns(pre_close=last.fill_null(pl.col("open")))
    there = [name for name in PRICES if name in known.columns]
    raw = known.with_columns(
        *(_snapped(pl.col(name) / pl.col("factor"), 100 if factored else None).alias(name) for name in there),
        _snapped(pl.col("volume") * pl.col("factor"), 1 if factored else None).alias("volume"),
        trading.alias("is_trading"),
        (pl.col("is_st") > 0.5 if "is_st" in known.columns else pl.lit(False)).alias("is_st"),
    )
    named = ["date", "symbol", *(name for name in there if not name.startswith("limit")), "volume", "is_st", "is_trading"]
    named += ["amount"] if "amount" in raw.columns else []
    vwap = (pl.col("high") + pl.col("low") + 2 * pl.col("close")) / 4
    flat = with_suspended(
        raw.select(named).with_columns([] if "amount" in named else [(pl.col("volume") * vwap).alias("amount")]), pl.DataFrame({"date": days})
    )
    return flat.filter(pl.col("close").is_not_null())


def _snapped(value: pl.Expr, parts: int | None) -> pl.Expr:
    """The nearest whole part (a cent, a share) where float32 can't tell the value from it, else the value itself."""
    if parts is None:
        return value
    whole = (value * parts).round() / parts
    return pl.when((value - whole).abs() <= NEAR * value.abs()).then(whole).otherwise(value)


def _read_features(home: Path, days: pl.Series) -> pl.DataFrame:
    """The fields of one instrument by date; where a field starts later than others, it is null before."""
    frames = []
    for file in sorted(home.glob("*.day.bin")):
        values = np.fromfile(file, dtype="<f4")
        start = int(values[0]) if values.size and np.isfinite(values[0]) else -1
        if file.stat().st_size % 4 or start < 0 or start + len(values) - 1 > len(days):
            raise KestrelError(f"{file} is broken: {values.size} values from place {start} of {len(days)} sessions. Dump or download it again.")
        name = file.name.removesuffix(".day.bin")
        frames.append(pl.DataFrame({"date": days[start : start + len(values) - 1], name: values[1:].astype(np.float64)}).fill_nan(None))
    if not frames:
        return pl.DataFrame(schema={"date": pl.Date, "close": pl.Float64})
    found = frames[0]
    for frame in frames[1:]:
        found = found.join(frame, on="date", how="full", coalesce=True)
    return found.sort("date")


def _lists(file: Path, index: str) -> pl.DataFrame:
    """The list of members on each day that changed it."""
    try:
        rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        spans = [(symbol(code), date.fromisoformat(start), date.fromisoformat(end)) for code, start, end in rows]
    except ValueError as error:
        raise KestrelError(
            f"{file} isn't a list of instruments: {error}. A line is a code and two dates, such as SH600000 2015-01-05 2020-08-24."
        ) from None
    last = max(end for _, _, end in spans)
    turns = sorted({start for _, start, _ in spans} | {end + timedelta(days=1) for _, _, end in spans if end < last})
    rows_of = [(day, index, stock) for day in turns for stock, start, end in spans if start <= day <= end]
    return pl.DataFrame(rows_of, schema=["date", "index", "symbol"], orient="row").with_columns(weight=pl.lit(None, pl.Float64))


def _days(folder: Path) -> pl.Series:
    file = folder / "calendars" / "day.txt"
    if not file.is_file():
        raise KestrelError(f"There is no {file}. Name the folder that has calendars, instruments and features in it.")
    return _dates(file)


def _dates(file: Path) -> pl.Series:
    try:
        return pl.Series("date", [date.fromisoformat(line[:10]) for line in file.read_text(encoding="utf-8").split()], dtype=pl.Date)
    except ValueError as error:
        raise KestrelError(f"{file} isn't a calendar: {error}. A line is a date, such as 2020-08-24.") from None


def _code(stock: str) -> str:
    """'600000.SH' in Qlib's spelling."""
    return stock[7:] + stock[:6]


def _lines(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
