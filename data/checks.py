"""Named checks of the tables, each a polars expression with a reason.  Blocking ones refuse an import, warnings are told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import polars as pl

from data.symbols import board_expr
from data.validation import keys

Tables = dict[str, pl.DataFrame]
Severity = Literal["blocking", "warning"]
CENT = 0.0051  # half a tick and the noise of a float32 vendor


@dataclass(frozen=True)
class Check:
    """A rule about one table: `bad` finds the rows that break it; up to `tolerated` (a fraction of all rows) may."""

    name: str
    table: str
    severity: Severity
    why: str
    bad: Callable[[Tables], pl.DataFrame]
    basis: Literal["raw", "adjusted", "any"] = "any"
    tolerated: float = 0.0


@dataclass(frozen=True)
class Finding:
    """What a check found: how many rows, and the keys of the first."""

    check: str
    table: str
    severity: Severity
    rows: int
    share: float
    first: str
    why: str


def check(tables: Tables, price_basis: str) -> list[Finding]:
    """Run every check whose tables are there; findings in the order of CHECKS, none for a check that passes."""
    found = []
    for rule in CHECKS:
        if rule.table not in tables or rule.basis not in ("any", price_basis):
            continue
        bad = rule.bad(tables)
        share = bad.height / max(tables[rule.table].height, 1)
        if bad.height and share > rule.tolerated:
            key = [column for column in keys(rule.table) if column in bad.columns] or bad.columns
            first = " ".join(str(value) for value in bad.select(key).sort(key).row(0))
            found.append(Finding(rule.name, rule.table, rule.severity, bad.height, share, first, rule.why))
    return found


def blocking(findings: list[Finding]) -> list[Finding]:
    """The findings that forbid to go on."""
    return [finding for finding in findings if finding.severity == "blocking"]


def rows(table: str, condition: pl.Expr) -> Callable[[Tables], pl.DataFrame]:
    """A check of single rows: those for which the condition holds break it."""
    return lambda tables: tables[table].filter(condition)


def _beyond_limit(tables: Tables) -> pl.DataFrame:
    """Rows whose return from pre_close no board of any date allows, listing days left out."""
    bars = tables["bars"].with_columns(board_expr().alias("board"))
    age = pl.int_range(pl.len()).over("symbol", order_by="date")
    most = pl.col("board").replace_strict({"main": 0.105, "chinext": 0.205, "star": 0.205, "bse": 0.305}, return_dtype=pl.Float64)
    move = (pl.col("close") / pl.col("pre_close") - 1).abs()
    return bars.filter((age >= 5) & (move > most) & ~(pl.col("adj") != pl.col("adj").shift(1).over("symbol", order_by="date")))


def _off_calendar(tables: Tables) -> pl.DataFrame:
    return tables["bars"].join(tables["calendar"], on="date", how="anti")


def _missing_sessions(tables: Tables) -> pl.DataFrame:
    """Sessions between the first and the last bar on which no stock at all has a bar."""
    days = tables["bars"]["date"]
    return (
        tables["calendar"]
        .filter(pl.col("date").is_between(days.min(), days.max()))
        .join(tables["bars"].select("date").unique(), on="date", how="anti")
    )


def _gaps(tables: Tables) -> pl.DataFrame:
    """Stocks whose rows skip sessions between their first and last."""
    numbered = tables["bars"].join(tables["calendar"], on="date").sort("symbol", "date")
    return numbered.filter(pl.col("session").diff().over("symbol", order_by="date") > 1)


def _member_counts(tables: Tables) -> pl.DataFrame:
    return tables["members"].group_by("date", "index").len().filter(pl.col("index") == "000905.SH", pl.col("len") != 500)


def _member_weights(tables: Tables) -> pl.DataFrame:
    sums = tables["members"].group_by("date", "index").agg(pl.col("weight").sum())
    return sums.filter((pl.col("weight") - 1).abs() > 0.005)


def _members_without_bars(tables: Tables) -> pl.DataFrame:
    if "bars" not in tables:
        return tables["members"].head(0)
    return tables["members"].join(tables["bars"].select("symbol").unique(), on="symbol", how="anti")


_PRICE = pl.col("amount") / pl.col("volume")
_OPEN_TO_CLOSE = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")

CHECKS = [
    Check(
        "positive prices",
        "bars",
        "blocking",
        "a price at or below zero comes of additive adjustment: returns are distorted",
        rows("bars", pl.min_horizontal("open", "high", "low", "close", "pre_close") <= 0),
    ),
    Check(
        "finite values",
        "bars",
        "blocking",
        "a value that is not a finite number poisons every window over it",
        rows("bars", ~pl.all_horizontal(pl.col("open", "high", "low", "close", "pre_close", "volume", "amount", "adj").is_finite())),
    ),
    Check(
        "high and low",
        "bars",
        "blocking",
        "high below low, open or close, or low above them: the row is broken",
        rows("bars", (pl.col("high") < _OPEN_TO_CLOSE[0] - CENT) | (pl.col("low") > _OPEN_TO_CLOSE[1] + CENT)),
        tolerated=1e-4,
    ),
    Check(
        "units of amount",
        "bars",
        "blocking",
        "amount / volume lies outside low..high on most rows: volume is in lots or amount in thousands; map its unit",
        rows("bars", (pl.col("volume") > 0) & ((pl.col("low") * 0.9 > _PRICE) | (pl.col("high") * 1.1 < _PRICE))),
        basis="raw",
        tolerated=0.05,
    ),
    Check("negative volume", "bars", "blocking", "volume or amount below zero", rows("bars", (pl.col("volume") < 0) | (pl.col("amount") < 0))),
    Check(
        "returns beyond limits",
        "bars",
        "blocking",
        "returns that no price limit allows on more than 1 row in 500: additive adjustment, or missing ex-rights prices",
        _beyond_limit,
        tolerated=0.002,
    ),
    Check(
        "single returns beyond limits",
        "bars",
        "warning",
        "returns that no price limit allows: relistings, share reform, or a bad price",
        _beyond_limit,
    ),
    Check("calendar", "bars", "blocking", "bars on a day that is no session of the exchange", _off_calendar),
    Check("sessions without bars", "bars", "warning", "sessions on which no stock has a bar: an incomplete download", _missing_sessions),
    Check("gaps", "bars", "warning", "a stock's rows skip sessions; suspended sessions should keep their row", _gaps),
    Check(
        "trade while suspended",
        "bars",
        "warning",
        "volume on a session marked as suspended",
        rows("bars", ~pl.col("is_trading") & (pl.col("volume") > 0)),
    ),
    Check(
        "close within limits",
        "bars",
        "warning",
        "a close outside the limits computed from pre_close, board, ST and date",
        rows("bars", pl.col("is_trading") & ((pl.col("close") > pl.col("limit_up") + CENT) | (pl.col("close") < pl.col("limit_down") - CENT))),
        basis="raw",
    ),
    Check("members", "members", "warning", "an index date without exactly 500 members", _member_counts),
    Check("weights", "members", "warning", "weights of a date that don't add up to 1 within 0.005", _member_weights),
    Check("members with bars", "members", "warning", "members whose bars are missing: results cover the others alone", _members_without_bars),
    Check(
        "index", "index_bars", "blocking", "an index level at or below zero", rows("index_bars", (pl.col("close") <= 0) | (pl.col("close_tr") <= 0))
    ),
    Check(
        "announcements",
        "reports",
        "blocking",
        "a report announced before its period ended",
        rows("reports", pl.col("announced_on") <= pl.col("period_end")),
    ),
    Check("dividends", "dividends", "warning", "announced on or after the ex-date", rows("dividends", pl.col("announced_on") >= pl.col("ex_date"))),
]
