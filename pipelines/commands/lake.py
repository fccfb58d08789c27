"""`kestrel data`: the lake."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from pipelines.commands.shared import DAY, JSON, Context, command

AT = click.option("--at", help="As it was at a version of the table, or at a moment: 2026-11-20T15:00.")


@click.group()
def data() -> None:
    """The lake: import, check, look, query, simulate."""


@command(data, "import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--mapping", required=True, type=click.Path(path_type=Path), help="TOML that says which file becomes which table.")
@click.option("--keep", is_flag=True, help="Keep tables of an earlier import that this mapping doesn't bring, beside its bars.")
def import_(shared: Context, folder: Path, mapping: Path, keep: bool) -> None:
    """Import a folder of CSV or Parquet files.

    \b
    Example:  kestrel data import $KESTREL_DATA_PACK --mapping examples/pack.toml
    """
    from data.ingest import import_folder
    from data.lake import Lake
    from pipelines.console import Bars, say, show

    lake = Lake(shared.config().lake)
    written, findings = import_folder(lake, folder, mapping, keep=keep, track=Bars())
    if not written:
        say(f"{lake.uri} already holds these files.")
        return
    show([{"table": name, "rows": rows, "version": lake.version(name)} for name, rows in written.items()], title=f"Imported into {lake.uri}")
    show_findings(findings, as_json=False)


@command(data, "check")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Where the page goes; default LAKE.checks.html, for a lake in a folder."
)
@JSON
def check_(shared: Context, html: Path | None, as_json: bool) -> None:
    """Check the lake's tables; exit code 3 where a blocking check finds something.

    \b
    Example:  kestrel data check --html checks.html
    """
    from data.ingest import refuse
    from pipelines.checkup import checkup, write_page
    from pipelines.console import say

    lake = shared.lake()
    findings = checkup(lake)
    show_findings(findings, as_json=as_json)
    page = html or (None if lake.remote else Path(f"{lake.uri}.checks.html"))
    if page is not None:
        write_page(page, lake, findings)
        say(f"Page: {page}")
    refuse(findings, lake.uri, importing=False)


def show_findings(findings: list[Any], *, as_json: bool) -> None:
    """The findings of checks, worst first, or that there are none."""
    from pipelines.checkup import finding_rows
    from pipelines.console import say, show

    if findings or as_json:
        show(sorted(finding_rows(findings), key=lambda row: row["severity"]), title="Findings", as_json=as_json)
    else:
        say("All checks passed.")


@command(data, "show")
@click.argument("table", required=False)
@AT
@JSON
def show_(shared: Context, table: str | None, at: str | None, as_json: bool) -> None:
    """Show what the lake holds, or one table's columns and last rows.

    \b
    Example:  kestrel data show bars --at 3
    """
    from pipelines.console import show
    from pipelines.look import overview, sample, travelled

    lake = travelled(shared.lake(), at, table)
    rows = overview(lake) if table is None else sample(lake, table)
    show(rows, title=f"{lake.uri} ({lake.price_basis} prices)" if table is None else table, as_json=as_json)


@command(data, "sql")
@click.argument("statement")
@AT
@JSON
def sql_(shared: Context, statement: str, at: str | None, as_json: bool) -> None:
    """Query the lake's tables with one SELECT; it can read nothing else and write nowhere.

    \b
    Example:  kestrel data sql "SELECT date, count(*) FROM bars GROUP BY date ORDER BY date DESC LIMIT 5"
    """
    from data.query import sql
    from pipelines.console import show
    from pipelines.look import travelled

    show(sql(travelled(shared.lake(), at), statement).to_dicts(), as_json=as_json)


@command(data, "history")
@click.argument("table")
@JSON
def history(shared: Context, table: str, as_json: bool) -> None:
    """Show a table's versions, newest first.

    \b
    Example:  kestrel data history bars
    """
    from pipelines.console import show

    entries = shared.lake().history(table)
    rows = [
        {"version": e["version"], "at": datetime.fromtimestamp(e["timestamp"] / 1000).isoformat(" "), "operation": e["operation"]} for e in entries
    ]
    show(rows, title=table, as_json=as_json)


@command(data, "migrate")
def migrate_(shared: Context) -> None:
    """Bring a lake of an older schema to this version's.

    \b
    Example:  kestrel --lake lake data migrate
    """
    from data.migration import migrate
    from pipelines.console import say

    done = migrate(shared.config().lake)
    say(f"Migrated {', '.join(done)}." if done else "The lake is of this version already.")


@command(data, "simulate")
@click.option("--stocks", default=800, show_default=True, help="Stocks ever listed.")
@click.option("--years", default=6, show_default=True, help="Length of the history.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same bytes.")
@click.option("--alpha", default="all", show_default=True, help="Planted alpha: all, none, or kinds separated by commas.")
@click.option("--minutes", type=DAY, multiple=True, help="A session that gets minute bars; may be repeated.")
def simulate_(shared: Context, stocks: int, years: int, seed: int, alpha: str, minutes: tuple[datetime, ...]) -> None:
    """Simulate a market with a known answer into the lake; the answer goes beside it.

    \b
    Example:  kestrel --lake lake-sim data simulate --seed 11
    """
    from data.lake import Lake
    from pipelines.console import Bars, say, show
    from pipelines.look import overview
    from pipelines.simulate import settings_of, simulated

    lake = Lake(shared.config().lake)
    settings = settings_of(stocks=stocks, years=years, seed=seed, alpha=alpha, minutes=minutes)
    if not simulated(lake, settings, track=Bars()):
        say(f"{lake.uri} already holds this market.")
        return
    show(overview(lake), title=f"Simulated into {lake.uri}")


@command(data, "oracle")
@click.option("--scores", "scores_path", type=click.Path(path_type=Path), help="Scores of your own; default the latest training's.")
@JSON
def oracle_(shared: Context, scores_path: Path | None, as_json: bool) -> None:
    """Show each model's share of what can be known of a simulated market; more than all of it is look-ahead.

    \b
    Example:  kestrel --lake demo/lake --set runs=demo/runs data oracle
    """
    from pipelines.console import show
    from pipelines.simulate import shares
    from pipelines.trade import scores_file, trained_scores

    config = shared.config()
    source = scores_file(scores_path) if scores_path else trained_scores(Path(config.runs))
    show(shares(shared.lake(config), config, source), title=f"{source.name} against the oracle", as_json=as_json)


@command(data, "statistics")
@click.option("--beside", help="Another lake, to stand beside this one.")
@JSON
def statistics_(shared: Context, beside: str | None, as_json: bool) -> None:
    """Show what a market is like: dispersion, correlation, volatility clustering, tails, turnover, limits, suspensions, tracking.

    \b
    Example:  kestrel --lake lake-sim data statistics --beside lake
    """
    from data.lake import open_lake
    from pipelines.console import show
    from pipelines.simulate import measured

    show(measured(shared.lake(), open_lake(beside) if beside else None), title="Statistics", as_json=as_json)
