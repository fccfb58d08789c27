"""A finished training judged: paired with what it has to beat, by year and regime, how fast its scores turn over, what they are made of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.lake import Lake
from data.panel import Axes, Floats, to_panel
from factors.judge import by_year
from factors.panel import carried
from factors.ranks import ordered
from factors.stability import rank_autocorrelation
from models.verdict import by_third, exposures, market_states, paired, replaced
from pipelines.config import Config
from pipelines.prepare import factor_panels
from pipelines.runs import DONE, read_json

Row = dict[str, Any]
RIVALS = ("lightgbm_rank", "five_factors")  # what each model is paired with, where the training has it
STYLES = {"size": "log_float_cap", "volatility": "volatility_20", "momentum": "momentum_12_1", "turnover": "turnover_20"}
BEST = 50  # stocks whose replacement is told


def verdict(lake: Lake, config: Config, folder: Path) -> dict[str, list[Row]]:
    """{"paired", "years", "regimes", "scores": rows}: see the functions below."""
    daily = pl.read_parquet(folder / "daily.parquet")
    table = pl.read_parquet(folder / "scores.parquet")
    axes = Axes(tuple(table["date"].unique().sort()), tuple(table["symbol"].unique().sort()))
    states = states_of(lake, config.universe.index, daily["date"].unique().sort().to_list())
    return {"paired": against(daily), "years": years(daily), "regimes": regimes(daily, states), "scores": made_of(lake, table, axes)}


def against(daily: pl.DataFrame, rivals: Sequence[str] = RIVALS) -> list[Row]:
    """A row for each model, horizon and rival: by how much its daily RankIC is above the rival's, with the interval of 95 %."""
    rows = []
    for horizon in daily["horizon"].unique().sort():
        series = {model: rank_ic_S for (model, _), (_, _, rank_ic_S) in _series(daily.filter(pl.col("horizon") == horizon)).items()}
        for rival in rivals:
            if rival in series:
                for model, gap in paired(series, rival).items():
                    rows.append({"model": model, "horizon": horizon, "against": rival, "rank_ic": gap.mean, "low": gap.low, "high": gap.high})
    return rows


def years(daily: pl.DataFrame) -> list[Row]:
    """A row for each model, horizon and year with its correlations."""
    return [
        {"model": model, "horizon": horizon, **row}
        for (model, horizon), (dates, ic_S, rank_ic_S) in _series(daily).items()
        for row in by_year(dates, ic_S, rank_ic_S).to_dicts()
    ]


def regimes(daily: pl.DataFrame, states: Mapping[str, Floats]) -> list[Row]:
    """A row for each model, horizon and third of the sessions by a state of the market."""
    return [
        {"model": model, "horizon": horizon, **row}
        for (model, horizon), (_, ic_S, rank_ic_S) in _series(daily).items()
        for row in by_third(states, ic_S, rank_ic_S)
    ]


def states_of(lake: Lake, index: str, dates: Sequence[Any]) -> dict[str, Floats]:
    """{state: [S]}: the index's volatility and return over the sessions before each of these dates' close; none where the lake lacks the index."""
    if not lake.has("index_bars"):
        return {}
    closes = lake.read("index_bars").filter(pl.col("index") == index).select("date", pl.col("index").alias("symbol"), "close")
    days = tuple(closes["date"].unique().sort())
    if len(days) < 2:
        return {}
    close_D = carried(to_panel(closes, "close", Axes(days, (index,))))[:, 0]
    found = market_states(close_D[1:] / close_D[:-1] - 1)
    place = {day: at for at, day in enumerate(days[1:])}
    return {name: np.array([state_D[place[day]] if day in place else np.nan for day in dates]) for name, state_D in found.items()}


def made_of(lake: Lake, table: pl.DataFrame, axes: Axes) -> list[Row]:
    """A row a model: likeness of its scores to those of one and five sessions before, share of its best that are new, correlation with styles."""
    there = lake.scan("factors").collect_schema().names() if lake.has("factors") else []
    known = {style: name for style, name in STYLES.items() if name in there}
    panels = factor_panels(lake, list(known.values()), axes) if known else {}
    rows = []
    for (model,), scores in table.partition_by("model", as_dict=True, maintain_order=True).items():
        score_SN = to_panel(scores, "score", axes)
        ranks = ordered(score_SN)
        alike = {f"autocorrelation_{lag}": rank_autocorrelation(ranks, lag=lag) for lag in (1, 5)}
        new = {f"replaced_{lag}": replaced(score_SN, best=BEST, lag=lag) for lag in (1, 5)}
        rows.append({"model": model, **alike, **new, **exposures(score_SN, {style: panels[name] for style, name in known.items()})})
    return rows


def figures(folder: Path) -> dict[tuple[str, int], Row]:
    """{(model, horizon): its line of the training's results}."""
    return {(row["model"], row["horizon"]): row for row in read_json(folder / DONE)["models"]}


def _series(daily: pl.DataFrame) -> dict[tuple[str, int], tuple[list[Any], Floats, Floats]]:
    """{(model, horizon): (dates, IC, RankIC)}."""
    parts = daily.partition_by(["model", "horizon"], as_dict=True, maintain_order=True)
    return {(str(key[0]), int(key[1])): (part["date"].to_list(), part["ic"].to_numpy(), part["rank_ic"].to_numpy()) for key, part in parts.items()}
