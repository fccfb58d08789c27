import sqlite3
from datetime import date
from pathlib import Path

import numpy as np

from pipelines.ledger import Ledger

YEAR = date(2019, 1, 1), date(2019, 12, 31)


def test_each_idea_counts_once_however_often_it_is_judged(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    assert ledger.record("model", ["ridge:a", "trees:a"], *YEAR) == 2
    assert ledger.record("model", ["ridge:a"], *YEAR) == 2
    assert ledger.record("model", ["ridge:b"], *YEAR) == 3


def test_only_looks_at_overlapping_dates_count(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.record("model", ["ridge:a"], *YEAR)
    assert ledger.count(date(2020, 1, 1), date(2020, 12, 31)) == 0
    assert ledger.count(date(2019, 12, 31), date(2020, 12, 31)) == 1


def test_the_count_outlives_the_process(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.db").record("factor", ["max_20"], *YEAR)
    assert Ledger(tmp_path / "ledger.db").count(*YEAR) == 1


def test_an_idea_keeps_the_largest_p_it_showed_on_overlapping_dates(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.record("factor", ["a", "b"], *YEAR, p=[0.02, float("nan")])
    ledger.record("factor", ["a"], date(2019, 6, 1), date(2020, 6, 1), p=[0.3])
    ledger.record("factor", ["a"], date(2021, 1, 1), date(2021, 6, 1), p=[0.9])
    ledger.record("model", ["ridge:a"], *YEAR)
    tries = ledger.tries(*YEAR)
    assert list(tries) == [("factor", "a"), ("factor", "b"), ("model", "ridge:a")]
    assert tries["factor", "a"] == 0.3
    assert np.isnan([tries["factor", "b"], tries["model", "ridge:a"]]).all()


def test_judging_again_keeps_the_new_p_and_never_forgets_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.record("factor", ["a"], *YEAR, p=[0.02])
    ledger.record("factor", ["a"], *YEAR)
    assert ledger.tries(*YEAR) == {("factor", "a"): 0.02}
    ledger.record("factor", ["a"], *YEAR, p=[0.04])
    assert ledger.tries(*YEAR) == {("factor", "a"): 0.04}


def test_a_ledger_of_before_p_values_were_kept_goes_on(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("CREATE TABLE evaluations (kind TEXT, idea TEXT, first TEXT, last TEXT, at TEXT, PRIMARY KEY (kind, idea, first, last))")
        connection.execute("INSERT INTO evaluations VALUES ('factor', 'old', '2019-01-01', '2019-12-31', '2020-01-01')")
    connection.close()
    assert Ledger(tmp_path / "ledger.db").record("factor", ["new"], *YEAR, p=[0.5]) == 2
    assert list(Ledger(tmp_path / "ledger.db").tries(*YEAR)) == [("factor", "old"), ("factor", "new")]
