"""The commands about experiments: compare them, run them again, promote a model, open a holdout, look at MLflow."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.commands.shared import JSON, LANG, Context, command

if TYPE_CHECKING:
    from backtest.report.labels import Lang
    from pipelines.config import Config

experiments = click.Group()


@command(experiments, "compare")
@click.argument("runs", nargs=-1, metavar="[A B]")
@click.option("--last", default=20, show_default=True, help="How many runs, where none is named.")
@click.option("--model", help="One model of both runs; default the one that each chose on validation dates.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the comparison as a page, too.")
@LANG
@JSON
def compare_(shared: Context, runs: tuple[str, ...], last: int, model: str | None, html: Path | None, lang: "Lang", as_json: bool) -> None:
    """Compare two runs on the dates they share: settings, IC and excess with paired intervals; without names the last backtests in MLflow.

    A run is named by its folder or a piece of its name, by `latest`, or as MLflow names it; RUN/MODEL means one model of it.

    \b
    Example:  kestrel compare latest/ridge latest/blend --html compare.html
              kestrel compare --last 10
    """
    from pipelines.compare import compare, compare_two, judge

    config = shared.config()
    if runs:
        if len(runs) != 2:
            raise click.UsageError(f"Name two runs, or none; {len(runs)} were named.")
        compare_two(config, runs[0], runs[1], model=model, html=html, lang=lang, as_json=as_json)
        return
    compare(config, last=last, as_json=as_json)
    if not as_json:
        judge(shared.lake(), config)


@command(experiments, "reproduce")
@click.argument("run")
@JSON
def reproduce_(shared: Context, run: str, as_json: bool) -> None:
    """Run a training or a backtest again from its table versions and config, and say whether it comes out equal, to the bit.

    Every fit is fitted again; `latest` is the latest training.  Exit code 1 where anything differs.

    \b
    Example:  kestrel reproduce latest
    """
    from pipelines.console import Bars, say, show
    from pipelines.reproduce import reproduce, verdict

    folder, rows = reproduce(shared.config(), run, track=Bars())
    show(rows, title=f"{folder.name}, made again", as_json=as_json)
    say(verdict(folder, rows))
    sys.exit(0 if all(row["equal"] for row in rows) else 1)


@command(experiments, "promote")
@click.argument("run", required=False)
@click.option("--force", metavar="REASON", help="Promote without the evidence; the reason is recorded with the model.")
@JSON
def promote_(shared: Context, run: str | None, force: str | None, as_json: bool) -> None:
    """Make a challenger the champion if its account beat the champion's after costs, on sessions that chose neither ([promotion]).

    RUN is a training, or RUN/MODEL; default the registry's challenger.  Every trial is recorded, and counts against the next on its dates.

    \b
    Example:  kestrel promote latest/blend
    """
    from pipelines.console import show
    from pipelines.promote import promote

    config = _trained(shared)
    show([promote(shared.lake(config), config, run, force=force)], title="Champion and challenger", as_json=as_json)


@command(experiments, "holdout")
@click.option("--open", "family", metavar="FAMILY", help="Open it for a family of models; that can't be taken back.")
@click.option("--run", default="latest", show_default=True, help="The training whose models are opened.")
@JSON
def holdout_(shared: Context, family: str | None, run: str, as_json: bool) -> None:
    """Show which sessions are held out and who opened them, or open them once for a family of models (ridge, trees, ranker, …).

    \b
    Example:  kestrel --set holdout.begin=2025-07-01 holdout --open ranker
    """
    from pipelines.console import Bars, say, show
    from pipelines.ledger import Ledger
    from pipelines.opening import open_holdout

    config = _trained(shared)
    if family is None:
        say(f"Held out: {config.holdout}" if config.holdout.begin else "No sessions are held out. Name them in [holdout].")
        rows = [one._asdict() for one in Ledger(Path(config.runs) / "ledger.db").openings()]
        show(rows, title="Openings", as_json=as_json)
        return
    found = open_holdout(shared.lake(config), config, family, run, track=Bars())
    show(found.rows, title=f"{family}, before the holdout and in it", as_json=as_json)
    say(f"{found.training}\n{found.accounts}")


@command(experiments, "ui")
@click.option("--port", default=5000, show_default=True)
@click.option("--open", "open_it", is_flag=True, help="Open it in a browser.")
def ui_(shared: Context, port: int, open_it: bool) -> None:
    """Open MLflow's pages over this desk's runs, on this machine only, and print the address of a view of its accounts.

    \b
    Example:  kestrel ui --port 5001
    """
    from pipelines.views import serve

    serve(shared.config(), port, open_it=open_it)


def _trained(shared: Context) -> "Config":
    """The config named, else the latest training's."""
    from pipelines.trade import trained_config

    config = shared.config()
    return config if shared.file is not None else trained_config(config, shared.sets)
