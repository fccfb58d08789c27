"""Checks of what companies announce: reports and dividends."""

import polars as pl

from data.checks.check import Check, rows

CHECKS = [
    Check(
        "announcements",
        "reports",
        "blocking",
        "a report announced before its period ended: its date is no announcement, and using it is look-ahead",
        rows("reports", pl.col("announced_on") <= pl.col("period_end")),
    ),
    Check("dividends", "dividends", "warning", "announced on or after the ex-date", rows("dividends", pl.col("announced_on") >= pl.col("ex_date"))),
]
