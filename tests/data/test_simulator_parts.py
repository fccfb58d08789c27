"""The parts of the simulator on cases worked out by hand."""

from datetime import date

import numpy as np
import pytest
from pydantic import ValidationError

from data.errors import KestrelError
from data.rules import exchange_rules
from data.simulator import KINDS, SimulationSettings, simulate
from data.simulator.actions import reference_cents
from data.simulator.alpha import calm, standard
from data.simulator.index import inclusion, review_days
from data.simulator.quotes import NO_LIMIT, limits, quote, ratio_table
from data.simulator.streams import PARTS, streams
from data.simulator.titles import TEMPLATES, titles

# exchange_calendars still reads Series.values of a zoned index, which pandas 3.1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning an ndarray")


def days(first: str, last: str) -> np.ndarray:
    span = np.arange(np.datetime64(first), np.datetime64(last) + 1)
    return span[np.is_busday(span)]


@pytest.mark.parametrize(
    ("close", "cash", "grown", "expected"),
    [
        (1000, 0, 0, 1000),
        (1000, 5000, 0, 950),  # 0.50 CNY on 10.00
        (1000, 50, 0, 1000),  # 9.995 rounds up
        (1000, 51, 0, 999),  # 9.9949 rounds down
        (1000, 0, 10_000, 500),
        (1000, 1000, 3000, 762),  # 9.90 / 1.3 = 7.6154
        (101, 0, 10_000, 51),  # 0.505 rounds up
        (1, 0, 10_000, 1),  # never below a cent
    ],
)  # fmt: skip
def test_reference_price_is_rounded_half_up_to_the_cent(close: int, cash: int, grown: int, expected: int) -> None:
    assert reference_cents(np.array([close]), np.array([cash]), np.array([grown])).tolist() == [expected]


def test_float_counts_in_tiers() -> None:
    floats = np.array([0.004, 0.145, 0.15, 0.16, 0.2, 0.21, 0.55, 0.8, 0.81, 1.0])
    assert inclusion(floats).tolist() == [0.01, 0.15, 0.15, 0.2, 0.2, 0.3, 0.6, 0.8, 1.0, 1.0]


def test_reviews_take_effect_on_the_second_friday_or_the_session_before() -> None:
    span = days("2023-01-01", "2024-06-30")
    assert [str(span[place]) for place in review_days(span)] == ["2023-06-09", "2023-12-08", "2024-06-14"]
    closed = span[span != np.datetime64("2023-06-09")]
    assert str(closed[review_days(closed)[0]]) == "2023-06-08"


def test_limits_follow_board_age_and_date() -> None:
    span = np.array(["2020-08-21", "2020-08-24", "2023-04-07", "2023-04-10"], dtype="datetime64[D]")
    up, down = ratio_table(span)
    assert up[:, 1, 0, 5].tolist() == [0.1, 0.2, 0.2, 0.2]  # an old ChiNext stock
    assert up[:, 0, 1, 5].tolist() == [0.05] * 4  # main board, ST
    assert up[:3, 0, 0, 0].tolist() == [0.44] * 3
    assert down[:3, 0, 0, 0].tolist() == [0.36] * 3
    assert np.isnan(up[3, 0, 0, :5]).all()
    assert up[3, 0, 0, 5] == exchange_rules().at("limit", "main", date(2023, 4, 10))


def test_a_return_beyond_the_limit_is_cut_and_carried() -> None:
    reference = np.array([1000, 1000, 1000])
    bounds = limits(reference, np.array([[0.1, 0.1, np.nan], [0.1, 0.1, np.nan]]))
    assert bounds[0].tolist() == [1100, 1100, NO_LIMIT]
    still = np.zeros(3)
    found = quote(reference, still, np.array([0.21, -0.2, 0.5]), still, np.full(3, 0.02), bounds, np.random.default_rng(1))
    assert found.close.tolist() == [1100, 900, 1500]
    assert found.carry == pytest.approx([1.1 - 1, 800 / 900 - 1, 0.0])
    assert (found.low <= found.open).all()
    assert (found.high >= found.close).all()


def test_a_carried_return_is_paid_in_the_opening_gap() -> None:
    reference = np.full(1000, 10_000)
    bounds = limits(reference, np.full((2, 1000), 0.2))
    found = quote(reference, np.full(1000, 0.1), np.zeros(1000), np.zeros(1000), np.full(1000, 0.001), bounds, np.random.default_rng(1))
    assert np.abs(found.open / 11_000 - 1).max() < 0.01
    assert (found.close == 11_000).all()


def test_a_standard_score_ignores_the_absent_and_cuts_outliers() -> None:
    values = np.arange(101.0)
    values[3] = np.nan
    values[100] = 1e9
    among = np.ones(101, dtype=bool)
    among[50] = False
    scores = standard(values, among)
    assert scores[3] == scores[50] == 0
    assert scores[among].mean() == pytest.approx(0, abs=1e-12)
    assert 2 < scores[100] < 4


def test_a_market_is_calm_until_its_volatility_rises_above_the_years_median() -> None:
    rng = np.random.default_rng(3)
    quiet = 0.01 * rng.standard_normal(300)
    assert calm(quiet[:30])
    assert not calm(np.concatenate([quiet, 0.05 * rng.standard_normal(20)]))
    assert calm(np.concatenate([quiet, 0.001 * rng.standard_normal(20)]))


def test_each_part_draws_from_its_own_stream() -> None:
    first = {part: rng.random() for part, rng in streams(5).items()}
    assert len(set(first.values())) == len(PARTS)
    assert first == {part: rng.random() for part, rng in streams(5).items()}


def test_titles_carry_name_and_number_but_no_template_marks() -> None:
    count = len(TEMPLATES)
    found = titles(np.arange(count), np.full(count, 0.5), ["角甲化工"] * count, ["600001"] * count, ["尾丁制药"] * count, np.random.default_rng(2))
    assert all("角甲化工" in title and "{" not in title for title in found)
    assert ["尾丁制药" in title for title in found] == [template.names_two for template in TEMPLATES]
    assert all(-1 <= template.low <= 1 and -1 <= template.high <= 1 for template in TEMPLATES)


@pytest.mark.parametrize(
    ("given", "kinds"),
    [("none", ()), ("all", KINDS), ("linear", ("linear",)), (["news", "linear"], ("linear", "news")), ((), ())],
)
def test_alpha_is_read_as_none_all_one_or_several(given: object, kinds: tuple[str, ...]) -> None:
    assert SimulationSettings.model_validate({"alpha": given}).alpha == kinds


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alpha": ["linaer"]}, "linear"),
        ({"alpha": 3}, "alpha"),
        ({"stocks": 100}, "needs at least 770 stocks"),
        ({"years": 16, "end": date(2020, 1, 31)}, "start before"),
        ({"stcks": 100}, "stcks"),
    ],
)
def test_impossible_settings_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SimulationSettings.model_validate(given)


def test_an_end_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(KestrelError, match="calendar ends on"):
        simulate(SimulationSettings(stocks=60, members=30, years=1, end=date(2031, 1, 31)))


def test_the_span_starts_the_day_after_the_anniversary() -> None:
    assert SimulationSettings(end=date(2024, 2, 29), years=1).start == date(2023, 3, 1)
    assert SimulationSettings(end=date(2026, 7, 31)).start == date(2020, 8, 1)
