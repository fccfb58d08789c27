"""Import: files become frames by a mapping, frames become tables of one price basis, checked as a whole before the first is written."""

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import polars as pl

from data import calendar
from data.checks import Finding, blocking, check
from data.errors import ChecksFailed, KestrelError
from data.lake import Lake
from data.limits import with_limits
from data.mapping import Mapping, Source, read_mapping
from data.progress import Track, silent
from data.symbols import board_expr, symbol
from data.tables import SCHEMA_VERSION, TABLES
from data.validation import schema, validated


def import_folder(lake: Lake, folder: Path, mapping_file: Path, *, track: Track = silent) -> tuple[dict[str, int], list[Finding]]:
    """Import a folder of CSV or Parquet files.  ({table: rows written}, findings); empty where the lake already holds just these files.

    Everything is read, validated and checked before the first table is written.  Raises KestrelError on bad input, ChecksFailed
    where a blocking check finds something.
    """
    mapping = read_mapping(mapping_file)
    print_ = fingerprint(folder, mapping, mapping_file)
    if lake.has("about") and lake.facts().get("import") == print_ and all(lake.has(name) for name in mapping.tables):
        return {}, []
    raw = {name: pl.concat([read_source(folder, name, source) for source in mapping.tables[name]]) for name in track(list(mapping.tables), "read")}
    tables = {name: validated(name, frame) for name, frame in completed(raw, mapping).items()}
    findings = check(tables, mapping.price_basis)
    refuse(findings, str(folder))
    write_tables(lake, tables, mapping.price_basis, {"import": print_}, track=track)
    return {name: frame.height for name, frame in tables.items()}, findings


def write_tables(lake: Lake, tables: dict[str, pl.DataFrame], price_basis: str, facts: dict[str, str], *, track: Track = silent) -> None:
    """Write every table; the lake's facts come last, so that an interrupted import is seen as not done and runs again."""
    if lake.has("about"):
        lake.state({"import": "interrupted"})
    for name in track([name for name in TABLES if name in tables], "write"):
        lake.write(name, tables[name])
    lake.state({"schema_version": str(SCHEMA_VERSION), "price_basis": price_basis, **facts})


def refuse(findings: list[Finding], where: str) -> None:
    """Raise ChecksFailed with the blocking findings, if there are any."""
    worst = blocking(findings)
    if worst:
        lines = "\n".join(f"  {finding.table}: {finding.rows} rows: {finding.why} (first: {finding.first})" for finding in worst)
        raise ChecksFailed(
            f"{where} is refused, nothing was written:\n{lines}\nMend the source, or its mapping where a unit or the price basis is wrong."
        )


def fingerprint(folder: Path, mapping: Mapping, mapping_file: Path) -> str:
    """sha256 over the mapping and the bytes of every file it names."""
    digest = hashlib.sha256(mapping_file.read_bytes())
    for file in sorted({file for sources in mapping.tables.values() for source in sources for file in files(folder, source)}):
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def files(folder: Path, source: Source) -> list[Path]:
    """The files of a source, sorted; a name may be a glob inside the folder."""
    if Path(source.file).is_absolute() or ".." in Path(source.file).parts:
        raise KestrelError(f"{source.file} leaves the folder to import. Name files inside it.")
    found = sorted(folder.glob(source.file))
    if not found:
        raise KestrelError(f"There is no file {folder / source.file}. Check the folder and the mapping's 'file' entry.")
    return found


def read_source(folder: Path, name: str, source: Source) -> pl.DataFrame:
    """One source's rows in the table's columns, symbols in Kestrel's spelling."""
    frame = pl.concat([_read_file(file) for file in files(folder, source)], how="vertical_relaxed")
    wanted = {source.column(column).column for column in source.columns} | set(source.where)
    missing = sorted(column for column in wanted if column is not None and column not in frame.columns)
    if missing:
        raise KestrelError(f"{folder / source.file} has no column {', '.join(missing)} that [{name}] maps. It has: {', '.join(frame.columns)}.")
    for column, value in source.where.items():
        frame = frame.filter(pl.col(column) == value)
    types = {column: found.dtype for column, found in schema(name).columns().items()}
    for column in source.columns:
        if types.get(column, pl.Float64()).is_numeric():
            frame = _numbers(frame, source, column, folder / source.file)
    return _spelled(frame.select(source.column(column).expr().alias(column) for column in source.columns))


