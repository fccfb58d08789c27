"""The tear sheet: figures that plotly accepts, names that can't break the page, and a size that a browser bears."""

import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from factors.evaluate import EvaluateSettings, Evaluation, Surroundings, evaluate
from factors.stability import regimes
from pipelines.evaluate import shown, table
from pipelines.tearsheet import figures
from pipelines.tearsheet.document import write_sheet
from pipelines.tearsheet.page import page

SESSIONS, STOCKS = 260, 30
DATES = [date(2020, 1, 1) + timedelta(days=t) for t in range(SESSIONS)]
EVIL = '</script><img src=x onerror=alert(1)> & "a"'
Judged = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def judged() -> Judged:
    """An evaluation of these factors on a random market, with everything around them or nothing."""
    rng = np.random.default_rng(3)
    y = rng.normal(0, 0.02, size=(SESSIONS, STOCKS, 5))
    present = np.ones((SESSIONS, STOCKS), dtype=bool)
    other = {EVIL: rng.normal(size=(13, STOCKS)), "plain": rng.normal(size=(13, STOCKS))}
    around = Surroundings(
        amount_DN=rng.lognormal(18, 1, size=(SESSIONS, STOCKS)),
        styles=other,
        known=other,
        groups_DN=np.tile(np.arange(STOCKS) % 4, (SESSIONS, 1)),
        industries=[f"{EVIL} {g}" for g in range(4)],
        regimes=regimes(rng.normal(0, 0.01, SESSIONS)),
    )

    def judge(values: dict[str, np.ndarray], *, bare: bool = False, **changes: object) -> Evaluation:
        chosen = EvaluateSettings(**changes)  # type: ignore[arg-type]
        return evaluate(values, y, (1, 2, 5, 10, 20), present, DATES, around=None if bare else around, settings=chosen)

    return judge


def noise(*names: str) -> dict[str, np.ndarray]:
    return {name: np.random.default_rng(n).normal(size=(SESSIONS, STOCKS)) for n, name in enumerate(names)}


def rows_of(found: Evaluation) -> list[dict[str, object]]:
    return [{**row, "p_by": 0.5, "p_holm": 0.5, "p_bonferroni": 0.5} for row in table(found)]


def specs(text: str) -> list[dict[str, object]]:
    return json.loads(re.findall(r'<script type="application/json" id="figures">(.*?)</script>', text, re.S)[0])


@pytest.mark.parametrize("quantiles", [2, 5, 10])
def test_plotly_accepts_every_figure(judged: Judged, quantiles: int) -> None:
    import plotly.graph_objects as go

    found = judged(noise("a", "b"), quantiles=quantiles)
    drawn = specs(page(found, rows_of(found), tries=2))
    assert len(drawn) == 1 + 2 * 10
    for spec in drawn:
        go.Figure(spec)


def test_no_name_becomes_markup(judged: Judged) -> None:
    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.found.append(tag)

    found = judged(noise(EVIL, "b"))
    text = page(found, rows_of(found), tries=2, remarks=[EVIL])
    tags = Tags()
    tags.feed(text)
    assert "img" not in tags.found
    assert tags.found.count("script") == 3
    assert "<img" not in json.dumps(specs(text))  # plotly reads markup in names


def test_only_the_strongest_have_a_sheet_and_the_table_links_to_it(judged: Judged) -> None:
    found = judged(noise("a", "b", "c"))
    rows = rows_of(found)
    text = page(found, rows, tries=3, top=1)
    assert f'<a href="#factor0">{rows[0]["factor"]}</a>' in text
    assert text.count('<a id="factor') == text.count('href="#factor') == 1
    assert all(f'<td class="text">{row["factor"]}</td>' in text for row in rows[1:])
    assert '<a id="factor' not in page(found, rows, tries=3, top=0)


def test_factors_that_know_nothing_are_shown_with_dashes(judged: Judged) -> None:
    import plotly.graph_objects as go

    found = judged({"null": np.full((SESSIONS, STOCKS), np.nan), "flat": np.ones((SESSIONS, STOCKS))}, bare=True)
    rows = rows_of(found)
    for spec in specs(page(found, rows, tries=2)):
        go.Figure(spec)
    assert [row["half_life"] for row in shown(rows)] == [None, None]


def test_the_numbers_lie_beside_the_page_and_hold_no_nan(judged: Judged, tmp_path: Path) -> None:
    found = judged(noise("a"))
    path = write_sheet(tmp_path / "runs" / "sheet", found, rows_of(found), tries=1)
    assert path == tmp_path / "runs" / "sheet.html"
    numbers = json.loads((tmp_path / "runs" / "sheet.json").read_text(), parse_constant=lambda text: pytest.fail(text))
    assert numbers["summary"][0]["rank_ic"] == found.main("a")["rank_ic"]


def test_lines_are_thinned_but_end_where_they_end() -> None:
    days = [date(2000, 1, 1) + timedelta(days=t) for t in range(5001)]
    kept, values = figures.thinned(days, np.arange(5001.0))
    assert len(kept) <= figures.POINTS + 1
    assert (kept[0], kept[-1]) == (days[0], days[-1])
    assert values[-1] == 5000


def test_a_hundred_and_fifty_factors_stay_below_ten_megabytes(judged: Judged) -> None:
    one = judged(noise("f"))
    many = Evaluation(one.dates, one.settings, {f"factor_{n}": one.sheets["f"] for n in range(150)})
    assert len(page(many, rows_of(many), tries=150).encode()) < 10e6


def test_months_are_means_and_the_line_their_running_sum() -> None:
    days = [date(2020, 1, 30), date(2020, 1, 31), date(2020, 2, 3)]
    spec = figures.rank_ic(days, np.array([0.1, np.nan, 0.3]))
    assert spec["data"][0]["x"] == ["2020-01-01", "2020-02-01"]
    assert spec["data"][0]["y"] == [0.1, 0.3]
    assert spec["data"][1]["y"] == [0.1, 0.1, 0.4]
