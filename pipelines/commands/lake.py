"""`kestrel data`: the lake."""

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from pipelines.commands.shared import DAY, JSON, Context, command

AT = click.option("--at", help="As it was at a version of the table, or at a moment: 2026-11-20T15:00.")


@click.group()
def data() -> None:
    """The lake: fetch, import, export, check, look, query, simulate."""


@command(data, "import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--mapping", type=click.Path(path_type=Path), help="TOML that says which file becomes which table.")
@click.option("--qlib", is_flag=True, help="The folder is Qlib's: calendars, instruments, features.")
@click.option("--keep", is_flag=True, help="Keep tables of an earlier import that this one doesn't bring, beside its bars.")
def import_(shared: Context, folder: Path, mapping: Path | None, qlib: bool, keep: bool) -> None:
    """Import a folder of CSV or Parquet files by a mapping, or a folder of Qlib's .bin files.

    \b
    Example:  kestrel data import $KESTREL_DATA_PACK --mapping examples/pack.toml
              kestrel data import ~/.qlib/qlib_data/cn_data --qlib
    """
    from data.ingest import import_folder
    from data.lake import Lake
    from data.sources.qlib import import_qlib
    from pipelines.console import Bars, say, show

    lake = Lake(shared.config().lake)
    if qlib == (mapping is not None):
        raise click.UsageError("Give --mapping FILE, or --qlib, and not both.")
    if mapping is None:
        written, findings = import_qlib(lake, folder, keep=keep, track=Bars())
    else:
        written, findings = import_folder(lake, folder, mapping, keep=keep, track=Bars())
    if not written:
        say(f"{lake.uri} already holds these files.")
        return
    show([{"table": name, "rows": rows, "version": lake.version(name)} for name, rows in written.items()], title=f"Imported into {lake.uri}")
    show_findings(findings, as_json=False)


@command(data, "export")
@click.option("--qlib", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="A new folder for Qlib's files.")
def export_(shared: Context, folder: Path) -> None:
    """Export bars, members and index levels as Qlib's .bin files.

    \b
    Example:  kestrel data export --qlib exported
    """
    from data.sources.qlib import export_qlib
    from pipelines.console import Bars, show

    counts = export_qlib(shared.lake(), folder, track=Bars())
    show([{"what": name, "count": count} for name, count in counts.items()], title=f"Exported to {folder}")


@command(data, "fetch")
@click.argument("tables", nargs=-1)
@click.option("--source", default="auto", show_default=True, help="tushare, baostock, akshare, or auto: the first that answers.")
@click.option("--since", type=DAY, help="First day of the lake; default the lake's own, else 2015-01-01.")
@click.option("--until", type=DAY, help="Last day; default the last one that vendors have published.")
@click.option("--index", default="000905.SH", show_default=True, help="The index whose members are fetched; 'none' for none.")
@click.option("--symbols", default="", help="Stocks besides, separated by commas; 'all' for every one ever listed.")
@JSON
def fetch_(
    shared: Context, tables: tuple[str, ...], source: str, since: datetime | None, until: datetime | None, index: str, symbols: str, as_json: bool
) -> None:
    """Fetch from market-data vendors what the lake lacks; run it again to go on.  TABLES default to all but reports and news.

    \b
    Example:  kestrel data fetch --since 2015-01-01
              kestrel data fetch bars reports --source baostock --index none --symbols 600000,000001
    """
    from data.fetch import fetch
    from data.lake import Lake
    from pipelines.console import Bars, say, show
    from pipelines.fetch import chain_of, published, wished

    lake = Lake(shared.config().lake)
    wish = wished(lake, tables, since.date() if since else None, index, symbols)
    with closing(chain_of(source)) as chain:
        outcome = fetch(lake, chain, wish, until=until.date() if until else published(), track=Bars())
    if outcome is None:
        say(f"{lake.uri} has all there is.")
        return
    for note in outcome.notes:
        say(note)
    rows = [{"table": name, "rows": count, "version": lake.version(name)} for name, count in outcome.rows.items()]
    show(rows, title=f"Fetched into {lake.uri} up to {outcome.through}", as_json=as_json)
    if not as_json:
        show([{"asked": name, **found} for name, found in outcome.answers.items()], title="Answers by source")
        show_findings(outcome.findings, as_json=False)


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
@click.option("--end", type=DAY, default="2026-07-31", show_default=True, help="Last day; earlier years have other rules.")
@click.option("--alpha", default="all", show_default=True, help="Planted alpha: all, none, or kinds separated by commas.")
@click.option("--suspended", default=0.004, show_default=True, help="Share of stock-days without trading; 2010 to 2020 had 0.05.")
@click.option("--minutes", type=DAY, multiple=True, help="A session that gets minute bars; may be repeated.")
def simulate_(
    shared: Context, stocks: int, years: int, seed: int, end: datetime, alpha: str, suspended: float, minutes: tuple[datetime, ...]
) -> None:
    """Simulate a market with a known answer into the lake; the answer goes beside it.

    \b
    Example:  kestrel --lake lake-sim data simulate --seed 11 --end 2020-08-24
    """
    from data.lake import Lake
    from pipelines.console import Bars, say, show
    from pipelines.look import overview
    from pipelines.simulate import settings_of, simulated

    lake = Lake(shared.config().lake)
    days = [day.date() for day in minutes]
    settings = settings_of(stocks=stocks, years=years, seed=seed, end=end.date(), alpha=alpha, suspended=suspended, minutes=days)
    if not simulated(lake, settings, track=Bars()):
        say(f"{lake.uri} already holds this market.")
        return
    show(overview(lake), title=f"Simulated into {lake.uri}")


@command(data, "oracle")
@click.option("--scores", "scores_path", type=click.Path(path_type=Path), help="Scores of your own; default the latest training's.")
@click.option("--kinds", is_flag=True, help="Show what each planted kind of alpha alone would know, instead of models.")
@JSON
def oracle_(shared: Context, scores_path: Path | None, kinds: bool, as_json: bool) -> None:
    """Show each model's share of what can be known of a simulated market; more than all of it is look-ahead.

    \b
    Example:  kestrel --lake demo/lake --set runs=demo/runs data oracle
    """
    from pipelines.console import show
    from pipelines.holdout import seen
    from pipelines.simulate import planted, shares
    from pipelines.trade import scores_file, trained_scores

    config = shared.config()
    lake = seen(shared.lake(config), config.holdout)
    if kinds:
        show(shares(lake, config, planted(lake)), title="What was planted", as_json=as_json)
        return
    source = scores_file(scores_path) if scores_path else trained_scores(Path(config.runs))
    show(shares(lake, config, [source.scores]), title=f"{source.name} against the oracle", as_json=as_json)


@command(data, "statistics")
@click.option("--beside", help="Another lake, to stand beside this one.")
@click.option("--start", type=DAY, help="First day that counts.")
@click.option("--end", type=DAY, help="Last day that counts.")
@JSON
def statistics_(shared: Context, beside: str | None, start: datetime | None, end: datetime | None, as_json: bool) -> None:
    """Show what a market is like: dispersion, correlation, volatility clustering, tails, turnover, limits, suspensions, tracking.

    \b
    Example:  kestrel --lake lake-sim data statistics --beside lake --end 2020-08-24
    """
    from data.lake import open_lake
    from pipelines.console import show
    from pipelines.simulate import measured

    first, last = (day.date() if day else None for day in (start, end))
    show(measured(shared.lake(), open_lake(beside) if beside else None, start=first, end=last), title="Statistics", as_json=as_json)
