"""From log-probabilities and draws to calibrated probabilities."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sentiment.labels import (
    Calibration,
    Five,
    Unlabelled,
    fit_temperature,
    five,
    from_draws,
    from_logs,
    from_top,
    read_both,
    read_label,
    told_event,
)

FIVE = st.lists(st.floats(0.01, 1.0), min_size=5, max_size=5).map(lambda found: five(np.array(found) / sum(found)))


def test_spellings_of_a_label_add_up_and_an_unlisted_one_counts_as_the_last_listed() -> None:
    found = from_top({"4": math.log(0.4), " 4": math.log(0.2), "5": math.log(0.2), "好": math.log(0.05)}, least_mass=0.1)
    assert found == pytest.approx([0.05 / 0.95, 0.05 / 0.95, 0.05 / 0.95, 0.6 / 0.95, 0.2 / 0.95])


def test_labels_that_hardly_get_any_probability_are_no_answer() -> None:
    with pytest.raises(Unlabelled, match=r"less than 0\.1"):
        from_logs([math.log(0.01)] * 5, least_mass=0.1)
    with pytest.raises(Unlabelled, match=r"less than 0\.1"):
        from_top({"大": -0.05, "3": math.log(0.04)}, least_mass=0.1)
    with pytest.raises(Unlabelled):
        from_logs([math.nan] * 5, least_mass=0.0)


@pytest.mark.parametrize(("text", "label"), [("4", "4"), (" **5** ", "5"), ("评分：2。", "2"), ("Answer: 3", "3")])
def test_a_label_is_read_whatever_stands_around_it(text: str, label: str) -> None:
    assert read_label(text) == label


@pytest.mark.parametrize("text", ["", "6", "45", "4 or 5", "很难说", "涨5%"])
def test_anything_else_is_no_label(text: str) -> None:
    with pytest.raises(Unlabelled):
        read_label(text)


@pytest.mark.parametrize(
    ("text", "both"),
    [("4 C", ("4", "C")), ("**2**\n**k**。", ("2", "K")), ("评分：1，事件：H", ("1", "H")), ("3", ("3", None)), ("5。", ("5", None))],
)
def test_a_label_and_the_letter_of_an_event_are_read_together(text: str, both: tuple[str, str | None]) -> None:
    assert read_both(text) == both


@pytest.mark.parametrize("text", ["C", "4 C D", "4 因为 C", "6 C"])
def test_a_label_with_more_than_a_letter_is_no_answer(text: str) -> None:
    with pytest.raises(Unlabelled):
        read_both(text)


def test_the_likeliest_letter_tells_the_event_and_too_little_of_any_tells_none() -> None:
    letters = {"A": "earnings_decline", "M": "other"}
    assert told_event({"M": -1.0, "A": -1.2, " A": -2.0, "好": -0.9}, letters, least_mass=0.1) == "earnings_decline"
    assert told_event({"好": -0.01, "A": -5.0}, letters, least_mass=0.1) is None
    assert told_event({}, letters, least_mass=0.0) is None


def test_draws_are_counted_over_a_prior_of_one_half_each() -> None:
    assert from_draws(["5", "5", "4"]) == pytest.approx([0.5 / 5.5, 0.5 / 5.5, 0.5 / 5.5, 1.5 / 5.5, 2.5 / 5.5])
    assert from_draws([]) == pytest.approx([0.2] * 5)


@settings(max_examples=50, deadline=None)
@given(p=FIVE, prior=FIVE, temperature=st.floats(0.2, 5))
def test_calibration_divides_by_the_prior_and_keeps_the_order_of_the_rest(p: Five, prior: Five, temperature: float) -> None:
    found = np.array(Calibration(prior, temperature)(p))
    assert found.sum() == pytest.approx(1)
    left = np.array(p) / np.array(prior)
    assert (np.diff(found[np.argsort(left)]) >= -1e-9).all()
    assert Calibration(prior, 1.0)(prior) == pytest.approx([0.2] * 5)


@pytest.mark.parametrize("classes", [(-1, 0, 1), (-1, 1)])
def test_the_temperature_of_past_labels_is_found_again(classes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 1.5, (4000, 5))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = np.array([rng.choice(5, p=row) for row in true])
    sides = np.sign(drawn - 2)
    kept = np.isin(sides, classes)
    overconfident = np.exp(2.5 * logits) / np.exp(2.5 * logits).sum(axis=1, keepdims=True)
    assert fit_temperature(overconfident[kept], sides[kept]) == pytest.approx(2.5, rel=0.15)
