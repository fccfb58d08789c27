"""`kestrel factors`: list, build, evaluate, prove."""

from pathlib import Path
from typing import Any

import click

from data.errors import KestrelError
from pipelines.commands.shared import DAY, JSON, Context, command, config_option


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

    del shared
    found = select([name])[0]
    facts = {"name": found.name, "family": found.family, "about": found.about, "expression": found.expr.text}
    facts |= {"needs": ", ".join(sorted(found.expr.needs)), "lookback": str(found.expr.lookback)}
    show([{"what": key, "value": value} for key, value in facts.items()])


@command(factors, "build")
@config_option
def build_(shared: Context, file: Path | None) -> None:
    """Compute every factor of factors.sets that the lake can feed; does nothing where they are current.

    \b
    Example:  kestrel --set 'factors.sets=["library", "alpha158"]' factors build
    """
    from pipelines.console import Bars, say
    from pipelines.prepare import build_factors

    config = shared.config(file)
    choice, built = build_factors(shared.lake(config), sets=config.factors.sets, scorer=config.factors.scorer, track=Bars())
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
@config_option
@click.option("--dates", default=3, show_default=True, help="Sessions to cut and poison at.")
def prove_(shared: Context, names: tuple[str, ...], file: Path | None, dates: int) -> None:
    """Prove that factors don't look ahead: cut and poison all that comes later, rescale each stock's prices, and compare.

    \b
    Example:  kestrel factors prove momentum_12_1
    """
    from pipelines.console import Bars, say
    from pipelines.evaluate import prove_on

    config = shared.config(file)
    proved, breaches = prove_on(shared.lake(config), config, names, dates, track=Bars())
    if breaches:
        lines = "\n".join(f"  {b.factor}: {b.change} moves {b.day} {b.symbol} from {b.before:g} to {b.after:g}" for b in breaches)
        raise KestrelError(f"{len(breaches)} breaches:\n{lines}\nThe factor reads what is not known yet, or mixes price bases.")
    say(f"{proved} factors: nothing later moves anything earlier.")
