"""Promote: a challenger becomes the champion where its account has beaten the champion's, after costs, on sessions that chose neither."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import KestrelError
from data.lake import Lake
from pipelines.champion import CHALLENGER, CHAMPION, aliased, register
from pipelines.config import Config
from pipelines.evidence import Contender, Evidence, fresh, weighed
from pipelines.experiments import NOTE, Experiments
from pipelines.holdout import seen
from pipelines.ledger import Ledger
from pipelines.lookup import find
from pipelines.publication import git_sha
from pipelines.runs import DONE, read_json

LEDGER = "ledger.db"
PROMOTED, REFUSED, FORCED = "promoted", "refused", "forced"


def promote(lake: Lake, config: Config, run: str | None = None, *, force: str | None = None) -> dict[str, Any]:
    """The outcome of a challenger's trial, as a row: challenger, champion, outcome, why, evidence; `promoted` or, with a reason, `forced`.

    run: a training as `find` reads it, its chosen model or RUN/MODEL; by default the registry's challenger.  Every trial counts as a look
    at its dates, and the next challenger on them must be the surer.  What came of it stands in the ledger, in MLflow, and with the model's
    version.  Raises KestrelError, and the champion stays, where evidence is missing or falls short, or a holdout is all there is to judge by.
    """
    challenger, champion = _challenger(config, run), _holder(config)
    day = lake.scan("factors").select("date").max().collect().item()
    if champion is None:
        why = f"the first one{f'; forced: {force}' if force else ''}"
        version = register(config, CHAMPION, challenger.training, challenger.model, why=why, day=day)
        return {"challenger": str(challenger), "champion": None, "outcome": PROMOTED, "why": why, "version": version}
    if challenger == champion:
        raise KestrelError(f"{challenger} is the champion already.")
    sealed = seen(lake, config.holdout)
    evidence, lacking = _tried(sealed, config, challenger, champion)
    outcome = PROMOTED if not lacking else FORCED if force else REFUSED
    why = ". ".join([*([str(evidence)] if evidence else []), *lacking, *([f"Forced: {force}"] if force and lacking else [])])
    row: dict[str, Any] = {"challenger": str(challenger), "champion": str(champion), "outcome": outcome, "why": why}
    _record(config, row, evidence, day)
    if outcome == REFUSED:
        raise KestrelError(f"{why}. The champion stays. To promote it all the same, on record: --force 'REASON'")
    more = {"evidence": why[:5000], "outcome": outcome, "over": str(champion), "git": git_sha() or "none"}
    version = register(config, CHAMPION, challenger.training, challenger.model, why=f"{outcome}: {why}", day=day, more=more)
    return {**row, "version": version}


def _challenger(config: Config, run: str | None) -> Contender:
    """The model asked for, else the registry's challenger."""
    if run is not None:
        found = find(config, run, ("train",))
        return Contender(found.folder, found.model or str(read_json(found.folder / DONE)["chosen"]))
    tags = aliased(config, CHALLENGER)
    if tags is None:
        raise KestrelError("The registry has no challenger. Run: kestrel retrain, or name a training: kestrel promote latest")
    return Contender(Path(config.runs) / tags["training"], tags["model"])


def _holder(config: Config) -> Contender | None:
    """The champion; None where there is none yet."""
    tags = aliased(config, CHAMPION)
    if tags is None:
        return None
    training = Path(config.runs) / tags["training"]
    if not (training / DONE).is_file():
        raise KestrelError(f"The champion is of {training.name}, which isn't in {config.runs}, so nothing can be held against it. Restore it.")
    return Contender(training, tags["model"])


def _tried(lake: Lake, config: Config, challenger: Contender, champion: Contender) -> tuple[Evidence | None, list[str]]:
    """(what the trial showed, what is missing or falls short); too few sessions are no trial, and nothing is looked at."""
    dates, asked = fresh(lake, challenger, champion), config.promotion
    if len(dates) < asked.sessions:
        chose = f"; holdout.begin hides those from {config.holdout.begin} on" if config.holdout.begin else ""
        since = f" from {dates[0]} to {dates[-1]}" if dates else ""
        return None, [
            f"{challenger} can't be tried against {champion}: {len(dates)} sessions{since} chose neither of them, and promotion.sessions asks for "
            f"{asked.sessions}{chose}. Wait for more, or train with a validation period that ends earlier"
        ]
    tried = _tries(Ledger(Path(config.runs) / LEDGER), str(challenger), dates)
    found = weighed(lake, config, challenger, champion, dates, level=1 - 2 * asked.chance / tried, block=asked.block)
    if found.gain.low > asked.gain:
        return found, []
    short = f"It had to be above {asked.gain:+.2%} a year throughout the interval, and misses that by {asked.gain - found.gain.low:.2%}"
    return found, [short + (f" (try {tried} of these dates, so the interval is wider)" if tried > 1 else "")]


def _tries(ledger: Ledger, challenger: str, dates: list[date]) -> int:
    """Challengers tried on dates that overlap, this one included."""
    first, last = dates[0].isoformat(), dates[-1].isoformat()
    looked = {one["challenger"] for one in ledger.promotions() if one["first"] and one["first"] <= last and one["last"] >= first}
    return len(looked | {challenger})


def _record(config: Config, row: dict[str, Any], evidence: Evidence | None, day: date) -> None:
    """The trial in the ledger and as a run of its own in MLflow."""
    ledger, plain = Ledger(Path(config.runs) / LEDGER), {} if evidence is None else evidence.plain()
    first, last = (evidence.dates[0], evidence.dates[-1]) if evidence else (None, None)
    if evidence is not None:
        ledger.record("promotion", [row["challenger"]], evidence.dates[0], evidence.dates[-1])
    ledger.promote(row["challenger"], row["champion"], first, last, row["outcome"], {**plain, "why": row["why"]})
    store = Experiments(Path(config.runs), config.tracking)
    tags = {"kestrel.kind": "promotion", **{f"kestrel.{key}": row[key] for key in ("outcome", "challenger", "champion")}}
    metrics = {"sessions": 0.0}
    if evidence is not None:
        gain = evidence.gain
        metrics = {"gain_a_year": gain.mean, "gain_low": gain.low, "gain_high": gain.high, "rank_ic_gain": evidence.rank_ic.mean}
        metrics |= {"sessions": float(len(evidence.dates)), "level": evidence.level}
    name = f"{row['outcome']}: {row['challenger']} against {row['champion']}"
    run = store.log(name, tags={**tags, NOTE: row["why"], "kestrel.session": str(day)}, metrics=metrics)
    if evidence is not None:
        store.series(run, "ahead", evidence.dates, np.expm1(np.cumsum(evidence.gap_D)))
