"""Import: files become frames by a mapping, frames become tables of one price basis, checked as a whole before the first is written."""

import hashlib
import re
from collections import abc
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import polars as pl

from data.checks import Finding, blocking, check
from data.completion import completed
from data.errors import ChecksFailed, KestrelError
from data.lake import Lake
from data.mapping import Mapping, Source, read_mapping
from data.progress import Track, silent
from data.symbols import symbol
from data.tables import SCHEMA_VERSION, TABLES
from data.validation import schema, typed, validated

ROW = "row of the file"
MADE = ("calendar", "securities", "news_scores", "scores")  # what Kestrel makes of other tables


def import_folder(lake: Lake, folder: Path, mapping_file: Path, *, keep: bool = False, track: Track = silent) -> tuple[dict[str, int], list[Finding]]:
    """Import a folder of CSV or Parquet files.  ({table: rows written}, findings); empty where the lake already holds just these files.

    Everything is read, validated and checked before the first table is written.  Raises KestrelError on bad input and, unless `keep`,
    where tables of an earlier import would stay beside other bars; ChecksFailed where a blocking check finds something.
    """
    mapping = read_mapping(mapping_file)
    print_ = fingerprint(folder, mapping, mapping_file)
    if lake.has("about") and lake.facts().get("import") == print_ and all(lake.has(name) for name in mapping.tables):
        return {}, []
    if not keep and "bars" in mapping.tables:
        refuse_strangers(lake, mapping.tables)
    raw = {name: read_table(folder, name, mapping.tables[name]) for name in track(list(mapping.tables), "read")}
    tables = {name: validated(name, frame) for name, frame in completed(raw, mapping).items()}
    findings = check(tables, mapping.price_basis)
    refuse(findings, str(folder))
    if mapping.price_basis == "adjusted" and "bars" in raw and "amount" not in raw["bars"].columns:
        raise KestrelError(f"{mapping_file}: adjusted prices need bars.columns.amount, since volume as traded beside them reveals later dividends.")
    write_tables(lake, tables, mapping.price_basis, {"import": print_}, track=track)
    return {name: frame.height for name, frame in tables.items()}, findings


def write_tables(lake: Lake, tables: abc.Mapping[str, pl.DataFrame], price_basis: str, facts: dict[str, str], *, track: Track = silent) -> None:
    """Write every table; the lake's facts come last, so that an interrupted import is seen as not done and runs again.

    What the lake said of earlier contents no longer holds; the price basis is that of the bars, so tables without bars leave it.
    """
    basis = {"price_basis": price_basis}
    if lake.has("about"):
        basis = basis if "bars" in tables else {"price_basis": lake.price_basis}
        # What the factor table was built from names versions, so it stays true.
        lake.state(dict.fromkeys({"import", *lake.facts()} - {"schema_version", "price_basis", "factors"}, "interrupted"))
    for name in track([name for name in TABLES if name in tables], "write"):
        lake.write(name, tables[name])
    lake.state({"schema_version": str(SCHEMA_VERSION), **basis, **facts})


def refuse_strangers(lake: Lake, brought: abc.Collection[str]) -> None:
    """Raise KestrelError where the lake has tables that an import doesn't bring: beside other bars they tell of another market."""
    strangers = [name for name in lake.tables() if name in TABLES and name not in {*brought, *MADE}]
    if strangers:
        raise KestrelError(
            f"{lake.uri} also holds {', '.join(strangers)} of an earlier import, which this one doesn't bring. Import into a lake of its own "
            "(kestrel --lake OTHER data import ...), map them too, or say that they belong to these bars: --keep"
        )


def refuse(findings: list[Finding], where: str, *, importing: bool = True) -> None:
    """Raise ChecksFailed with the blocking findings, if there are any.  importing: whether they keep something from being written."""
    worst = blocking(findings)
    if worst:
        lines = "\n".join(f"  {finding.table}: {finding.rows} rows: {finding.why} (first: {finding.first})" for finding in worst)
        what = "is refused, nothing was written" if importing else "fails blocking checks"
        raise ChecksFailed(f"{where} {what}:\n{lines}\nMend the source, or its mapping where a unit or the price basis is wrong.")


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


def read_table(folder: Path, name: str, sources: Sequence[Source]) -> pl.DataFrame:
    """The rows of all sources in the table's columns, symbols in Kestrel's spelling; a column that one source lacks is null there."""
    frames = [_mapped(file, name, source) for source in sources for file in files(folder, source)]
    return typed(name, _spelled(pl.concat(frames, how="diagonal_relaxed")))