def _read_file(file: Path) -> pl.DataFrame:
    try:
        if file.suffix == ".parquet":
            return pl.read_parquet(file)
        if file.suffix in (".csv", ".gz"):
            return pl.read_csv(file, infer_schema_length=None, try_parse_dates=True)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise KestrelError(f"{file} can't be read: {str(error).splitlines()[0]}. Fetch it again or export it as UTF-8 CSV or Parquet.") from None
    raise KestrelError(f"{file} is neither CSV nor Parquet. Convert it to one of them.")


def _numbers(frame: pl.DataFrame, source: Source, column: str, file: Path) -> pl.DataFrame:
    """The mapped column as numbers where the file has it as text; text that is no number is refused by its row."""
    name = source.column(column).column
    if name is None or source.column(column).equals is not None or frame[name].dtype != pl.String:
        return frame
    cast = frame[name].cast(pl.Float64, strict=False)
    bad = (frame[name].is_not_null() & (frame[name] != "") & cast.is_null()).arg_true()
    if len(bad):
        raise KestrelError(f"{file} row {bad[0] + 1}: {name} is '{frame[name][bad[0]]}', not a number ({len(bad)} such rows). Mend the file.")
    return frame.with_columns(cast)


def _spelled(frame: pl.DataFrame) -> pl.DataFrame:
    """Symbols of any spelling in ours, each distinct text read once; news name several, split at commas."""
    for column in {"symbol", "symbols"} & set(frame.columns):
        if frame[column].dtype != pl.String:
            raise KestrelError(
                f"Column {column} is {frame[column].dtype}, not text: leading zeros of codes like 000001 are lost. Export codes as text."
            )
        seen = frame[column].unique().drop_nulls().to_list()
        spelled = [symbol(text) for text in seen] if column == "symbol" else [_several(text) for text in seen]
        dtype = pl.String() if column == "symbol" else pl.List(pl.String)
        reading = pl.DataFrame({column: seen, "spelled": spelled}, schema={column: pl.String(), "spelled": dtype})
        frame = frame.join(reading, on=column, how="left", maintain_order="left").drop(column).rename({"spelled": column})
    return frame


def _several(text: str) -> list[str]:
    """The A-shares named in '600619,000651.SH'; what is no A-share code is left out, since news also names other securities."""
    found = []
    for part in re.split(r"[,;|，；、\s]+", text):
        with suppress(KestrelError):
            found.append(symbol(part))
    return found


# -- from what a vendor gives to whole tables


def completed(raw: dict[str, pl.DataFrame], mapping: Mapping) -> dict[str, pl.DataFrame]:
    """The tables of a lake, with what a source leaves out computed: calendar, securities, adjustment, limits, float shares."""
    tables = dict(raw)
    tables.setdefault("calendar", calendar.seed())
    if "bars" in tables:
        bars = on_basis(tables["bars"].sort("symbol", "date"), mapping.price_basis)
        tables.setdefault("securities", listed(bars))
        ages = bars.select(pl.int_range(pl.len()).over("symbol")).to_series()
        known = bars.select("symbol").join(tables["securities"], on="symbol", how="left", maintain_order="left")["list_date"].is_not_null()
        tables["bars"] = with_limits(bars, ages.to_frame("age").select(pl.when(known).then("age")).to_series(), price_basis=mapping.price_basis)
    steps: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
        "caps": lambda frame: with_float_shares(frame, tables.get("bars")),
        "dividends": one_per_ex_date,
        "members": lambda frame: on_sessions(frame, tables["calendar"]),
        "news": with_ids,
    }
    return {name: steps[name](frame) if name in steps else frame for name, frame in tables.items()}


