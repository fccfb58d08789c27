"""Named checks of the tables, each a polars expression with a reason.  Blocking ones refuse an import, warnings are told."""

from data.checks import coverage, filings, index, prices, trade
from data.checks.check import Check, Finding, Tables

__all__ = ["CHECKS", "Check", "Finding", "Tables", "blocking", "check"]

CHECKS: list[Check] = [*prices.CHECKS, *trade.CHECKS, *coverage.CHECKS, *index.CHECKS, *filings.CHECKS]


def check(tables: Tables, price_basis: str) -> list[Finding]:
    """Run every check whose tables are there; findings in the order of CHECKS, none for a check that passes."""
    asked = [rule for rule in CHECKS if rule.table in tables and rule.basis in ("any", price_basis)]
    return [finding for rule in asked if (finding := rule.find(tables)) is not None]


def blocking(findings: list[Finding]) -> list[Finding]:
    """The findings that forbid to go on."""
    return [finding for finding in findings if finding.severity == "blocking"]
