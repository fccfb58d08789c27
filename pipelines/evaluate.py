"""Evaluate and prove factors on a lake: tables for the terminal, plots in one HTML page."""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import KestrelError
from data.lake import Lake
from data.panel import to_panels
from data.progress import Track, silent
from factors.build import choose
from factors.evaluate import Evaluation
from factors.evaluate import evaluate as evaluated
from factors.panel import axes_of, build_panel
from factors.prove import Breach, prove
from factors.registry import select
from models.labels import COLUMNS, labels
from pipelines.config import Config
from pipelines.ledger import Ledger
from pipelines.prepare import chosen_names, clean_panels, current_factors, digest, factor_panels, present, tables_of

HORIZONS = (1, 2, 5, 10, 20)  # the decay of a factor
MAIN = 5


def evaluate(
    lake: Lake,
    config: Config,
    names: Sequence[str] = (),
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    neutral: Sequence[str] = (),
    entry: str | None = None,
    track: Track = silent,
) -> tuple[list[dict[str, Any]], Path, int]:
    """(a row a factor by |RankIC|, the HTML page, evaluations so far on overlapping dates).

    Returns are those of the members of the date that traded, from the entry of the next session on, raw (not in excess).
    """
    key = current_factors(lake)
    bars = lake.read("bars", columns=["date", "symbol", *COLUMNS])
    axes = axes_of(bars, lake.read("calendar"))
    there = [name for name in lake.scan("factors").collect_schema().names() if name not in ("date", "symbol")]
    wanted = [factor.name for factor in select(names)] if names else chosen_names(config, there)
    missing = [name for name in wanted if name not in there]
    if missing:
        raise KestrelError(f"This lake has no {', '.join(missing)}. What each factor needs: kestrel factors list")
    panels = to_panels(bars, list(COLUMNS), axes)
    present_DN = present(config.universe, lake, (panels["is_trading"] == 1) & (panels["volume"] > 0), axes)
    settings = config.labels.model_copy(update={"horizons": HORIZONS, "excess": False, "entry": entry or config.labels.entry})
    y_DNH, _ = labels(panels, present_DN, settings, price_basis=lake.price_basis)
    values = clean_panels(factor_panels(lake, wanted, axes), config.factors.clean.model_copy(update={"neutralise": tuple(neutral)}), lake, axes)
    first = axes.index(start.date() if start else config.walk.first or axes.dates[0])
    last = axes.index(end.date()) if end else len(axes.dates) - 1
    part = slice(first, min(last, len(axes.dates) - 1) + 1)
    if part.start >= part.stop:
        raise KestrelError(f"No session between --start and --end: the data cover {axes.dates[0]} to {axes.dates[-1]}.")
    cut = {name: panel[part] for name, panel in values.items()}
    found = evaluated(cut, y_DNH[part], HORIZONS, present_DN[part], axes.dates[part], main=MAIN, track=track)
    ideas = [f"{name}:{key[:10]}:{','.join(neutral)}" for name in wanted]
    count = Ledger(Path(config.runs) / "ledger.db").record("factor", ideas, axes.dates[first], axes.dates[part.stop - 1])
    page = Path(config.runs) / f"factors-{digest({'names': wanted, 'key': key, 'neutral': neutral, 'span': [first, part.stop]})}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(factor_page(found, [str(day) for day in axes.dates[part]]), encoding="utf-8")
    return table(found), page, count


def table(found: Evaluation) -> list[dict[str, Any]]:
    """One row a factor: its figures at the main horizon, and RankIC along the others, best first."""
    rows = []
    for name, group in found.summary.partition_by("factor", as_dict=True, maintain_order=True).items():
        main = group.filter(group["horizon"] == MAIN).row(0, named=True)
        decay = {f"rank_ic_{row['horizon']}": row["rank_ic"] for row in group.iter_rows(named=True) if row["horizon"] != MAIN}
        kept = ("ic", "icir", "rank_ic", "rank_icir", "t", "spread", "coverage", "rank_autocorrelation")
        rows.append({"factor": name[0], **{key: main[key] for key in kept}, **decay})
    return sorted(rows, key=lambda row: -abs(row["rank_ic"]) if np.isfinite(row["rank_ic"]) else 0)


def factor_page(found: Evaluation, days: list[str]) -> str:
    """One self-contained HTML page: RankIC by factor and horizon, by year, quantile returns and cumulative RankIC."""
    import plotly.graph_objects as go
    from plotly.offline import get_plotlyjs

    rows = table(found)
    names = [row["factor"] for row in rows]
    by_horizon = [[_value(found, name, horizon) for name in names] for horizon in HORIZONS]
    heat = go.Figure(go.Heatmap(z=by_horizon, x=names, y=[f"{h} sessions" for h in HORIZONS], colorscale="RdBu", zmid=0))
    years = go.Figure(
        [go.Bar(x=g["year"], y=g["rank_ic"], name=n[0]) for n, g in found.years.partition_by("factor", as_dict=True).items() if n[0] in names[:10]]
    )
    quantiles = go.Figure([go.Bar(x=[f"Q{q + 1}" for q in range(len(found.quantiles[n]))], y=found.quantiles[n] * 1e4, name=n) for n in names[:10]])
    cumulative = go.Figure([go.Scatter(x=days, y=np.nancumsum(found.daily[n]), name=n) for n in names[:10]])
    titles = [
        "RankIC by horizon",
        "RankIC by year (ten strongest)",
        "Mean 5-session return by quantile, bp (ten strongest)",
        "Cumulative RankIC (ten strongest)",
    ]
    body = ""
    for title, figure in zip(titles, [heat, years, quantiles, cumulative], strict=True):
        figure.update_layout(template="plotly_white", height=420, margin={"t": 20})
        body += f"<h2>{escape(title)}</h2>" + figure.to_html(full_html=False, include_plotlyjs=False)
    style = "body{font:15px/1.5 system-ui;max-width:1200px;margin:2rem auto;padding:0 1rem;color:#222}h1,h2{font-weight:600}"
    head = f"<!doctype html><meta charset=utf-8><title>Kestrel factors</title><style>{style}</style><script>{get_plotlyjs()}</script>"
    return f"{head}<h1>Factors, {escape(days[0])} to {escape(days[-1])}</h1>{body}"


def _value(found: Evaluation, name: str, horizon: int) -> float:
    one = found.summary.filter((found.summary["factor"] == name) & (found.summary["horizon"] == horizon))
    return float(one["rank_ic"][0])


def prove_on(lake: Lake, config: Config, names: Sequence[str], dates: int, *, track: Track = silent) -> tuple[int, list[Breach]]:
    """(factors proved, breaches) on this lake's tables, at sessions spread over its span."""
    tables = tables_of(lake, config.factors.scorer)
    panel = build_panel(tables)
    factors = choose(select(names or None, sets=config.factors.sets), panel, lake.price_basis).available
    sessions = panel.axes.dates
    places = np.linspace(len(sessions) // 4, len(sessions) - 2, max(dates, 1)).astype(int)
    return len(factors), prove(factors, tables, [sessions[place] for place in places], track=track)
