"""The command `kestrel`."""

from pathlib import Path

import click

from pipelines.commands import upkeep
from pipelines.commands.daily import daily
from pipelines.commands.desk import desk
from pipelines.commands.distil import students
from pipelines.commands.experiment import experiments
from pipelines.commands.factor import factors
from pipelines.commands.lake import data
from pipelines.commands.sentiment import sentiment
from pipelines.commands.shared import Context, Group


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


data.add_command(upkeep.vacuum_)
data.add_command(upkeep.restore_)
for student_command in students.commands.values():
    sentiment.add_command(student_command)
for group in (data, factors, sentiment, *desk.commands.values(), *experiments.commands.values(), *daily.commands.values()):
    main.add_command(group)
