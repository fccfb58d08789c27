from datetime import date
from pathlib import Path

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
