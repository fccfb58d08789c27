"""Sentiment: the lake's news through a scorer into news_scores, what that would cost, and what a scorer knows that it shouldn't."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from data.errors import KestrelError
from data.lake import Lake
from data.links import Links, linked, links, read_aliases
from data.panel import to_panels
from data.publication import ZONE, sessions_known
from factors.panel import axes_of
from models.labels import COLUMNS, LabelSettings, labels
from models.sentiment.answers import Answer, Failure, News, Scorer
from models.sentiment.attacks import assault, by_kind, suite
from models.sentiment.audit import Verdict, audit
from models.sentiment.cache import Cache
from models.sentiment.defence import quarantine
from models.sentiment.disguises import Names
from models.sentiment.duplicates import leaders
from models.sentiment.labels import fit_temperature
from models.sentiment.prices import Usage, prices, yuan
from models.sentiment.prompts import prompt
from models.sentiment.runner import Report, unreported
from models.sentiment.scorers import kind
from models.sentiment.server import Surroundings
from models.sentiment.settings import SentimentSettings
from pipelines.given import read_rows

CHUNK = 20_000  # pieces between two writes of news_scores
BYTES_A_TOKEN = 3.47  # of our prompts over the research pack's titles in R1's tokenizer


def scorer_of(settings: SentimentSettings, *, report: Report = unreported, retry: bool = False) -> Scorer:
    """The scorer that the settings name.  A server's key comes from the environment alone."""
    entry = kind(settings.scorer)
    key = os.environ.get(settings.server.key, "") if entry.keyed else ""
    return entry.make(settings, lambda: Cache(settings.cache), Surroundings(now=now, key=key, report=report, retry=retry))


def now() -> datetime:
    """The time in Shanghai, without its zone."""
    return datetime.now(ZoneInfo(ZONE)).replace(tzinfo=None)


