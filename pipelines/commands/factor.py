"""`kestrel factors`: list, build, evaluate, prove."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from data.errors import KestrelError
from pipelines.commands.shared import DAY, JSON, Context, command, config_option

WEIGHINGS = ("equal", "ic", "icir", "max_icir")


@click.group()
def factors() -> None:
    """Factors: list, build, evaluate, prove."""


@command(factors, "list")
@click.option("--family", help="One family only.")
@JSON
def list_(shared: Context, family: str | None, as_json: bool) -> None:
    """List all factors, and which of them this lake can't feed.

    \b
    Example:  kestrel factors list --family value
    """
    from pipelines.console import show
    from pipelines.look import factor_rows

    config = shared.config()
    show(factor_rows(config.lake, family), title="Factors", as_json=as_json)


@command(factors, "show")
@click.argument("name")
def show_factor(shared: Context, name: str) -> None:
    """Show one factor: its paragraph, expression, inputs and lookback.

    \b
    Example:  kestrel factors show amihud_20
    """
    from factors.registry import select
    from pipelines.console import show

    shared.config()  # and with it the modules that it names
    found = select([name])[0]
    facts = {"name": found.name, "family": found.family, "about": found.about, "expression": found.expr.text}
    facts |= {"needs": ", ".join(sorted(found.expr.needs)), "lookback": str(found.expr.lookback)}
    show([{"what": key, "value": value} for key, value in facts.items()])


@command(factors, "build")
@config_option
def build_(shared: Context, file: Path | None) -> None:
    """Bring the factor table up to date: what is new or redefined over all sessions, the rest from the first change of the data on.

    \b
    Example:  kestrel --set 'factors.sets=["library", "alpha158"]' factors build
    """
    from pipelines.build import build_factors
    from pipelines.console import Bars, say

    config = shared.config(file)
    choice, work = build_factors(shared.lake(config), config, track=Bars())
    say(f"{len(choice.available)} factors {work}.")
    for name, reason in choice.unavailable.items():
        say(f"  unavailable: {name} {reason}")


@command(factors, "evaluate")
@click.argument("names", nargs=-1)
@config_option
@click.option("--expr", "texts", multiple=True, help="An expression to judge, such as 'rank(ts_corr(close, volume, 10))'; may be repeated.")
@click.option("--start", type=DAY, help="First session; default the walk's first test date.")
@click.option("--end", type=DAY, help="Last session.")
@click.option("--neutral", multiple=True, metavar="NAME", help="Neutralise first: industry, or a factor such as log_float_cap; may be repeated.")
@click.option("--entry", type=click.Choice(["open", "close", "vwap"]), help="Price of the entry; default labels.entry.")
@click.option("--combine", "combined", multiple=True, type=click.Choice(WEIGHINGS), help="Judge the factors weighed into one too, by past ICs.")
@click.option("--cost", type=click.FloatRange(0, 0.05), help="Cost of a trade a side, as a fraction; default 0.0008.")
@click.option("--top", type=click.IntRange(0), default=10, show_default=True, help="Factors that get a sheet of their own on the page.")
@JSON
def evaluate_(shared: Context, names: tuple[str, ...], file: Path | None, as_json: bool, **options: Any) -> None:
    """Evaluate factors: RankIC, its t and p adjusted for all that was ever tried, decay, quantiles net of costs, turnover, likeness and more.

    The table shows the main figures, best first; the HTML page all of them with plots, its JSON beside it.

    \b
    Example:  kestrel factors evaluate
              kestrel factors evaluate reversal_20 turnover_20 --start 2017-01-01 --neutral log_float_cap --combine icir
              kestrel factors evaluate --expr '-rank(ts_corr(close, volume, 10))'
    """
    from pipelines.console import Bars, say, show
    from pipelines.evaluate import evaluate, shown

    config = shared.config(file)
    found = evaluate(shared.lake(config), config, names, track=Bars(), **options)
    show(found.rows if as_json else shown(found.rows), title="Factors by 5-session RankIC", as_json=as_json)
    say(f"Evaluations so far on dates that overlap these: {found.tries}.  Tear sheet: {found.page}")


@command(factors, "prove")
@click.argument("names", nargs=-1)
@config_option
@click.option("--all", "every", is_flag=True, help="The factors of all sets, not only of factors.sets.")
@click.option("--dates", default=3, show_default=True, type=click.IntRange(1), help="Sessions to cut and poison at.")
def prove_(shared: Context, names: tuple[str, ...], file: Path | None, every: bool, dates: int) -> None:
    """Prove that factors can be trusted: change what must not matter, above all what comes later, and compare to the bit.

    All tables are cut and poisoned after each date, rows shuffled, a stock removed, each stock's price history multiplied by a constant,
    money counted in another currency, and columns emptied.

    \b
    Example:  kestrel factors prove momentum_12_1
              kestrel factors prove --all --dates 6
    """
    from factors.registry import SETS
    from pipelines.build import asked
    from pipelines.console import Bars, say
    from pipelines.proof import prove_on

    config = shared.config(file)
    wanted = replace(asked(config), sets=tuple(SETS)) if every else asked(config)
    proved, breaches = prove_on(shared.lake(config), wanted, names, dates, track=Bars())
    if breaches:
        lines = "\n".join(f"  {b.factor}: {b.change} moves {b.day} {b.symbol} from {b.before:g} to {b.after:g}" for b in breaches)
        raise KestrelError(f"{len(breaches)} breaches:\n{lines}\nThe factor reads what is not known yet, or mixes price bases.")
    say(f"{proved} factors: nothing that must not matter moves them.")
