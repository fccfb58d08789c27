"""`kestrel sentiment`: score, cost, calibrate, audit."""

from contextlib import closing
from datetime import date, datetime
from pathlib import Path

import click

from data.errors import KestrelError
from pipelines.commands.shared import DAY, JSON, Context, command, config_option

START = click.option("--start", type=DAY, help="First day of publication.")
END = click.option("--end", type=DAY, help="Last day of publication.")


@click.group()
def sentiment() -> None:
    """Sentiment: score the lake's news, say what that costs, calibrate and audit a scorer."""


@command(sentiment, "score")
@config_option
@START
@END
@click.option("--limit", type=click.IntRange(1), help="At most so many pieces that aren't scored yet, the oldest first.")
@click.option("--retry-failed", is_flag=True, help="Try again what failed before.")
@JSON
def score_(
    shared: Context, file: Path | None, start: datetime | None, end: datetime | None, limit: int | None, retry_failed: bool, as_json: bool
) -> None:
    """Score the lake's news by sentiment.scorer into news_scores; what is scored costs nothing again.

    \b
    Example:  kestrel sentiment score
              kestrel --set sentiment.scorer=openai --set sentiment.server.url=http://127.0.0.1:8000/v1 sentiment score --limit 500
    """
    from pipelines.console import say, show
    from pipelines.meter import Meter
    from pipelines.sentiment import score, scorer_of

    config = shared.config(file)
    with closing(Meter()) as meter:
        scorer = scorer_of(config.sentiment, report=meter, retry=retry_failed)
        done = score(shared.lake(config), config.sentiment, scorer, start=_day(start), end=_day(end), limit=limit)
    reasons, stopped = done.pop("reasons"), done.pop("stopped")
    show([done], title="Scored", as_json=as_json)
    for reason, count in reasons[:10]:
        say(f"{count} failed: {reason}")
    if stopped:
        raise KestrelError(f"Not all was scored: {stopped}")


@command(sentiment, "cost")
@config_option
@START
@END
@JSON
def cost_(shared: Context, file: Path | None, start: datetime | None, end: datetime | None, as_json: bool) -> None:
    """Say what scoring would cost, without asking anyone, and what was spent so far.

    \b
    Example:  kestrel --set sentiment.server.provider=deepseek --set sentiment.server.model=deepseek-reasoner sentiment cost
    """
    from pipelines.console import show
    from pipelines.sentiment import bill, estimate

    config = shared.config(file)
    rows = estimate(shared.lake(config), config.sentiment, start=_day(start), end=_day(end))
    show(rows, title="Estimate", as_json=as_json)
    spent = bill(config.sentiment)
    if spent and not as_json:
        show(spent, title=f"Spent, by {config.sentiment.cache}")


@command(sentiment, "calibrate")
@click.argument("labelled", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@click.option("--before", type=DAY, help="Look at labels before this day only.")
@JSON
def calibrate_(shared: Context, labelled: Path, file: Path | None, before: datetime | None, as_json: bool) -> None:
    """Fit sentiment.calibration.temperature on labelled news of the past: a CSV or Parquet file with title, label (-1, 0, 1) and date.

    \b
    Example:  kestrel sentiment calibrate labelled.csv --before 2024-01-01
    """
    from pipelines.console import show
    from pipelines.meter import Meter
    from pipelines.sentiment import calibrated

    config = shared.config(file)
    with closing(Meter()) as meter:
        found = calibrated(config.sentiment, labelled, before=_day(before), report=meter)
    show([found], title="--set sentiment.calibration.temperature=...", as_json=as_json)


@command(sentiment, "audit")
@config_option
@START
@END
@click.option("--attacks", is_flag=True, help="Attack the scorer instead, and show the share of scores that move.")
@click.option("--horizon", default=1, show_default=True, help="Sessions that returns are held, from the open after the news.")
@click.option("--cutoff", type=DAY, help="Last day of the model's training data: compare the IC before and after it.")
@click.option("--limit", default=2000, show_default=True, help="Pieces audited, spread over the span; each is scored four times.")
@JSON
def audit_(
    shared: Context,
    file: Path | None,
    start: datetime | None,
    end: datetime | None,
    attacks: bool,
    horizon: int,
    cutoff: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Audit a scorer: does it know the future (raw, masked and swapped news, names alone), or can it be talked into a score?

    \b
    Example:  kestrel sentiment audit --cutoff 2024-07-31
              kestrel sentiment audit --attacks
    """
    from pipelines.console import say, show
    from pipelines.holdout import seen
    from pipelines.meter import Meter
    from pipelines.sentiment import attacked, audited, scorer_of, verdict_rows

    config = shared.config(file)
    with closing(Meter()) as meter:
        scorer = scorer_of(config.sentiment, report=meter)
        if attacks:
            show(attacked(scorer), title=f"Attacks on {scorer.name}", as_json=as_json)
            return
        lake, last = seen(shared.lake(config), config.holdout), _day(cutoff)
        verdict = audited(lake, config.sentiment, scorer, horizon=horizon, cutoff=last, limit=limit, start=_day(start), end=_day(end))
    show(verdict_rows(verdict), title=f"IC of {scorer.name} with the market-adjusted return over {horizon} sessions, 95 % interval", as_json=as_json)
    if verdict.breaches:
        raise KestrelError("\n".join(verdict.breaches))
    say("Nothing shows that the scorer knows the future.")


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None
