"""The commands about experiments: compare them, run them again, promote a model, open a holdout, look at MLflow."""

import sys
from pathlib import Path

import click

from pipelines.commands.shared import JSON, Context, command

experiments = click.Group()


@command(experiments, "compare")
@click.argument("runs", nargs=-1, metavar="[A B]")
@click.option("--last", default=20, show_default=True, help="How many runs, where none is named.")
@click.option("--model", help="One model of both runs; default the one that each chose on validation dates.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the comparison as a page, too.")
@JSON
def compare_(shared: Context, runs: tuple[str, ...], last: int, model: str | None, html: Path | None, as_json: bool) -> None:
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
        compare_two(config, runs[0], runs[1], model=model, html=html, as_json=as_json)
        return
    compare(config, last=last, as_json=as_json)
    if not as_json:
        judge(shared.lake(), config)


@command(experiments, "reproduce")
@click.argument("run")
@JSON
def reproduce_(shared: Context, run: str, as_json: bool) -> None:
    """Run a training or a backtest again from its table versions and config, and say whether it comes out equal, to the bit.

    Every fit is fitted again.  Exit code 1 where anything differs.

    \b
    Example:  kestrel reproduce latest
    """
    from pipelines.console import Bars, say, show
    from pipelines.reproduce import reproduce, verdict

    folder, rows = reproduce(shared.config(), run, track=Bars())
    show(rows, title=f"{folder.name}, made again", as_json=as_json)
    say(verdict(folder, rows))
    sys.exit(0 if all(row["equal"] for row in rows) else 1)
