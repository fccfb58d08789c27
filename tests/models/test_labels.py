import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.labels import LabelSettings, carry_forward, dress, drop_extremes, excess, forward_returns, labels, prices, tradable_entry

NAN = np.nan


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def panels(**columns: np.ndarray) -> dict[str, np.ndarray]:
    """Bars of one stock that trades freely at 10 unless a column says otherwise."""
    count = len(next(iter(columns.values())))
    plain = {name: np.full((count, 1), 10.0) for name in ("open", "high", "low", "close")}
    free = {"volume": np.full((count, 1), 100.0), "amount": np.full((count, 1), 1000.0), "adj": np.ones((count, 1))}
    return {**plain, **free, "limit_up": np.full((count, 1), NAN), "is_trading": np.ones((count, 1)), **columns}


def test_a_label_buys_at_the_next_open_and_sells_h_opens_later() -> None:
    bars = panels(open=column(10, 11, 12, 13.2, 15))
    y_DNH, _ = labels(bars, np.ones((5, 1), bool), LabelSettings(horizons=(1, 2), excess=False), price_basis="raw")
    assert y_DNH[:, 0, 0] == pytest.approx([12 / 11 - 1, 13.2 / 12 - 1, 15 / 13.2 - 1, NAN, NAN], nan_ok=True)
    assert y_DNH[:, 0, 1] == pytest.approx([13.2 / 11 - 1, 15 / 12 - 1, NAN, NAN, NAN], nan_ok=True)
    assert y_DNH.dtype == np.float32


def test_with_closes_it_is_the_label_of_qlib() -> None:
    close = column(10, 11, 12, 15, 14)
    y_DNH, _ = labels(panels(close=close), np.ones((5, 1), bool), LabelSettings(horizons=(1,), entry="close", excess=False), price_basis="raw")
    assert y_DNH[:3, 0, 0] == pytest.approx((close[2:] / close[1:-1] - 1)[:, 0])


def test_a_split_is_no_return_because_prices_are_adjusted() -> None:
    bars = panels(open=column(10, 10, 5, 5), adj=column(1, 1, 2, 2))
    y_DNH, _ = labels(bars, np.ones((4, 1), bool), LabelSettings(horizons=(1,), excess=False), price_basis="raw")
    assert y_DNH[:2, 0, 0].tolist() == [0, 0]


def test_a_suspended_stock_keeps_its_last_price() -> None:
    y_DNH = forward_returns(column(10, 11, NAN, NAN, 12.1), (1, 2, 3), 1)
    assert y_DNH[0, 0] == pytest.approx([0, 0, 0.1])


def test_prices_are_carried_within_the_listed_life_only() -> None:
    assert carry_forward(column(NAN, 5, NAN, 6, NAN))[:, 0] == pytest.approx([NAN, 5, 5, 6, NAN], nan_ok=True)


def test_a_stock_has_no_label_before_its_listing_nor_across_its_delisting() -> None:
    y_DNH = forward_returns(column(NAN, NAN, 5, 6, 7, NAN, NAN), (1,), 1)
    assert y_DNH[:, 0, 0] == pytest.approx([NAN, 0.2, 7 / 6 - 1, NAN, NAN, NAN, NAN], nan_ok=True)


def test_a_horizon_longer_than_the_data_gives_no_label() -> None:
    assert np.isnan(forward_returns(column(1, 2, 3), (5,), 1)).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 11), st.sampled_from([(1, 1), (2, 1), (3, 2)]))
def test_a_label_reads_its_entry_and_what_lies_between_entry_and_exit_alone(changed: int, shape: tuple[int, int]) -> None:
    horizon, delay = shape
    plain = np.linspace(10, 20, 12)[:, None]
    other = plain.copy()
    other[changed] *= 1.5
    before, after = (forward_returns(values, (horizon,), delay)[:, 0, 0] for values in (plain, other))
    moved = np.nonzero(~((before == after) | (np.isnan(before) & np.isnan(after))))[0]
    assert set(moved) <= {changed - delay, changed - delay - horizon}


def test_no_buy_is_possible_where_the_stock_is_suspended_or_opens_at_its_limit() -> None:
    bars = panels(open=column(10, 11, 10.99, 10, 10), limit_up=column(11, 11, 11, 11, NAN), is_trading=column(1, 1, 1, 0, 1))
    _, entry_DN = labels(bars, np.ones((5, 1), bool), LabelSettings(), price_basis="raw")
    assert entry_DN[:, 0].tolist() == [False, True, False, True, False]


def test_a_limit_that_differs_by_rounding_alone_is_reached() -> None:
    entry = tradable_entry(np.ones((2, 1), bool), column(10, 0.1 + 0.2), column(NAN, 0.3), 1)
    assert not entry[0, 0]


def test_a_vwap_entry_fails_only_when_the_limit_holds_all_session() -> None:
    bars = panels(open=column(10, 11, 11), low=column(10, 10.5, 11), limit_up=column(11, 11, 11))
    _, entry_DN = labels(bars, np.ones((3, 1), bool), LabelSettings(entry="vwap"), price_basis="raw")
    assert entry_DN[:, 0].tolist() == [True, False, False]


def test_the_vwap_is_amount_over_volume_only_where_prices_are_raw() -> None:
    bars = panels(high=column(12, 10), low=column(8, 10), close=column(11, 10), amount=column(1234, 0), volume=column(100, 0), adj=column(2, 2))
    assert prices(bars, "vwap", price_basis="raw")[:, 0].tolist() == [24.68, 20]
    assert prices(bars, "vwap", price_basis="adjusted")[:, 0].tolist() == [21, 20]
    assert bars["close"][0, 0] == 11


def test_excess_is_over_the_mean_of_the_present_stocks() -> None:
    y_DNH = np.array([[[0.1], [0.3], [0.8], [NAN]]], dtype=np.float32)
    found = excess(y_DNH, np.array([[True, True, False, True]]))
    assert found[0, :, 0] == pytest.approx([-0.1, 0.1, 0.6, NAN], nan_ok=True)


def test_excess_over_nobody_is_unknown() -> None:
    assert np.isnan(excess(np.ones((1, 2, 1), np.float32), np.zeros((1, 2), bool))).all()


def test_rank_labels_are_deaf_to_how_far_the_tail_reaches() -> None:
    y_SN = np.random.default_rng(1).normal(size=(2, 50)).astype(np.float32)
    y_SN[0, 0], y_SN[1] = 10.0, y_SN[0]
    y_SN[1, 0] = 1000.0
    ranked, scored = dress(y_SN, "rank_gauss"), dress(y_SN, "z_score")
    assert np.array_equal(ranked[0], ranked[1])
    assert not np.allclose(scored[0], scored[1])
    assert dress(y_SN, "grades", levels=5).max() == 4


def test_extremes_leave_from_both_sides_in_equal_number() -> None:
    y_SN = np.arange(80, dtype=np.float32)[None, :]
    kept = drop_extremes(y_SN, 0.025)
    assert np.nonzero(np.isnan(kept[0]))[0].tolist() == [0, 1, 78, 79]
    assert drop_extremes(y_SN, 0.0) is y_SN


def test_settings_accept_the_lists_of_toml_and_refuse_the_rest() -> None:
    assert LabelSettings.model_validate({"horizons": [1, 10]}).reach == 11
    for wrong in ({"horizons": ["1"]}, {"horizons": []}, {"horizons": [0]}, {"delay": 0}, {"entry": "auction"}, {"horizon": [1]}):
        with pytest.raises(ValidationError):
            LabelSettings.model_validate(wrong)
