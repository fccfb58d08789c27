"""The command `kestrel`.  Heavy imports stand inside the commands, so that help answers at once."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data.errors import KestrelError

if TYPE_CHECKING:
    from data.lake import Lake
    from pipelines.config import Config

DAY = click.DateTime(formats=["%Y-%m-%d"])
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


@dataclass
class Context:
    """The options that every command shares."""

    file: Path | None
    sets: tuple[str, ...]
    lake_uri: str | None

    def config(self, file: Path | None = None) -> "Config":
        """The resolved config; a command's own -c comes before the shared one."""
        from pipelines.config import load

        return load(file or self.file, sets=self.sets, lake=self.lake_uri)

    def lake(self, config: "Config | None" = None) -> "Lake":
        """The lake that the config names, which must exist."""
        from data.lake import open_lake

        return open_lake((config or self.config()).lake)


def config_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add -c FILE to a command."""
    return click.option("-c", "--config", "file", type=click.Path(path_type=Path), help="A config file; default kestrel.toml.")(command)


class Group(click.Group):
    """A group whose commands turn what a user can mend into one message and an exit code."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; a KestrelError ends it with its own exit code and no traceback."""
        try:
            return super().invoke(context)
        except KestrelError as error:
            click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("-c", "--config", "file", type=click.Path(path_type=Path), help="A config file; default kestrel.toml where there is one.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Override one setting, e.g. --set walk.train_years=4")
@click.option("--lake", "lake_uri", envvar="KESTREL_LAKE", help="The lake's folder; default lake.")
@click.version_option(package_name="kestrel")
@click.pass_context
def main(context: click.Context, file: Path | None, sets: tuple[str, ...], lake_uri: str | None) -> None:
    """Quant research for Chinese A-shares: market data in, tomorrow's orders out, measured against the CSI 500 with dividends.

    \b
    Example:  kestrel demo
              kestrel data import FOLDER --mapping examples/pack.toml
              kestrel factors build && kestrel train && kestrel backtest && kestrel signal
    """
    context.obj = Context(file, sets, lake_uri)


