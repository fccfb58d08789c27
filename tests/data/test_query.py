from pathlib import Path

import polars as pl
import pytest

from data.errors import KestrelError
from data.lake import Lake
from data.query import sql


def test_sql_sees_every_table_under_its_name(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    found = sql(lake, "SELECT symbol, count(*) AS n FROM bars JOIN members USING (symbol) GROUP BY symbol ORDER BY symbol LIMIT 2")
    assert found.rows() == [("600000.SH", 8), ("600001.SH", 8)]
    assert sql(lake, "WITH d AS (SELECT max(date) AS last FROM calendar) SELECT last FROM d").item() == tables["calendar"]["date"][-1]


def test_sql_reads_the_versions_that_the_lake_pins(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    before = lake.versions()
    lake.write("bars", tables["bars"].head(5))
    assert sql(lake, "SELECT count(*) FROM bars").item() == 5
    assert sql(Lake(lake.uri, versions=before), "SELECT count(*) FROM bars").item() == 4000


def test_a_table_without_rows_can_be_asked_and_hinders_no_other(lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
    lake.write("reports", tables["reports"].head(0))
    assert sql(lake, "SELECT symbol, period_end FROM reports").shape == (0, 2)
    assert sql(lake, "SELECT count(*) FROM bars").item() == 4000


@pytest.mark.parametrize(
    "statement",
    [
        "COPY bars TO '{folder}/out.csv'",
        "ATTACH '{folder}/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "CREATE TABLE mine AS SELECT * FROM bars",
        "INSERT INTO bars SELECT * FROM bars",
        "DROP VIEW bars",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY bars TO '{folder}/out.csv'",
        "",
    ],
)
def test_anything_but_one_select_is_refused(lake: Lake, tmp_path: Path, statement: str) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KestrelError, match="Only one SELECT can be run"):
        sql(lake, statement.format(folder=tmp_path))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_blob('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_parquet('{lake}/../other/*.parquet')",
        "SELECT * FROM read_parquet('{lake}/bars/*.parquet')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_csv('https://example.org/a.csv')",
        "SELECT * FROM bars WHERE symbol IN (SELECT content FROM read_text('{secret}'))",
        "SELECT getenv('HOME')",
    ],
)
def test_a_select_cannot_leave_the_lake(lake: Lake, tmp_path: Path, statement: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(KestrelError, match=r"Tables: calendar, securities, bars"):
        sql(lake, statement.format(secret=secret, lake=lake.uri, folder=tmp_path))


def test_python_variables_are_no_tables(lake: Lake) -> None:
    frame = pl.DataFrame({"a": [1]})
    with pytest.raises(KestrelError, match="frame does not exist"):
        sql(lake, "SELECT * FROM frame")
    assert frame.height == 1


def test_an_error_in_the_statement_comes_with_the_tables_there_are(lake: Lake) -> None:
    with pytest.raises(KestrelError, match=r"(?s)clsoe.*Tables: .*Columns: kestrel data show TABLE"):
        sql(lake, "SELECT clsoe FROM bars")


def test_a_pinned_version_that_is_not_there_is_one_clear_error(lake: Lake) -> None:
    with pytest.raises(KestrelError, match=r"version 99 of bars at .* can't be read.*kestrel data history bars"):
        sql(Lake(lake.uri, versions={"bars": 99}), "SELECT 1")


def test_a_lake_without_local_files_is_read_through_arrow(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lake, "remote", True)
    found = sql(lake, "SELECT symbol, count(*) AS n FROM bars WHERE date >= DATE '2021-03-03' GROUP BY symbol ORDER BY symbol LIMIT 2")
    assert found.rows() == [("600000.SH", 6), ("600001.SH", 6)]
