"""Names and codes that change: what a stock was called on a day, whether that name said ST, and which code it trades under now."""

from datetime import date

import polars as pl

ST = r"^S?\*?ST"  # ST, *ST and, before the share reform was done, SST and S*ST


def names_at(names: pl.DataFrame, day: date) -> pl.DataFrame:
    """(symbol, name) of every stock as of `day`."""
    known = names.filter(pl.col("start") <= day).sort("symbol", "start")
    return known.unique("symbol", keep="last", maintain_order=True).select("symbol", "name")


def is_st(rows: pl.DataFrame, names: pl.DataFrame) -> pl.Series:
    """Whether the stock of each row (date, symbol) was called ST or *ST that day, in the order of the rows; false where no name is known."""
    numbered = rows.select("date", "symbol").with_row_index("row").sort("date")
    starts = names.select("symbol", "start", "name").sort("start")
    called = numbered.join_asof(starts, left_on="date", right_on="start", by="symbol", strategy="backward", check_sortedness=False)
    return called.sort("row")["name"].str.contains(ST).fill_null(value=False).alias("is_st")


def one_code(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables with one symbol a company: rows under a code that it traded under before get the code of today.

    A code says nothing about the company, so this is no look-ahead; without it a history ends where the code changed, and a stock is
    taken for delisted.
    """
    names = tables.get("names")
    if names is None or "former" not in names.columns:
        return tables
    latest = _latest(dict(names.filter(pl.col("former").is_not_null()).select("former", "symbol").iter_rows()))
    renamed = {}
    for name, frame in tables.items():
        if "symbol" in frame.columns:
            frame = frame.with_columns(pl.col("symbol").replace(latest))
        renamed[name] = frame.with_columns(pl.col("symbols").list.eval(pl.element().replace(latest))) if "symbols" in frame.columns else frame
    return renamed


def _latest(codes: dict[str, str]) -> dict[str, str]:
    """{former code: code of today}, also where a code changed twice."""
    found = {}
    for former in codes:
        last, seen = codes[former], {former}
        while last in codes and last not in seen:
            seen.add(last)
            last = codes[last]
        found[former] = last
    return found
