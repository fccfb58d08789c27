"""The library as a whole on a simulated market: every factor covers it, tells stocks apart, stays finite, and is no copy of another."""

import numpy as np
import pytest

from data.panel import Floats
from data.simulator import SimulationSettings, simulate
from factors.build import choose, values
from factors.panel import Panel, build_panel
from factors.ranks import rank_rows
from factors.registry import library, select

SPARSE = {"news_score", "news_surprise", "news_dispersion"}  # stocks without news, or with one piece, have none
LAST = slice(-120, None)


@pytest.fixture(scope="module")
def market() -> Panel:
    """80 stocks over two years, with reports of four years before."""
    return build_panel(simulate(SimulationSettings(stocks=80, members=40, years=2, news=0.05)).tables)


@pytest.fixture(scope="module")
def found(market: Panel) -> dict[str, Floats]:
    """{factor: its last 120 sessions}"""
    return {name: panel[LAST].astype(np.float64) for name, panel in values(select(), market).items()}


def test_a_simulated_market_feeds_the_whole_library(market: Panel) -> None:
    assert choose(select(), market, "raw").unavailable == {}


def test_every_factor_covers_the_market(market: Panel, found: dict[str, Floats]) -> None:
    trading = market.trading[LAST]
    coverage = {name: np.isfinite(panel)[trading].mean() for name, panel in found.items() if name not in SPARSE}
    assert {name: share for name, share in coverage.items() if share < 0.8} == {}


def test_every_factor_tells_stocks_apart_in_every_session(found: dict[str, Floats]) -> None:
    alike = [name for name, panel in found.items() if name not in SPARSE and not (np.nanstd(panel, axis=1) > 0).all()]
    assert set(alike) <= {"limit_up_20", "event_control"}  # there are weeks without either in a market this small


def test_no_factor_is_the_copy_of_another(found: dict[str, Floats]) -> None:
    """By ranks of the session, either way up; what a simulated company can't tell apart stands below."""
    same = {("cash_flow_yield", "operating_cash_yield")}  # the simulated vendor's PCF is by cash from operations; others' is by all cash
    ranks = {name: np.nan_to_num(_standard(rank_rows(panel[::20]))) for name, panel in found.items()}
    names = list(ranks)
    likeness = np.abs(np.einsum("fsn,gsn->fg", *[np.stack(list(ranks.values()))] * 2)) / len(ranks[names[0]])
    pairs = {(names[a], names[b]) for a, b in zip(*np.nonzero(np.triu(likeness, 1) > 0.998), strict=True)}
    assert pairs <= same


def test_no_two_paragraphs_are_one() -> None:
    assert len({factor.about for factor in library().values()}) == len(library())


def _standard(ranks_SN: Floats) -> Floats:
    """Ranks of each row with mean 0 and length 1; 0 where all are equal."""
    centred = ranks_SN - np.nanmean(ranks_SN, axis=1, keepdims=True)
    length_S1 = np.sqrt(np.nansum(centred**2, axis=1, keepdims=True))
    return np.divide(centred, length_S1, out=np.zeros_like(centred), where=length_S1 > 0)
