"""A simulated market as a user meets it: made once, checked, measured, and asked for its answer."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from data.errors import KestrelError
from data.lake import Lake
from data.simulator import KINDS
from data.simulator.oracle import CHEAT
from pipelines.cli import main
from pipelines.simulate import oracle_file, settings_of

# exchange_calendars still reads Series.values of a zoned index, which pandas 3.1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning an ndarray")

Run = Callable[..., Result]
MARKET = ("data", "simulate", "--stocks", "60", "--years", "1", "--end", "2020-08-23", "--suspended", "0.05", "--minutes", "2020-08-21")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose lake is simulated: a year up to the Friday before the limits of ChiNext widened."""
    found = tmp_path_factory.mktemp("simulated")
    done = CliRunner().invoke(main, ["--lake", str(found / "lake"), *MARKET])
    assert done.exit_code == 0, done.output
    return found


@pytest.fixture
def run(folder: Path) -> Run:
    """Run `kestrel --lake … …` on that lake."""
    return lambda *words: CliRunner().invoke(main, ["--lake", str(folder / "lake"), *(str(word) for word in words)])


def test_a_market_ends_when_it_is_told_and_passes_the_checks(run: Run, folder: Path) -> None:
    lake = Lake(folder / "lake")
    bars = lake.read("bars")
    assert bars["date"].max() == date(2020, 8, 21)
    assert 0.02 < (~bars["is_trading"]).mean() < 0.08
    assert lake.read("minute_bars")["time"].dt.date().unique().to_list() == [date(2020, 8, 21)]
    wide = bars.filter(pl.col("symbol").str.starts_with("30"), pl.col("limit_up") > 1.15 * pl.col("pre_close"), pl.col("adj") == 1)
    assert wide.filter(pl.col("limit_up") < 1.4 * pl.col("pre_close")).is_empty()  # 20 % only from the Monday after
    assert run("data", "check").exit_code == 0


def test_the_same_market_is_simulated_once(run: Run, folder: Path) -> None:
    version = Lake(folder / "lake").version("bars")
    assert "already holds this market" in run(*MARKET).output
    assert Lake(folder / "lake").version("bars") == version


def test_the_answer_lies_beside_the_lake_and_no_table_holds_it(folder: Path) -> None:
    lake = Lake(folder / "lake")
    assert oracle_file(lake) == folder / "lake.oracle.parquet"
    assert oracle_file(lake).is_file()
    assert not any({"expected", *KINDS} & set(lake.read(name).columns) for name in lake.tables())


def test_each_planted_kind_is_judged_against_all_of_them(run: Run) -> None:
    rows = {row["model"]: row for row in json.loads(run("data", "oracle", "--kinds", "--json").stdout)}
    assert list(rows) == [*KINDS, "expected"]
    assert rows["expected"]["share_ic"] == 1
    assert rows["linear"]["ic"] > rows["news"]["ic"] > 0


def test_scores_that_know_the_future_are_flagged(run: Run, folder: Path) -> None:
    price = pl.col("open") * pl.col("adj")
    future = (price.shift(-6) / price.shift(-1) - 1).over("symbol", order_by="date").alias("score")
    cheat = Lake(folder / "lake").read("bars").select("date", "symbol", future).drop_nulls()
    cheat.write_parquet(folder / "cheat.parquet")
    rows = json.loads(run("data", "oracle", "--scores", folder / "cheat.parquet", "--json").stdout)
    assert [(row["model"], row["verdict"]) for row in rows] == [("cheat", CHEAT)]


def test_statistics_stand_beside_each_other_over_the_same_days(run: Run, folder: Path) -> None:
    rows = json.loads(run("data", "statistics", "--beside", folder / "lake", "--start", "2020-01-01", "--end", "2020-06-30", "--json").stdout)
    whole = json.loads(run("data", "statistics", "--json").stdout)
    assert [row["statistic"] for row in rows] == [row["statistic"] for row in whole]
    lake = str(folder / "lake")
    assert any(row[lake] != other[lake] for row, other in zip(rows, whole, strict=True))
    assert all(row[lake] == row[f"{lake}_right"] for row in rows)


def test_a_lake_without_an_answer_says_so(tmp_path: Path, run: Run, folder: Path) -> None:
    hidden = oracle_file(Lake(folder / "lake")).rename(tmp_path / "hidden.parquet")
    try:
        found = run("data", "oracle", "--kinds")
    finally:
        hidden.rename(oracle_file(Lake(folder / "lake")))
    assert found.exit_code == 1
    assert "only a simulated market knows its answer" in found.output


@pytest.mark.parametrize(
    ("given", "says"),
    [({"alpha": "linaer"}, "Kinds of alpha: linear"), ({"end": date(2012, 1, 1)}, "start before"), ({"suspended": 0.5}, "suspended")],
)
def test_what_cannot_be_simulated_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(KestrelError, match=says):
        settings_of(**{"stocks": 60, "years": 5, "seed": 1, "alpha": "all", **given})
