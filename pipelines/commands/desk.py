"""The commands of a desk's day: train, backtest, sweep, report, and the house around them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.commands.shared import JSON, LANG, Context, command, config_option

if TYPE_CHECKING:
    from backtest.report.labels import Lang
    from pipelines.config import Config
    from pipelines.trade import Source

desk = click.Group()


@command(desk, "train")
@config_option
def train_(shared: Context, file: Path | None) -> None:
    """Train every fold, model and seed of the config, walk-forward; a second run completes the first.

    Under torchrun the networks train in all of its processes, each on its share of a step's sessions; the first one writes and speaks.

    \b
    Example:  kestrel train -c examples/csi500.toml
              torchrun --nproc-per-node=2 --no-python kestrel train -c examples/csi500.toml
    """
    from pipelines.console import Bars, say
    from pipelines.diary import log_training
    from pipelines.present import show_training
    from pipelines.train import train
    from pipelines.usage import Usage

    config = shared.config(file)
    with Usage() as usage:
        folder, done = train(shared.lake(config), config, track=Bars())
    if os.environ.get("RANK", "0") != "0":
        return  # one of torchrun's other processes, which has helped
    if not done:
        say(f"{folder} is complete already.")
    log_training(folder, config, usage if done else None)
    show_training(folder, config)


@command(desk, "backtest")
@config_option
@click.option("--scores", "scores_path", type=click.Path(path_type=Path), help="Scores from anywhere: CSV or Parquet with date, symbol, score.")
@JSON
def backtest_(shared: Context, file: Path | None, scores_path: Path | None, as_json: bool) -> None:
    """Trade the latest training's scores (or a file's) under the exchange's rules, against the CSI 500 with dividends.

    \b
    Example:  kestrel --set backtest.simulation.deal=close backtest
    """
    from pipelines.console import Bars, say
    from pipelines.diary import log_backtest
    from pipelines.present import show_backtest
    from pipelines.trade import backtest
    from pipelines.usage import Usage

    config, source = traded(shared, file, scores_path)
    with Usage() as usage:
        folder, done = backtest(shared.lake(config), config, source, track=Bars())
    if not done:
        say(f"{folder} is complete already.")
    log_backtest(folder, config, source, usage if done else None)
    show_backtest(folder, as_json=as_json)


@command(desk, "sweep")
@config_option
@click.option("--scores", "scores_path", type=click.Path(path_type=Path), help="Scores from anywhere: CSV or Parquet with date, symbol, score.")
@click.option("--model", help="One model's scores; default the one chosen on validation dates.")
@LANG
@JSON
def sweep_(shared: Context, file: Path | None, scores_path: Path | None, model: str | None, lang: "Lang", as_json: bool) -> None:
    """Trade every combination of the config's [sweep] and say how much of the best is luck; the page of heatmaps lies in the run's folder.

    \b
    Example:  kestrel --set sweep.k='[30, 50]' sweep --model blend
    """
    from pipelines.console import Bars, say
    from pipelines.diary import log_sweep
    from pipelines.present import show_sweep
    from pipelines.sweep import run_sweep
    from pipelines.usage import Usage

    config, source = traded(shared, file, scores_path)
    with Usage() as usage:
        folder, done = run_sweep(shared.lake(config), config, source, model=model, lang=lang, track=Bars())
    if not done:
        say(f"{folder} is complete already.")
    log_sweep(folder, config, usage if done else None, track=Bars())
    show_sweep(folder, as_json=as_json)


@command(desk, "fits")
@click.option("--delete", is_flag=True, help="Delete those that no training names.")
@JSON
def fits_(shared: Context, delete: bool, as_json: bool) -> None:
    """List what was fitted, how long it took, and which trainings name it.

    \b
    Example:  kestrel fits --delete
    """
    from pipelines.present import show_fits

    show_fits(Path(shared.config().runs), delete=delete, as_json=as_json)


@command(desk, "report")
@click.argument("run", default="latest")
@click.option("--model", help="One model's account; default the one chosen on validation dates.")
@LANG
@click.option("--open", "open_it", is_flag=True, help="Open it in a browser.")
def report_(shared: Context, run: str, model: str | None, lang: "Lang", open_it: bool) -> None:
    """Write a backtest's HTML report and print where.

    \b
    Example:  kestrel report latest --lang zh --open
    """
    from pipelines.diary import log_page
    from pipelines.report import report

    config = shared.config()
    page = report(shared.lake(config), config, run, model, lang)
    log_page(page, config)
    click.echo(str(page))
    if open_it:
        click.launch(str(page))


def traded(shared: Context, file: Path | None, scores_path: Path | None) -> "tuple[Config, Source]":
    """The scores of a file or of the latest training, and the config to trade them by: where none is named, the training's own."""
    from pipelines.trade import scores_file, trained_config, trained_scores

    config = shared.config(file)
    if scores_path:
        return config, scores_file(scores_path)
    source = trained_scores(Path(config.runs))
    return (trained_config(config, shared.sets) if file is None and shared.file is None else config), source


@command(desk, "demo")
@click.option("--folder", default="demo", show_default=True, type=click.Path(path_type=Path), help="Where it works; nothing else is touched.")
@click.option("--stocks", default=800, show_default=True, help="How many; 100 are enough to see that everything runs.")
def demo_(shared: Context, folder: Path, stocks: int) -> None:
    """Run it all on a simulated market: factors, models, backtest, signal, report; no network, under three minutes.

    \b
    Example:  kestrel demo --folder demo
    """
    from pipelines.demo import demo

    del shared
    demo(folder, stocks=stocks)


@command(desk, "doctor")
def doctor_(shared: Context) -> None:
    """Look at this machine, the packages, the lake and the calendar, and say what to mend.

    \b
    Example:  kestrel doctor
    """
    from pipelines.doctor import doctor

    doctor(shared.config())


@command(desk, "config")
@config_option
def config_(shared: Context, file: Path | None) -> None:
    """Print the resolved config as JSON.

    \b
    Example:  kestrel config -c examples/csi500.toml
    """
    click.echo(shared.config(file).model_dump_json(indent=1))
