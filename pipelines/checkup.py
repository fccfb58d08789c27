"""Checkup: every check of a lake's tables, as rows and as one HTML page that needs nothing else."""

from html import escape
from pathlib import Path
from typing import Any

from data.checks import CHECKS, Finding, check
from data.lake import Lake
from data.tables import TABLES
from pipelines.runs import write_text

STYLE = (
    "body{font:15px/1.5 system-ui,'Noto Sans CJK SC',sans-serif;max-width:1100px;margin:2.5rem auto;padding:0 1.2rem;color:#1d2733}"
    "h1{font-size:26px;margin:0}p{color:#66717d;margin:.2rem 0 1.4rem}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th{text-align:left;font-weight:500;color:#66717d}th,td{padding:6px 10px;border-bottom:1px solid #e1e5e9;vertical-align:top}"
    "td.number{text-align:right;white-space:nowrap}.blocking{color:#b3261e;font-weight:600}.warning{color:#9a6700;font-weight:600}.passed{color:#2e7d4f}"
)


def checkup(lake: Lake) -> list[Finding]:
    """The findings of every check whose tables the lake has, blocking ones first."""
    found = check({name: lake.read(name) for name in lake.tables() if name in TABLES}, lake.price_basis)
    return sorted(found, key=lambda finding: finding.severity)


def finding_rows(findings: list[Finding]) -> list[dict[str, Any]]:
    """Findings as rows of a table."""
    return [
        {"severity": f.severity, "table": f.table, "check": f.check, "rows": f.rows, "share": f.share, "first": f.first, "why": f.why}
        for f in findings
    ]


def write_page(path: Path, lake: Lake, findings: list[Finding]) -> None:
    """Write the page of a checkup: what was found, then what was asked and passed."""
    there = lake.tables()
    failed = {finding.check for finding in findings}
    asked = [rule for rule in CHECKS if rule.table in there and rule.basis in ("any", lake.price_basis)]
    found = [_row(f.severity, f.table, f.check, f"{f.rows:,}", f"{f.share:.3%}", f.first, f.why) for f in findings]
    passed = [_row("passed", rule.table, rule.name, "", "", "", rule.why) for rule in asked if rule.name not in failed]
    heads = "".join(f"<th>{head}</th>" for head in ("", "table", "check", "rows", "share", "first", "why it is asked"))
    versions = ", ".join(f"{name} {version}" for name, version in lake.versions().items())
    lede = f"{len(asked)} checks of {lake.price_basis} prices, {len(failed)} with findings. Versions: {versions}."
    write_text(
        path,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Checks of {escape(lake.uri)}</title><style>{STYLE}</style>'
        f"<h1>Checks of {escape(lake.uri)}</h1><p>{escape(lede)}</p><table><tr>{heads}</tr>{''.join([*found, *passed])}</table></html>\n",
    )


def _row(severity: str, table: str, name: str, rows: str, share: str, first: str, why: str) -> str:
    cells = "".join(f"<td>{escape(text)}</td>" for text in (table, name))
    numbers = "".join(f'<td class="number">{escape(text)}</td>' for text in (rows, share))
    return f'<tr><td class="{severity}">{severity}</td>{cells}{numbers}<td>{escape(first)}</td><td>{escape(why)}</td></tr>'
