"""What the ranker reads: the market's state and the windows."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from data.errors import KestrelError
from data.panel import Axes
from factors.ranks import prepare
from models.dataset import Dataset
from models.ranker.market import calibrate, decide, measure
from models.ranker.model import families
from models.ranker.panel import Inputs
from models.ranker.settings import MarketSettings

NAN = np.nan
NAMES = ("a", "b", "c")
GAUGES = MarketSettings(means=("a",), spreads=("b",), breadths=("c",), styles=(("a", "b"),))


@pytest.fixture
def tiny() -> Dataset:
    """Four sessions of five stocks; stock 4 is absent in session 1, stock 0 in session 3."""
    rng = np.random.default_rng(5)
    axes = Axes(tuple(date(2020, 1, 6) + timedelta(days=day) for day in range(4)), tuple(f"60000{n}.SH" for n in range(5)))
    x_DNF = rng.normal(size=(4, 5, 3)).astype(np.float32)
    x_DNF[2, 1, 0] = NAN
    present = np.ones((4, 5), dtype=bool)
    present[1, 4] = present[3, 0] = False
    return Dataset(axes, NAMES, x_DNF, present, np.zeros((4, 5, 1), dtype=np.float32), (5,), present)


def inputs(dataset: Dataset, lookback: int = 3) -> Inputs:
    return Inputs(NAMES, ("value", "other", "value"), "z_score", lookback, calibrate(dataset, np.arange(3), GAUGES))


def test_gauges_are_those_of_numpy(tiny: Dataset) -> None:
    raw = measure(tiny, np.array([1, 2]), GAUGES)
    for row, session in enumerate((1, 2)):
        a, b, c = tiny.session(session).T.astype(float)
        known = np.isfinite(a)
        expected = [a[known].mean(), b.std(), (c > 0).mean(), np.corrcoef(a[known], b[known])[0, 1]]
        assert raw[row] == pytest.approx(expected)


def test_a_gauge_that_one_stock_knows_is_unknown_and_reads_0(tiny: Dataset) -> None:
    x_DNF = tiny.x_DNF.copy()
    x_DNF[0, 1:] = NAN
    lone = replace(tiny, x_DNF=x_DNF)
    assert np.isnan(measure(lone, np.array([0]), GAUGES)).all()
    assert (calibrate(lone, np.arange(4), GAUGES).read(lone, np.array([0])) == 0).all()


def test_gauges_are_standardised_on_the_training_sessions(planted: Dataset) -> None:
    gauges = calibrate(planted, np.arange(100), MarketSettings(means=("reversal_20",), spreads=("noise_1", "max_20")))
    raw = measure(planted, np.arange(320), gauges.settings)
    m_SM = gauges.read(planted, np.arange(320))
    expected = np.clip((raw - raw[:100].mean(0)) / raw[:100].std(0), -3, 3)
    assert m_SM == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_gauge_that_never_moved_in_training_stays_silent(tiny: Dataset) -> None:
    x_DNF = tiny.x_DNF.copy()
    x_DNF[:3, :, 2] = 1.0
    flat = replace(tiny, x_DNF=x_DNF)
    settings = MarketSettings(means=("c",), spreads=(), breadths=("c",), styles=())
    assert (calibrate(flat, np.arange(3), settings).read(flat, np.array([3])) == 0).all()


def test_without_any_gauge_the_market_is_one_zero(tiny: Dataset) -> None:
    gauges = calibrate(tiny, np.arange(3), MarketSettings())
    assert gauges.count == 1
    assert (gauges.read(tiny, np.arange(4)) == 0).all()


def test_gauges_not_named_are_those_of_the_library_that_the_dataset_holds() -> None:
    found = decide(MarketSettings(), ("volatility_20", "reversal_20", "momentum_12_1"))
    assert (found.means, found.styles) == (("reversal_20", "volatility_20"), (("reversal_20", "momentum_12_1"),))


def test_a_named_gauge_that_the_dataset_lacks_is_refused() -> None:
    with pytest.raises(KestrelError, match=r"model.ranker.market names volatilty_20, which"):
        decide(MarketSettings(means=("volatilty_20",)), ("volatility_20",))


def test_a_window_holds_the_prepared_inputs_of_each_session(tiny: Dataset) -> None:
    panel = inputs(tiny).panel(tiny, np.array([2, 3]))
    batch = panel.batch([3, 2])
    x_SNTF = panel.x_QF[batch.row_SNT]
    assert x_SNTF.shape == (2, 5, 3, 5)
    assert batch.stock_SN.tolist() == [[1, 2, 3, 4, 0], [0, 1, 2, 3, 4]]
    for t, session in enumerate((1, 2, 3)):
        prepared = np.full((5, 3), NAN)
        prepared[tiny.present_DN[session]] = prepare(tiny.session(session), "z_score")
        seen = prepared[[1, 2, 3, 4]]
        assert x_SNTF[0, :4, t, :3].numpy() == pytest.approx(np.nan_to_num(seen))


def test_absent_stocks_and_empty_slots_are_not_valid(tiny: Dataset) -> None:
    panel = inputs(tiny).panel(tiny, np.arange(4))
    valid_SNT = panel.batch([3, 2]).row_SNT > 0
    assert valid_SNT[0].tolist() == [[True] * 3] * 3 + [[False, True, True], [False] * 3]
    assert not panel.x_QF[0].any()
    assert panel.batch([3], slots=7).row_SNT.shape == (1, 7, 3)
    assert [panel.count(session) for session in (2, 3)] == [5, 4]


def test_sessions_before_the_first_are_not_valid(tiny: Dataset) -> None:
    batch = inputs(tiny).panel(tiny, np.arange(4)).batch([0])
    assert (batch.row_SNT[0] > 0).tolist() == [[False, False, True]] * 5


def test_a_missing_factor_is_0_and_flagged_by_family(tiny: Dataset) -> None:
    panel = inputs(tiny).panel(tiny, np.arange(4))
    x_NF = panel.x_QF[panel.batch([2]).row_SNT][0, :, -1]
    assert x_NF[1, 0] == 0
    flags_NG = x_NF[:, 3:]  # other, value
    assert flags_NG.tolist() == [[0, 0], [0, 0.5], [0, 0], [0, 0], [0, 0]]


def test_families_are_the_librarys_and_one_for_all_it_does_not_know() -> None:
    assert families(("reversal_20", "mine", "amihud_20")) == ("momentum", "other", "technical")


def test_a_panel_holds_only_what_its_windows_need(tiny: Dataset) -> None:
    assert len(inputs(tiny, lookback=2).panel(tiny, np.array([3])).x_QF) == 1 + 4 + 5
    whole, part = inputs(tiny).panel(tiny, np.arange(4)), inputs(tiny).panel(tiny, np.array([3]))
    windows = [panel.x_QF[panel.batch([3]).row_SNT] for panel in (whole, part)]
    assert windows[0].equal(windows[1])
    assert whole.batch([3]).m_SM.equal(part.batch([3]).m_SM)
    assert whole.batch([3]).stock_SN.equal(part.batch([3]).stock_SN)
    assert whole.digest() != part.digest()