def on_basis(bars: pl.DataFrame, price_basis: str) -> pl.DataFrame:
    """Bars (sorted by symbol, date) whose prices and volume stand on one basis, with adj and raw_close.

    Adjusted: volume = amount / vwap with vwap = (high + low + 2 close) / 4, because the shares as traded beside an adjusted price
    would reveal later dividends and splits.  Raw: prices are rounded to what a tick can hold, and adj grows by close / next pre_close
    where the source brings none.
    """
    before = pl.col("close").shift(1).over("symbol", order_by="date")
    if "pre_close" not in bars.columns:
        bars = bars.with_columns(before.fill_null(pl.col("open")).alias("pre_close"))
    vwap = (pl.col("high") + pl.col("low") + 2 * pl.col("close")) / 4
    if "amount" not in bars.columns:
        bars = bars.with_columns((pl.col("volume") * vwap).alias("amount"))
    for column, value in (("is_st", False), ("is_trading", True)):
        if column not in bars.columns:
            bars = bars.with_columns(pl.lit(value).alias(column))
    prices = ["open", "high", "low", "close", "pre_close"]
    bars = bars.with_columns(pl.col([*prices, "amount", "volume"]).cast(pl.Float64))
    bars = bars.with_columns(pl.when("is_trading").then(pl.col(column)).otherwise(0.0).alias(column) for column in ("amount", "volume"))
    if price_basis == "adjusted":
        found = bars.with_columns(pl.lit(1.0).alias("adj"), pl.when("is_trading").then(pl.col("amount") / vwap).otherwise(0.0).alias("volume"))
        return found if "raw_close" in bars.columns else found.with_columns(pl.lit(None, pl.Float64).alias("raw_close"))
    bars = bars.with_columns(pl.col(prices).round(4)).with_columns(pl.col("close").alias("raw_close"))
    if "adj" in bars.columns:
        return bars
    jump = (before / pl.col("pre_close")).fill_null(1.0)
    return bars.with_columns(jump.cum_prod().over("symbol", order_by="date").alias("adj"))


def listed(bars: pl.DataFrame) -> pl.DataFrame:
    """Securities as far as bars tell: a stock whose first bar comes after the first session of all was listed that day."""
    first = bars["date"].min()
    spans = bars.group_by("symbol").agg(pl.col("date").min().alias("start")).sort("symbol")
    return spans.select("symbol", board_expr().alias("board"), pl.when(pl.col("start") > first).then("start").alias("list_date"))


def with_float_shares(caps: pl.DataFrame, bars: pl.DataFrame | None) -> pl.DataFrame:
    """Caps with float_shares = volume / turnover where the source gives turnover; sessions without trade have no row to know it by."""
    if "turnover" not in caps.columns:
        return caps
    if bars is None:
        raise KestrelError("[caps] maps turnover, but there are no bars whose volume it divides. Map [bars] too.")
    both = caps.join(bars.select("date", "symbol", "volume"), on=["date", "symbol"], how="inner").filter(pl.col("turnover") > 0, pl.col("volume") > 0)
    return both.with_columns((pl.col("volume") / pl.col("turnover")).alias("float_shares")).drop("volume", "turnover")


def one_per_ex_date(dividends: pl.DataFrame) -> pl.DataFrame:
    """One row a stock and ex-date: identical payouts count once, different ones add up; plans without an ex-date are left out."""
    paid = dividends.filter(pl.col("ex_date").is_not_null()).unique(
        ["symbol", "ex_date", "cash", "bonus", "transfer"], keep="first", maintain_order=True
    )
    amounts = [pl.col("cash", "bonus", "transfer").sum()]
    dates = [pl.col(column).drop_nulls().max() for column in ("announced_on", "record_date", "pay_date") if column in paid.columns]
    return paid.group_by("symbol", "ex_date").agg(*amounts, *dates).sort("symbol", "ex_date")


def on_sessions(members: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Members dated by the first session on or after the source's date: known at that close."""
    days = sessions.select(pl.col("date").alias("session_date")).sort("session_date")
    moved = members.sort("date").join_asof(days, left_on="date", right_on="session_date", strategy="forward")
    return (
        moved.with_columns(pl.col("session_date").alias("date"))
        .drop("session_date")
        .unique(["date", "index", "symbol"], keep="last", maintain_order=True)
    )


def with_ids(news: pl.DataFrame) -> pl.DataFrame:
    """News with one row an item: an id from time, symbols and title where the source has none, titleless rows left out."""
    news = news.filter(pl.col("title").is_not_null())
    if "id" in news.columns:
        return news
    text = pl.format("{}|{}|{}", pl.col("published_at").dt.to_string(), pl.col("symbols").list.join(","), "title")
    made = news.with_columns(text.map_elements(lambda t: hashlib.sha256(t.encode()).hexdigest()[:16], return_dtype=pl.String).alias("id"))
    return made.unique("id", keep="first", maintain_order=True)
