"""Answers are kept, and money is never lost count of."""

import multiprocessing
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import KestrelError
from models.sentiment.cache import Cache, CapReached, key_of
from models.sentiment.prices import Prices, Usage, prices, read

LAUNCH = datetime(2025, 2, 1, 12)


def test_parts_of_a_key_never_run_into_each_other() -> None:
    assert key_of("ab", "c") != key_of("a", "bc") != key_of("abc")
    assert key_of("a", b"b") == key_of(b"a", "b")


def test_what_is_settled_is_spent_and_what_isn_t_counts_at_its_worst(cache: Cache) -> None:
    first = cache.reserve("2025-02", b"a", 100, 300)
    cache.reserve("2025-02", b"b", 150, 300)
    with pytest.raises(CapReached, match=r"0.0003 CNY of 0.0003 are spent or reserved|Raise sentiment.spending.cap"):
        cache.reserve("2025-02", b"c", 51, 300)
    cache.settle(first, 30, "ok", b"a", "answer")
    assert cache.get(b"a") == "answer"
    assert cache.spent("2025-02") == 180
    assert cache.bill() == [{"period": "2025-02", "calls": 2, "spent_cny": 180e-6, "of_it_unseen_cny": 150e-6, "failed_calls": 0}]
    cache.reserve("2025-03", b"c", 300, 300)


def spend(file: Path, count: int) -> None:
    cache = Cache(file)
    for place in range(count):
        try:
            ticket = cache.reserve("2025-02", str(place).encode(), 10, 1000)
        except CapReached:
            break
        cache.settle(ticket, 7, "ok")
    cache.close()


def test_several_processes_share_one_cap(tmp_path: Path) -> None:
    file = tmp_path / "answers.db"
    Cache(file).close()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=spend, args=(file, 200)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    cache = Cache(file)
    assert 990 < cache.spent("2025-02") <= 1000
    assert cache.bill()[0]["spent_cny"] == cache.spent("2025-02") / 1e6
    cache.close()


def test_a_file_that_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("not a database, but long enough to be looked at as one" * 100)
    with pytest.raises(KestrelError, match="can't be used as a cache"):
        Cache(tmp_path / "a.db")


def r1() -> Prices:
    return prices("deepseek", "deepseek-reasoner")


@given(hit=st.integers(0, 10**7), miss=st.integers(0, 10**7), output=st.integers(0, 10**7))
def test_r1_at_launch_cost_1_4_and_16_cny_a_million(hit: int, miss: int, output: int) -> None:
    assert r1().at(LAUNCH).cost(Usage(hit, miss, output)) == hit + 4 * miss + 16 * output


@pytest.mark.parametrize(
    ("moment", "output"),
    [
        (datetime(2025, 2, 25, 1), 16),
        (datetime(2025, 2, 26, 0, 29), 16),
        (datetime(2025, 2, 26, 0, 30), 4),
        (datetime(2025, 2, 26, 8, 29), 4),
        (datetime(2025, 2, 26, 8, 30), 16),
        (datetime(2025, 9, 6, 1), 12),
    ],
)
def test_a_price_is_that_of_its_day_and_window(moment: datetime, output: float) -> None:
    assert r1().at(moment).output == output
    assert r1().worst(moment).output >= output


def test_a_part_of_a_millionth_is_rounded_up() -> None:
    night = r1().at(datetime(2025, 3, 1, 3))
    assert (night.cost(Usage(hit=1)), night.cost(Usage(hit=4)), night.cost(Usage(hit=5))) == (1, 1, 2)


def test_an_unpriced_model_is_refused_unless_it_is_said_to_be_free(tmp_path: Path) -> None:
    with pytest.raises(KestrelError, match="no price for acme r9"):
        prices("acme", "r9")
    assert prices("acme", "r9", allow_unpriced=True).at(LAUNCH).cost(Usage(1, 1, 1)) == 0
    assert prices("local", "anything").at(LAUNCH).cost(Usage(1, 1, 1)) == 0
    with pytest.raises(KestrelError, match="no price for deepseek-reasoner on 2025-01-19"):
        r1().at(datetime(2025, 1, 19))
    (tmp_path / "prices.toml").write_text('[[price]]\nprovider = "acme"\n')
    with pytest.raises(KestrelError, match="no table of prices"):
        read(tmp_path / "prices.toml")
