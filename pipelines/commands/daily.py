"""The commands of every evening: the batch, the account that trades what it publishes, what came of it, and the timer."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.commands.shared import DAY, JSON, LANG, Context, command, config_option

if TYPE_CHECKING:
    from backtest.report.labels import Lang
    from pipelines.config import Config

daily = click.Group()


@command(daily, "signal")
@config_option
@click.option("--date", "day", type=DAY, help="The session whose close is known; default the last one that is due at 17:00 in Shanghai.")
@click.option("--model", help="A model of the latest training; default batch.model.")
@click.option("--positions", type=click.Path(path_type=Path), help="CSV with symbol, shares and a row for cash; default batch.book.")
@click.option("--catch-up", is_flag=True, help="Every session since the last published one, in order.")
@click.option("--dry-run", is_flag=True, help="Work everything out, write nothing.")
@click.option("--again", is_flag=True, help="Publish again what is published already.")
@click.option("--wait", default=0.0, show_default=True, help="Seconds to wait for another batch to end.")
@JSON
def signal_(
    shared: Context,
    file: Path | None,
    day: datetime | None,
    model: str | None,
    positions: Path | None,
    catch_up: bool,
    dry_run: bool,
    again: bool,
    wait: float,
    as_json: bool,
) -> None:
    """Publish the orders of the next session from the last close: fetched, checked, scored, ordered, once each or refused with a reason.

    Exit codes: 0 published or nothing to do, 1 something to mend, 3 the data aren't fit, 4 try again later.

    \b
    Example:  kestrel signal --date 2020-08-21 --positions positions.csv
              kestrel signal --catch-up --json
    """
    from pipelines.batch.day import Asked, run_batch
    from pipelines.console import say, show
    from pipelines.fetch import fetched
    from pipelines.present import show_signal

    asked = Asked(day.date() if day else None, model, positions, catch_up, dry_run, again, wait)
    outcomes = run_batch(_config(shared, file), asked, fetcher=fetched)
    if as_json:
        show([outcome.row() for outcome in outcomes], as_json=True)
    for outcome in outcomes if not as_json else ():
        if outcome.folder:
            show_signal(Path(outcome.folder), written=outcome.outcome == "published", as_json=False)
        elif outcome.outcome == "refused":
            click.echo(f"{click.style('error:', fg='red', bold=True)} {outcome.reason}", err=True)
        else:
            say(f"{outcome.session}: {outcome.orders} orders for {outcome.trade_on}, none of them published")
        for warning in outcome.warnings:
            say(f"warning: {warning}")
    sys.exit(max(outcome.exit_code for outcome in outcomes))


@command(daily, "paper")
@config_option
@click.option("--date", "day", type=DAY, help="Up to this session's close; default the lake's last.")
@LANG
@JSON
def paper_(shared: Context, file: Path | None, day: datetime | None, lang: "Lang", as_json: bool) -> None:
    """Tell the account that trades the published orders at the next session's prices, and write its report into runs/paper.

    \b
    Example:  kestrel --set batch.book=paper paper
    """
    from pipelines.console import say, show
    from pipelines.paper import statement
    from pipelines.runs import DONE, read_json

    config = _config(shared, file)
    folder = statement(shared.lake(config), config, day=day.date() if day else None, lang=lang)
    found = read_json(folder / DONE)
    rows = [{"figure": name, "value": value} for name, value in found["account"].items()]
    show([found["account"]] if as_json else rows, title=f"Paper account, {found['span'][0]} to {found['span'][1]}", as_json=as_json)
    say(str(folder))


@command(daily, "retrain")
@config_option
@JSON
def retrain_(shared: Context, file: Path | None, as_json: bool) -> None:
    """Train on what is known now: the champion's idea on newer data renews it where it is no worse, another idea becomes the challenger.

    \b
    Example:  kestrel retrain && kestrel --set batch.model=champion signal
    """
    from pipelines.champion import retrain
    from pipelines.console import Bars, show

    config = shared.config(file)
    show([retrain(shared.lake(config), config, track=Bars())], title="Champion and challenger", as_json=as_json)


@command(daily, "status")
@click.option("--last", default=10, show_default=True, help="How many sessions.")
@JSON
def status_(shared: Context, last: int, as_json: bool) -> None:
    """Show the last batches: what came of each session, how long it took, and what was said.

    \b
    Example:  kestrel status --last 5
    """
    from pipelines.batch.journal import FILE, Journal
    from pipelines.present import show_status

    path = Path(shared.config().runs) / FILE
    show_status(Journal(path).last(last) if path.is_file() else [], as_json=as_json)


@command(daily, "schedule")
@click.option("--print", "kind", type=click.Choice(["systemd", "cron"]), required=True, help="For which scheduler.")
def schedule_(shared: Context, kind: str) -> None:
    """Print a timer that runs the batch on every session at 17:00 in Shanghai, whatever this host's zone.

    \b
    Example:  kestrel schedule --print systemd
    """
    from pipelines.batch.timer import timer

    options = [word for item in shared.sets for word in ("--set", item)]
    options += ["--config", str(shared.file.resolve())] if shared.file else []
    options += ["--lake", shared.lake_uri] if shared.lake_uri else []
    click.echo(timer(kind, shared.config().batch.hour, Path.cwd(), tuple(options)))


def _config(shared: Context, file: Path | None) -> "Config":
    """The config asked for; where none is named, that of the latest training."""
    from pipelines.trade import trained_config

    config = shared.config(file)
    return config if file is not None or shared.file is not None else trained_config(config, shared.sets)