def _mapped(file: Path, name: str, source: Source) -> pl.DataFrame:
    """One file's rows in the table's columns; raises KestrelError that names the file, and the row where it is one row's fault."""
    types = {column: found.dtype for column, found in schema(name).columns().items()}
    frame = _read_file(file, {source.column(column).column for column in source.columns if types.get(column) in (pl.String, pl.List(pl.String))})
    wanted = {source.column(column).column for column in source.columns} | set(source.where) | set(source.needs)
    missing = sorted(column for column in wanted if column is not None and column not in frame.columns)
    if missing:
        raise KestrelError(f"{file} has no column {', '.join(missing)} that [{name}] maps. It has: {', '.join(frame.columns)}.")
    frame = frame.with_row_index(ROW, offset=1)
    try:
        for column, value in source.where.items():
            frame = frame.filter(pl.col(column) == value)
        frame = frame.drop_nulls(source.needs) if source.needs else frame
        for column in source.columns:
            dtype = types.get(column, pl.Float64())
            if dtype.is_numeric():
                frame = _numbers(frame, source, column, file)
            elif dtype.is_temporal():
                frame = _moments(frame, source, column, dtype, file)
        return frame.select(source.column(column).expr().alias(column) for column in source.columns)
    except pl.exceptions.PolarsError as error:
        first = str(error).splitlines()[0]
        raise KestrelError(f"{file} doesn't fit the mapping of [{name}]: {first}. 'equals' and 'where' of text are text.") from None


def _read_file(file: Path, texts: set[str | None]) -> pl.DataFrame:
    """A file as it is; the columns named in `texts` stay text in a CSV, where 000001 would else lose its zeros."""
    try:
        if file.suffix == ".parquet":
            return pl.read_parquet(file)
        if file.suffix in (".csv", ".gz"):
            kept = dict.fromkeys([column for column in texts if column is not None], pl.String)
            return pl.read_csv(file, infer_schema_length=None, try_parse_dates=True, schema_overrides=kept)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise KestrelError(f"{file} can't be read: {str(error).splitlines()[0]}. Fetch it again or export it as UTF-8 CSV or Parquet.") from None
    raise KestrelError(f"{file} is neither CSV nor Parquet. Convert it to one of them.")


def _numbers(frame: pl.DataFrame, source: Source, column: str, file: Path) -> pl.DataFrame:
    """The mapped column as numbers where the file has it as text; text that is no number is refused by its row."""
    name = source.column(column).column
    if name is None or source.column(column).equals is not None or frame[name].dtype != pl.String:
        return frame
    cast = frame[name].cast(pl.Float64, strict=False)
    _refuse_text(frame, name, cast, "a number", file)
    return frame.with_columns(cast)


def _moments(frame: pl.DataFrame, source: Source, column: str, dtype: pl.DataType, file: Path) -> pl.DataFrame:
    """The mapped column as dates, or instants in Shanghai, where the file has it as text or as 20210304; others are refused by their row."""
    name = source.column(column).column
    if name is None:
        return frame
    found = frame[name].cast(pl.String) if frame[name].dtype.is_integer() else frame[name]
    timed = dtype == pl.Datetime and not source.column(column).date_only
    if found.dtype == pl.String:
        days = [found.str.to_date(form, strict=False).cast(pl.Datetime("us")) for form in ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d")]
        times = [found.str.to_datetime(form, time_unit="us", strict=False) for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S")]
        read = pl.select(pl.coalesce(times if timed else [*days, *times])).to_series().alias(name)
        _refuse_text(frame, name, read, "a date with its time, such as 2021-03-04 15:00:00" if timed else "a date, such as 2021-03-04", file)
        found = read if timed else read.cast(pl.Date)
    if timed and found.dtype == pl.Date:
        raise KestrelError(f"{file}: {name} is a date without a time, and {column} wants both. Map it with date_only = true.")
    if timed and isinstance(found.dtype, pl.Datetime) and found.dtype.time_zone is None:
        found = found.dt.replace_time_zone("Asia/Shanghai")
    return frame.with_columns(found.alias(name))


def _refuse_text(frame: pl.DataFrame, name: str, read: pl.Series, what: str, file: Path) -> None:
    """Raise KestrelError on the first text that couldn't be read; an empty text is a null."""
    text = frame[name].cast(pl.String)
    bad = (text.is_not_null() & (text != "") & read.is_null()).arg_true()
    if len(bad):
        raise KestrelError(f"{file} row {frame[ROW][bad[0]]}: {name} is '{text[bad[0]]}', not {what} ({len(bad)} such rows). Mend the file.")


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
    return list(dict.fromkeys(found))