def command(group: click.Group, name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Register a command that takes the shared options as its first argument."""

    def register(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        @click.pass_obj
        def run(obj: Context, /, *args: Any, **options: Any) -> None:
            function(obj, *args, **options)

        return group.command(name)(run)

    return register


@main.group()
def data() -> None:
    """The lake: import, check, look, query, simulate."""


@main.group()
def factors() -> None:
    """Factors: list, build, evaluate, prove."""


@command(data, "import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--mapping", required=True, type=click.Path(path_type=Path), help="TOML that says which file becomes which table.")
def import_(shared: Context, folder: Path, mapping: Path) -> None:
    """Import a folder of CSV or Parquet files.

    \b
    Example:  kestrel data import $KESTREL_DATA_PACK --mapping examples/pack.toml
    """
    from data.ingest import import_folder
    from data.lake import Lake
    from pipelines.console import Bars, say, show

    lake = Lake(shared.config().lake)
    written, findings = import_folder(lake, folder, mapping, track=Bars())
    if not written:
        say(f"{lake.uri} already holds these files.")
        return
    show([{"table": name, "rows": rows, "version": lake.version(name)} for name, rows in written.items()], title=f"Imported into {lake.uri}")
    show_findings(findings, as_json=False)


@command(data, "check")
@JSON
def check_(shared: Context, as_json: bool) -> None:
    """Check the lake's tables; exit code 3 where a blocking check finds something."""
    from data.checks import check
    from data.ingest import refuse
    from data.tables import TABLES

    lake = shared.lake()
    findings = check({name: lake.read(name) for name in lake.tables() if name in TABLES}, lake.price_basis)
    show_findings(findings, as_json=as_json)
    refuse(findings, lake.uri)


def show_findings(findings: list[Any], *, as_json: bool) -> None:
    """The findings of checks, worst first, or that there are none."""
    from pipelines.console import say, show

    rows = [
        {"severity": f.severity, "table": f.table, "check": f.check, "rows": f.rows, "share": f.share, "first": f.first, "why": f.why}
        for f in findings
    ]
    if rows or as_json:
        show(sorted(rows, key=lambda row: row["severity"]), title="Findings", as_json=as_json)
    else:
        say("All checks passed.")


@command(data, "show")
@click.argument("table", required=False)
@JSON
def show_(shared: Context, table: str | None, as_json: bool) -> None:
    """Show what the lake holds, or one table's columns and last rows."""
    from pipelines.console import show
    from pipelines.look import overview, sample

    lake = shared.lake()
    rows = overview(lake) if table is None else sample(lake, table)
    show(rows, title=f"{lake.uri} ({lake.price_basis} prices)" if table is None else table, as_json=as_json)


@command(data, "sql")
@click.argument("statement")
@JSON
def sql_(shared: Context, statement: str, as_json: bool) -> None:
    """Query the lake's tables with one SELECT; it can read nothing else and write nowhere.

    \b
    Example:  kestrel data sql "SELECT date, count(*) FROM bars GROUP BY date ORDER BY date DESC LIMIT 5"
    """
    from data.query import sql
    from pipelines.console import show

    show(sql(shared.lake(), statement).to_dicts(), as_json=as_json)


@command(data, "history")
@click.argument("table")
@JSON
def history(shared: Context, table: str, as_json: bool) -> None:
    """Show a table's versions, newest first."""
    from pipelines.console import show

    entries = shared.lake().history(table)
    rows = [
        {"version": e["version"], "at": datetime.fromtimestamp(e["timestamp"] / 1000).isoformat(" "), "operation": e["operation"]} for e in entries
    ]
    show(rows, title=table, as_json=as_json)


@command(data, "migrate")
def migrate_(shared: Context) -> None:
    """Bring a lake of an older schema to this version's."""
    from data.lake import migrate
    from pipelines.console import say

    done = migrate(shared.config().lake)
    say(f"Migrated {', '.join(done)}." if done else "The lake is of this version already.")


@command(data, "simulate")
@click.option("--stocks", default=800, show_default=True, help="Stocks ever listed.")
@click.option("--years", default=6, show_default=True, help="Length of the history.")
@click.option("--seed", default=7, show_default=True, help="The same seed gives the same bytes.")
@click.option("--alpha", default="all", show_default=True, help="Planted alpha: all, none, or kinds separated by commas.")
def simulate_(shared: Context, stocks: int, years: int, seed: int, alpha: str) -> None:
    """Simulate a market with a known answer into the lake.

    \b
    Example:  kestrel --lake lake-sim data simulate --seed 11
    """
    from data.lake import Lake
    from pipelines.console import Bars, say, show
    from pipelines.look import simulated, simulation_settings

    lake = Lake(shared.config().lake)
    settings = simulation_settings(stocks=stocks, years=years, seed=seed, alpha=alpha)
    if not simulated(lake, settings, track=Bars()):
        say(f"{lake.uri} already holds this market.")
        return
    from pipelines.look import overview

    show(overview(lake), title=f"Simulated into {lake.uri}")


@command(factors, "list")
@click.option("--family", help="One family only.")
@JSON
def list_(shared: Context, family: str | None, as_json: bool) -> None:
    """List all factors, and which of them this lake can't feed."""
    from pipelines.console import show
    from pipelines.look import factor_rows

    config = shared.config()
    show(factor_rows(config.lake, family), title="Factors", as_json=as_json)


@command(factors, "show")
@click.argument("name")
def show_factor(shared: Context, name: str) -> None:
    """Show one factor: its paragraph, expression, inputs and lookback."""
    from factors.registry import select
    from pipelines.console import show

    del shared
    found = select([name])[0]
    facts = {"name": found.name, "family": found.family, "about": found.about, "expression": found.expr.text}
    facts |= {"needs": ", ".join(sorted(found.expr.needs)), "lookback": str(found.expr.lookback)}
    show([{"what": key, "value": value} for key, value in facts.items()])


@command(factors, "build")
def build_(shared: Context) -> None:
    """Compute every factor that the lake can feed; does nothing where they are current."""
    from pipelines.console import Bars, say
    from pipelines.prepare import build_factors

    choice, built = build_factors(shared.lake(), track=Bars())
    say(f"{len(choice.available)} factors {'built' if built else 'are current'}.")
    for name, reason in choice.unavailable.items():
        say(f"  unavailable: {name} {reason}")


@command(factors, "evaluate")
@click.argument("names", nargs=-1)
@config_option
@click.option("--start", type=DAY, help="First session; default the walk's first test date.")
@click.option("--end", type=DAY, help="Last session.")
@click.option("--neutral", multiple=True, type=click.Choice(["industry", "log_float_cap"]), help="Neutralise first.")
@click.option("--entry", type=click.Choice(["open", "close", "vwap"]), help="Price of the entry; default labels.entry.")
@JSON
def evaluate_(shared: Context, names: tuple[str, ...], file: Path | None, as_json: bool, **options: Any) -> None:
    """Evaluate factors: IC, RankIC, ICIR, decay, quantiles, turnover and coverage, by year, as a table and an HTML page.

    \b
    Example:  kestrel factors evaluate reversal_20 turnover_20 --start 2017-01-01
    """
    from pipelines.console import Bars, say, show
    from pipelines.evaluate import evaluate

    config = shared.config(file)
    rows, page, count = evaluate(shared.lake(config), config, names, track=Bars(), **options)
    show(rows, title="Factors by 5-session RankIC", as_json=as_json)
    say(f"Evaluations so far on dates that overlap these: {count}.  Plots: {page}")


@command(factors, "prove")
@click.argument("names", nargs=-1)
@click.option("--dates", default=3, show_default=True, help="Sessions to cut and poison at.")
def prove_(shared: Context, names: tuple[str, ...], dates: int) -> None:
    """Prove that factors don't look ahead: cut and poison all that comes later, rescale each stock's prices, and compare.

    \b
    Example:  kestrel factors prove momentum_12_1
    """
    from pipelines.console import Bars, say
    from pipelines.evaluate import prove_on

    proved, breaches = prove_on(shared.lake(), names, dates, track=Bars())
    if breaches:
        lines = "\n".join(f"  {b.factor}: {b.change} moves {b.day} {b.symbol} from {b.before:g} to {b.after:g}" for b in breaches)
        raise KestrelError(f"{len(breaches)} breaches:\n{lines}\nThe factor reads what is not known yet, or mixes price bases.")
    say(f"{proved} factors: nothing later moves anything earlier.")


@command(main, "train")
@config_option
def train_(shared: Context, file: Path | None) -> None:
    """Train every fold, model and seed of the config, walk-forward; a second run completes the first.

    \b
    Example:  kestrel train -c examples/csi500.toml
    """
    from pipelines.console import Bars, say
    from pipelines.present import log_training, show_training
    from pipelines.train import train

    config = shared.config(file)
    folder, done = train(shared.lake(config), config, track=Bars())
    if done:
        log_training(folder, config)
    else:
        say(f"{folder} is complete already.")
    show_training(folder, config)


@command(main, "backtest")
@config_option
@click.option("--scores", "scores_path", type=click.Path(path_type=Path), help="Scores from anywhere: CSV or Parquet with date, symbol, score.")
@JSON
def backtest_(shared: Context, file: Path | None, scores_path: Path | None, as_json: bool) -> None:
    """Trade the latest training's scores (or a file's) under the exchange's rules, against the CSI 500 with dividends."""
    from pipelines.console import Bars, say
    from pipelines.present import log_backtest, show_backtest
    from pipelines.trade import backtest, scores_file, trained_config, trained_scores

    config = shared.config(file)
    source = scores_file(scores_path) if scores_path else trained_scores(Path(config.runs))
    if file is None and shared.file is None and not scores_path:
        config = trained_config(config)
    folder, done = backtest(shared.lake(config), config, source, track=Bars())
    if done:
        log_backtest(folder, config, source)
    else:
        say(f"{folder} is complete already.")
    show_backtest(folder, as_json=as_json)


@command(main, "compare")
@click.option("--last", default=20, show_default=True, help="How many runs.")
@JSON
def compare_(shared: Context, last: int, as_json: bool) -> None:
    """Compare the last backtests in MLflow side by side, and what differs in their configs."""
    from pipelines.compare import compare

    compare(shared.config(), last=last, as_json=as_json)


@command(main, "report")
@click.argument("run", default="latest")
@click.option("--model", help="One model's account; default the one chosen on validation dates.")
@click.option("--open", "open_it", is_flag=True, help="Open it in a browser.")
def report_(shared: Context, run: str, model: str | None, open_it: bool) -> None:
    """Write a backtest's HTML report and print where.

    \b
    Example:  kestrel report latest --open
    """
    from pipelines.report import report

    config = shared.config()
    page = report(shared.lake(config), config, run, model)
    click.echo(str(page))
    if open_it:
        click.launch(str(page))


@command(main, "signal")
@config_option
@click.option("--date", "day", type=DAY, help="The session whose close is known; default the last one.")
@click.option("--model", help="A model of the latest training; default the one chosen on validation dates.")
@click.option("--positions", type=click.Path(path_type=Path), help="CSV with symbol, shares and a row for cash; default an empty book.")
@JSON
def signal_(shared: Context, file: Path | None, day: datetime | None, model: str | None, positions: Path | None, as_json: bool) -> None:
    """Write the orders of the next session from the last close.

    \b
    Example:  kestrel signal --date 2020-08-21 --positions positions.csv
    """
    from pipelines.present import show_signal
    from pipelines.signal import signal
    from pipelines.trade import trained_config

    config = shared.config(file)
    if file is None and shared.file is None:
        config = trained_config(config)
    folder, written = signal(shared.lake(config), config, day=day.date() if day else None, model=model, positions=positions)
    show_signal(folder, written=written, as_json=as_json)


@command(main, "demo")
@click.option("--folder", default="demo", show_default=True, type=click.Path(path_type=Path), help="Where it works; nothing else is touched.")
def demo_(shared: Context, folder: Path) -> None:
    """Run it all on a simulated market: factors, models, backtest, signal, report; no network, under three minutes."""
    from pipelines.demo import demo

    del shared
    demo(folder)


@command(main, "doctor")
def doctor_(shared: Context) -> None:
    """Look at this machine, the packages, the lake and the calendar, and say what to mend."""
    from pipelines.doctor import doctor

    doctor(shared.config())


@command(main, "config")
@config_option
def config_(shared: Context, file: Path | None) -> None:
    """Print the resolved config as JSON."""
    click.echo(shared.config(file).model_dump_json(indent=1))


@command(main, "ui")
@click.option("--port", default=5000, show_default=True)
def ui_(shared: Context, port: int) -> None:
    """Open MLflow's pages over this desk's runs, on this machine only."""
    from pipelines.experiments import serve

    serve(shared.config(), port)
