from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import KestrelError
from data.panel import Axes
from models.folds import Fold, WalkSettings, folds, shift


def weekday_axes(start: date, end: date) -> Axes:
    days = (start + timedelta(days=step) for step in range((end - start).days + 1))
    return Axes(tuple(day for day in days if day.weekday() < 5), ("600000.SH",))


AXES = weekday_axes(date(2007, 6, 1), date(2020, 8, 24))
QLIB = WalkSettings(
    first=date(2017, 1, 1), last=date(2020, 8, 1), train_start=date(2008, 1, 1), valid_years=2, refit_months="never", purge=2, embargo=0
)


def test_the_split_of_qlib_is_one_fold() -> None:
    (fold,) = folds(AXES, QLIB, reach=2)
    assert fold.name == "2017-01"
    dates = {name: (AXES.dates[part[0]], AXES.dates[part[-1]]) for name, part in vars(fold).items() if name != "name"}
    assert dates["train"] == (date(2008, 1, 1), date(2014, 12, 29))
    assert dates["valid"] == (date(2015, 1, 1), date(2016, 12, 28))
    assert dates["test"] == (date(2017, 1, 2), date(2020, 7, 31))


def test_folds_roll_with_each_refit_and_their_tests_join_without_gap() -> None:
    walk = WalkSettings(first=date(2014, 1, 1), last=date(2015, 12, 31), train_years=4, refit_months=3, purge=6)
    found = folds(AXES, walk, reach=6)
    assert [fold.name for fold in found] == ["2014-01", "2014-04", "2014-07", "2014-10", "2015-01", "2015-04", "2015-07", "2015-10"]
    tested = np.concatenate([fold.test for fold in found])
    assert np.array_equal(tested, np.arange(AXES.index(date(2014, 1, 1)), AXES.index(date(2016, 1, 1))))
    assert AXES.dates[found[1].train[0]] == date(2009, 4, 1)


def test_without_dates_testing_starts_as_soon_as_training_and_validation_fit() -> None:
    first = folds(AXES, WalkSettings(train_years=3, valid_years=1), reach=6)[0]
    assert AXES.dates[first.test[0]] == date(2011, 6, 1)
    assert first.train[0] == 0


def test_thinned_training_keeps_its_newest_session() -> None:
    (plain,), (thinned,) = (folds(AXES, QLIB.model_copy(update={"every": every}), reach=2) for every in (1, 3))
    assert thinned.train[-1] == plain.train[-1]
    assert set(np.diff(thinned.train)) == {3}
    assert np.array_equal(thinned.valid, plain.valid)


walks = st.builds(
    WalkSettings,
    first=st.dates(date(2012, 1, 1), date(2019, 12, 31)),
    last=st.none() | st.dates(date(2020, 1, 1), date(2021, 1, 1)),
    train_years=st.integers(1, 3),
    train_start=st.none() | st.just(date(2008, 1, 1)),
    valid_years=st.integers(1, 1),
    refit_months=st.just("never") | st.integers(1, 24),
    purge=st.integers(22, 40),
    embargo=st.integers(0, 10),
    every=st.integers(1, 4),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(walks, st.sampled_from([1, 5, 10, 20]), st.integers(1, 2))
def test_no_label_of_one_period_reads_a_session_of_the_next(walk: WalkSettings, horizon: int, delay: int) -> None:
    found = folds(AXES, walk, reach=horizon + delay)
    for fold in found:
        assert fold.train[-1] + delay + horizon < fold.valid[0]
        assert fold.valid[-1] + delay + horizon < fold.test[0]
        assert all((np.diff(part) > 0).all() for part in (fold.train, fold.valid, fold.test))
    assert len({fold.name for fold in found}) == len(found)
    tested = np.concatenate([fold.test for fold in found])
    assert np.array_equal(tested, np.arange(tested[0], tested[-1] + 1))
    assert tested[0] == AXES.index(walk.first or AXES.dates[0])
    assert AXES.dates[tested[-1]] <= (walk.last or AXES.dates[-1])


@pytest.mark.parametrize(
    ("changes", "reach", "message"),
    [
        ({"purge": 5}, 6, "walk.purge is 5, but a label reads 6 sessions ahead"),
        ({"first": date(2008, 1, 1), "train_years": 4}, 2, "the data begin 2007-06-01"),
        ({"first": date(2021, 1, 1)}, 2, "No session to test"),
        ({"first": date(2018, 1, 1), "last": date(2017, 1, 1)}, 2, "No session to test"),
        ({"first": date(2016, 1, 1), "embargo": 400}, 2, "0 validation sessions"),
    ],
)
def test_impossible_walks_say_what_to_change(changes: dict[str, object], reach: int, message: str) -> None:
    with pytest.raises(KestrelError, match=message):
        folds(AXES, WalkSettings.model_validate(changes), reach=reach)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2020, 1, 31), 1, date(2020, 2, 29)),
        (date(2020, 2, 29), -12, date(2019, 2, 28)),
        (date(2020, 11, 30), 1, date(2020, 12, 30)),
        (date(2020, 12, 31), 12, date(2021, 12, 31)),
        (date(2020, 3, 15), -3, date(2019, 12, 15)),
    ],
)
def test_months_are_added_as_on_a_calendar(day: date, months: int, expected: date) -> None:
    assert shift(day, months) == expected


def test_a_fold_can_not_be_changed() -> None:
    fold = Fold("2020-01", np.arange(1), np.arange(1), np.arange(1))
    with pytest.raises(AttributeError):
        fold.name = "2021-01"  # type: ignore[misc]