def pieces(lake: Lake, settings: SentimentSettings, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
    """(id, symbol, name, title, body, day) of the lake's news between two days of publication, a row a company that a piece names, oldest first."""
    if not lake.has("news"):
        raise KestrelError("The lake has no news. Import some: kestrel data import FOLDER --mapping FILE, or: kestrel data fetch news")
    day = pl.col("published_at").dt.date()
    news = lake.read("news").filter((day >= start) if start else pl.lit(value=True), (day <= end) if end else pl.lit(value=True))
    known = known_links(lake, settings)
    rows = linked(news, known).sort("published_at", "id").explode("symbols").rename({"symbols": "symbol"}).filter(pl.col("symbol").is_not_null())
    rows = rows.with_columns(day.alias("day"))
    named = [known.name(symbol, when) or symbol[:6] for symbol, when in rows.select("symbol", "day").iter_rows()]
    return rows.with_columns(pl.Series("name", named, dtype=pl.String)).select("id", "symbol", "name", "title", "body", "day")


def known_links(lake: Lake, settings: SentimentSettings) -> Links:
    """Names and aliases of the lake's companies."""
    names = lake.read("names") if lake.has("names") else None
    return links(lake.read("securities"), names, read_aliases(Path(settings.aliases)) if settings.aliases else None)


def news_of(rows: pl.DataFrame) -> list[News]:
    """The rows as what scorers read."""
    return [News(*row) for row in rows.select("id", "symbol", "name", "title", pl.col("body").fill_null("")).iter_rows()]


def score(
    lake: Lake, settings: SentimentSettings, scorer: Scorer, *, start: date | None = None, end: date | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Score what this scorer hasn't scored yet, and write news_scores as it goes; what happened, in numbers.

    Near-duplicates take the score of the piece that was published first, where a score is dear.
    """
    rows = pieces(lake, settings, start=start, end=end)
    done = _scored(lake, scorer.name)
    todo = rows.join(done, on=["id", "symbol"], how="anti", maintain_order="left").head(limit if limit is not None else rows.height)
    news = news_of(todo)
    first = leaders(news, settings.near) if kind(settings.scorer).dear else list(range(len(news)))
    alone = [place for place, leader in enumerate(first) if leader == place]
    found: dict[int, Answer | Failure] = {}
    for begin in range(0, len(alone), CHUNK):
        places = alone[begin : begin + CHUNK]
        answers = scorer.score([news[place] for place in places])
        found |= dict(zip(places, answers, strict=True))
        _write(lake, scorer.name, [(news[place], found[place]) for place in places])
        if getattr(scorer, "stopped", None):
            break
    again = [(news[place], _free(found[leader])) for place, leader in enumerate(first) if leader != place and leader in found]
    _write(lake, scorer.name, again)
    reasons = [answer.reason for answer in found.values() if isinstance(answer, Failure)]
    answered = [answer for answer in found.values() if isinstance(answer, Answer)]
    return {
        "scorer": scorer.name,
        "pieces": rows.height,
        "scored_before": rows.height - rows.join(done, on=["id", "symbol"], how="anti").height,
        "scored": len(answered),
        "near_duplicates": len(again),
        "failed": len(reasons),
        "tokens": sum(answer.tokens for answer in answered),
        "cost_cny": yuan(sum(answer.cost for answer in answered)),
        "reasons": sorted({reason: reasons.count(reason) for reason in reasons}.items(), key=lambda item: (-item[1], item[0])),
        "stopped": getattr(scorer, "stopped", None),
    }


def estimate(lake: Lake, settings: SentimentSettings, *, start: date | None = None, end: date | None = None) -> list[dict[str, Any]]:
    """What scoring would cost, at most and if models think half their cap, without a call; a row a way of asking.

    Counts every piece of the span, scored or not, once a near-duplicate group.
    """
    news = news_of(pieces(lake, settings, start=start, end=end))
    asked = [piece for piece in news if not quarantine((piece.title, piece.body))]
    first = leaders(asked, settings.near)
    alone = [piece for place, piece in enumerate(asked) if first[place] == place]
    words, thinks = prompt(settings.prompt), settings.thinking
    short = 2 if words.event else 1  # calls of one token
    fixed = round(len(words.instruction.encode()) / BYTES_A_TOKEN)
    given = sum(round(len(words.render(piece).encode()) / BYTES_A_TOKEN) for piece in alone) * thinks.samples
    table = Path(settings.spending.prices) if settings.spending.prices else None
    rows = prices(settings.server.provider, settings.server.model, file=table, allow_unpriced=settings.spending.allow_unpriced)
    price, found = rows.at(now()), []
    for what, share in (("thinks half the cap", 0.5), ("thinks up to the cap", 1.0)):
        written = round(thinks.cap * share) * thinks.samples * len(alone)
        hit = fixed * thinks.samples * max(len(alone) - 1, 0)
        # The call of the answer, and that of an event, read prompt and thought again; a prefix cache has them.
        usage = Usage(hit=hit + short * (given + written), miss=given - hit, output=written + short * thinks.samples * len(alone))
        facts = {"pieces": len(news), "quarantined": len(news) - len(asked), "near_duplicates": len(asked) - len(alone), "asked": len(alone)}
        found.append({"what": what, **facts, **asdict(usage), "cost_cny": yuan(price.cost(usage)), "cap_cny": settings.spending.cap})
    return found


def bill(settings: SentimentSettings) -> list[dict[str, Any]]:
    """What was spent so far, a row a month."""
    if not Path(settings.cache).is_file():
        return []
    cache = Cache(settings.cache)
    try:
        return cache.bill()
    finally:
        cache.close()


def calibrated(settings: SentimentSettings, file: Path, *, before: date | None, report: Report = unreported) -> dict[str, Any]:
    """The temperature that fits a file of labelled news best: title, label (-1, 0, 1) and, for `before`, date.

    Labels on or after `before` aren't looked at, so that what is scored from then on is calibrated on the past.
    """
    try:
        rows = read_rows(file, "labels")
        rows = rows.filter(pl.col("date").cast(pl.Date) < before) if before else rows
        titles, classes = rows["title"].to_list(), rows["label"].to_numpy().astype(np.int64)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise KestrelError(f"{file} has no labelled news: {str(error).splitlines()[0]}. It needs title, label and, for --before, date.") from None
    if not set(classes.tolist()) <= {-1, 0, 1} or len(set(classes.tolist())) < 2:
        raise KestrelError(f"{file}: labels are {sorted(set(classes.tolist()))}. They are -1, 0 and 1, and two of them are needed.")
    plain = settings.model_copy(update={"calibration": settings.calibration.model_copy(update={"temperature": 1.0})})
    found = scorer_of(plain, report=report).score([News("", "", "公司", title) for title in titles])
    kept = [place for place, answer in enumerate(found) if isinstance(answer, Answer)]
    if not kept:
        raise KestrelError(f"None of {len(titles)} pieces was answered: {next(a.reason for a in found if isinstance(a, Failure))}")
    probabilities = np.array([answer.probabilities for answer in found if isinstance(answer, Answer)])
    return {"labelled": len(titles), "answered": len(kept), "temperature": round(fit_temperature(probabilities, classes[kept]), 3)}


def attacked(scorer: Scorer) -> list[dict[str, Any]]:
    """A row a kind of attack: how much of it reaches a model, and the share of scores that it moves."""
    return by_kind(assault(scorer, *suite()))


def audited(
    lake: Lake, settings: SentimentSettings, scorer: Scorer, *, horizon: int, cutoff: date | None, limit: int, start: date | None, end: date | None
) -> Verdict:
    """Raw, masked and swapped news and names alone against the market-adjusted return over `horizon` sessions from the next open.

    At most `limit` pieces, spread evenly over the span.
    """
    rows = pieces(lake, settings, start=start, end=end)
    bars = lake.read("bars", columns=["date", "symbol", *COLUMNS])
    axes = axes_of(bars, lake.read("calendar"))
    latency = timedelta(minutes=settings.latency)
    known = sessions_known(lake.read("news"), axes.dates, latency=latency).select("id", "date")
    rows = rows.join(known, on="id", how="inner", maintain_order="left").filter(pl.col("symbol").is_in(list(axes.symbols)))
    if rows.height > limit:
        rows = rows[np.linspace(0, rows.height - 1, limit).astype(int).tolist()]
    panels = to_panels(bars, list(COLUMNS), axes)
    trading = (panels["is_trading"] == 1) & (panels["volume"] > 0)
    y_DN = labels(panels, trading, LabelSettings(horizons=(horizon,)), price_basis=lake.price_basis)[0][..., 0]
    place, column = ({value: at for at, value in enumerate(values)} for values in (axes.dates, axes.symbols))
    returns = np.array([y_DN[place[day], column[symbol]] for day, symbol in rows.select("date", "symbol").iter_rows()], dtype=np.float64)
    names = Names.of(list(known_links(lake, settings).held))
    return audit(scorer, news_of(rows), rows["date"].to_list(), returns, names=names, cutoff=cutoff)


def verdict_rows(verdict: Verdict) -> list[dict[str, Any]]:
    """An audit as rows."""
    return [asdict(row) for row in verdict.rows]


def _scored(lake: Lake, name: str) -> pl.DataFrame:
    """(id, symbol) of what this scorer has scored."""
    if not lake.has("news_scores"):
        return pl.DataFrame(schema={"id": pl.String, "symbol": pl.String})
    return lake.read("news_scores").filter(pl.col("scorer") == name).select("id", "symbol")


def _write(lake: Lake, name: str, found: Sequence[tuple[News, Answer | Failure]]) -> None:
    """Add these scores to news_scores, in one commit."""
    rows = [
        {
            "id": piece.id,
            "symbol": piece.symbol,
            "scorer": name,
            "p_negative": answer.p_negative,
            "p_neutral": answer.p_neutral,
            "p_positive": answer.p_positive,
            "score": answer.score,
            "tokens": answer.tokens,
            "cost": yuan(answer.cost),
            "event": answer.event,
        }
        for piece, answer in found
        if isinstance(answer, Answer)
    ]
    if not rows:
        return
    new = pl.DataFrame(rows, schema_overrides={"event": pl.String})
    if lake.has("news_scores"):
        old = lake.read("news_scores").join(new, on=["id", "symbol", "scorer"], how="anti")
        new = pl.concat([old, new.select(old.columns)], how="vertical_relaxed")
    lake.write("news_scores", new)


def _free(answer: Answer | Failure) -> Answer | Failure:
    """The answer of a piece that nobody had to be asked about."""
    return answer.free if isinstance(answer, Answer) else answer
