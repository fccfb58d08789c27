from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from deltalake import DeltaTable

from data.errors import KestrelError
from data.lake import Lake, open_lake
from data.migration import migrate
from data.tables import SCHEMA_VERSION

Tables = dict[str, pl.DataFrame]
FIRST, SECOND = date(2021, 3, 1), date(2021, 3, 2)


def test_a_table_reads_back_as_it_was_written(lake: Lake, tables: Tables) -> None:
    for name, frame in tables.items():
        assert lake.read(name).equals(frame), name


def test_reading_cuts_columns_and_sessions_with_both_ends(lake: Lake) -> None:
    found = lake.read("bars", columns=["date", "close"], start=SECOND, end=date(2021, 3, 3))
    assert found.columns == ["date", "close"]
    assert found["date"].unique().sort().to_list() == [SECOND, date(2021, 3, 3)]


def test_instants_come_back_in_shanghai_time(tmp_path: Path) -> None:
    moment = datetime(2021, 3, 4, 14, 59, tzinfo=ZoneInfo("Asia/Shanghai"))
    news = pl.DataFrame({"id": ["1"], "published_at": [moment], "symbols": [["600000.SH"]], "title": ["a"]})
    lake = Lake(tmp_path)
    lake.write("news", news.with_columns(pl.col("published_at").dt.convert_time_zone("Asia/Shanghai")))
    assert lake.read("news")["published_at"][0] == moment
    assert lake.read("news").schema["published_at"] == pl.Datetime("us", "Asia/Shanghai")


def test_a_table_without_rows_keeps_its_schema(tmp_path: Path, tables: Tables) -> None:
    lake = Lake(tmp_path)
    lake.write("members", tables["members"].head(0))
    assert lake.read("members").schema == tables["members"].schema
    assert lake.tables() == ["members"]


def test_a_streamed_table_is_the_table_written_at_once(lake: Lake, tables: Tables) -> None:
    bars = lake.read("bars")
    days = bars["date"].unique().sort()
    before = lake.version("bars")
    assert lake.stream("bars", (bars.filter(pl.col("date") == day) for day in days)) == before + 1
    assert lake.read("bars").equals(bars)


def test_a_stream_out_of_order_or_with_a_bad_row_writes_nothing(lake: Lake) -> None:
    bars = lake.read("bars")
    days, version = bars["date"].unique().sort().to_list(), lake.version("bars")
    backwards = (bars.filter(pl.col("date") == day) for day in days[::-1])
    with pytest.raises(KestrelError, match="against the order of its keys"):
        lake.stream("bars", backwards)
    broken = (bars.filter(pl.col("date") == day).with_columns(close=None if day == days[-1] else pl.col("close")) for day in days)
    with pytest.raises(KestrelError, match="close null"):
        lake.stream("bars", broken)
    assert lake.version("bars") == version
    assert lake.read("bars").equals(bars)


def test_a_bug_behind_a_stream_keeps_its_name_and_writes_nothing(lake: Lake) -> None:
    bars, version = lake.read("bars"), lake.version("bars")

    def broken() -> Iterator[pl.DataFrame]:
        yield bars.filter(pl.col("date") == bars["date"][0])
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        lake.stream("bars", broken())
    assert lake.version("bars") == version


def test_replacing_sessions_leaves_every_other_session(lake: Lake, tables: Tables) -> None:
    version = lake.version("bars")
    new = tables["bars"].filter(pl.col("date") <= SECOND).with_columns(pl.col("close") + 1).filter(pl.col("symbol") != "600499.SH")
    assert lake.replace("bars", new, FIRST, SECOND) == version + 1
    found = lake.read("bars")
    assert found.filter(pl.col("date") <= SECOND).equals(new)
    assert found.filter(pl.col("date") > SECOND).equals(tables["bars"].filter(pl.col("date") > SECOND))


def test_rows_outside_the_replaced_sessions_are_not_written(lake: Lake, tables: Tables) -> None:
    lake.replace("bars", tables["bars"].with_columns(pl.col("close") + 1), SECOND, SECOND)
    changed = lake.read("bars").join(tables["bars"], on=["date", "symbol"]).filter(pl.col("close") != pl.col("close_right"))
    assert changed["date"].unique().to_list() == [SECOND]


def test_replacing_in_a_lake_without_the_table_writes_it(tmp_path: Path, tables: Tables) -> None:
    lake = Lake(tmp_path)
    lake.replace("bars", tables["bars"], FIRST, SECOND)
    assert lake.read("bars")["date"].unique().sort().to_list() == tables["bars"]["date"].unique().sort().to_list()


def test_sessions_added_one_by_one_lie_in_few_files(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.lake.FILES", 4)
    bars = lake.read("bars")
    last = bars.filter(pl.col("date") == pl.col("date").max())
    added = [last.with_columns(pl.col("date") + timedelta(days=step)) for step in range(1, 15)]
    versions = [lake.replace("bars", one, one["date"][0], one["date"][0]) for one in added]
    files = [len(lake.open("bars", version).file_uris()) for version in range(versions[0], versions[-1] + 1)]
    assert max(files) == 5
    assert files[-1] <= 4
    assert lake.read("bars").equals(pl.concat([bars, *added]))
    for count, version in enumerate(versions, 1):
        assert Lake(lake.uri, versions={"bars": version}).read("bars").equals(pl.concat([bars, *added[:count]]))


def test_a_long_log_is_summed_up(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.lake.ENTRIES", 5)
    versions = [lake.write("calendar", lake.read("calendar")) for _ in range(12)]
    kept = sorted(int(path.name.split(".")[0]) for path in Path(lake.path("calendar")).glob("_delta_log/*.checkpoint.parquet"))
    assert kept == [version for version in versions if version % 5 == 4]
    assert all(Lake(lake.uri, versions={"calendar": version}).read("calendar").height for version in versions)


def test_pinned_versions_read_the_past_and_unpinned_ones_the_present(lake: Lake, tables: Tables) -> None:
    before = lake.versions()
    assert set(before) == set(tables)
    lake.write("bars", tables["bars"].head(5))
    past = Lake(lake.uri, versions=before)
    assert past.read("bars").equals(tables["bars"])
    assert past.versions() == before
    assert lake.read("bars").height == 5
    assert lake.version("bars") == before["bars"] + 1


def test_writing_through_a_pinned_lake_shows_what_was_written(lake: Lake, tables: Tables) -> None:
    pinned = Lake(lake.uri, versions=lake.versions())
    pinned.write("bars", tables["bars"].head(2))
    assert pinned.read("bars").height == 2


def test_a_version_that_is_not_there_is_one_clear_error(lake: Lake) -> None:
    with pytest.raises(KestrelError, match=r"version 99 of bars at .* can't be read: .*Read an earlier one: kestrel data history bars"):
        Lake(lake.uri, versions={"bars": 99}).read("bars")


def test_a_refused_write_leaves_the_previous_version_readable(lake: Lake, tables: Tables) -> None:
    before = lake.versions()
    with pytest.raises(KestrelError, match="close null"):
        lake.write("bars", tables["bars"].with_columns(close=pl.lit(None, pl.Float64)))
    with pytest.raises(KestrelError, match="the same date, symbol"):
        lake.replace("bars", pl.concat([tables["bars"], tables["bars"]]), FIRST, SECOND)
    assert lake.versions() == before
    assert lake.read("bars").equals(tables["bars"])


def test_a_write_that_dies_half_way_leaves_the_previous_version_readable(lake: Lake, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(frame: pl.DataFrame, target: DeltaTable, **options: object) -> None:
        """A writer that has put its file and dies before the commit."""
        del options
        frame.write_parquet(Path(lake.path("bars")) / "part-of-a-dead-writer.parquet")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_delta", die)
    with pytest.raises(KestrelError, match=r"No room to write bars at .*the version before is untouched"):
        lake.write("bars", tables["bars"].head(1))
    monkeypatch.undo()
    assert Lake(lake.uri).read("bars").equals(tables["bars"])


def test_the_log_of_a_table_tells_its_commits_newest_first(lake: Lake, tables: Tables) -> None:
    lake.write("bars", tables["bars"])
    assert [commit["version"] for commit in lake.history("bars")] == [1, 0]


def test_what_is_not_there_is_named_beside_what_is(lake: Lake) -> None:
    for ask in (lake.read, lake.version, lake.history):
        with pytest.raises(KestrelError, match=r"has no table 'caps' \(it has: calendar, securities, bars.*\)"):
            ask("caps")


def test_an_empty_folder_is_no_lake_and_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KestrelError, match=r"There is no lake at .*kestrel data import"):
        open_lake(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_facts_add_up_and_change(lake: Lake) -> None:
    lake.state({"import": "abc"})
    lake.state({"import": "def", "other": "1"})
    assert lake.facts() == {"schema_version": str(SCHEMA_VERSION), "price_basis": "raw", "import": "def", "other": "1"}
    assert lake.price_basis == "raw"


def aged(lake: Lake, version: int) -> None:
    """Make the lake one of another schema version; an older one lacks raw_close and keeps volume as whole numbers."""
    if version < SCHEMA_VERSION:
        old = lake.read("bars").drop("raw_close").with_columns(pl.col("volume").cast(pl.Int64))
        old.write_delta(lake.path("bars"), mode="overwrite", delta_write_options={"schema_mode": "overwrite"})
    lake.state({"schema_version": str(version)})


def test_a_lake_of_a_newer_schema_asks_to_upgrade(lake: Lake) -> None:
    aged(lake, SCHEMA_VERSION + 1)
    for act in (open_lake, migrate):
        with pytest.raises(KestrelError, match=rf"has schema {SCHEMA_VERSION + 1}.*Upgrade Kestrel"):
            act(lake.uri)


def test_a_lake_of_an_older_schema_asks_to_migrate_and_then_opens(lake: Lake, tables: Tables) -> None:
    aged(lake, SCHEMA_VERSION - 1)
    with pytest.raises(KestrelError, match=r"Bring it up: kestrel data migrate"):
        open_lake(lake.uri)
    assert set(migrate(lake.uri)) == set(tables)
    found = open_lake(lake.uri).read("bars")
    assert found.schema == tables["bars"].schema
    assert found.equals(tables["bars"].with_columns(raw_close=pl.lit(None, pl.Float64)))


def test_reports_of_the_first_schema_get_their_revisions(lake: Lake) -> None:
    filed = {"symbol": ["600000.SH"] * 2, "period_end": [date(2020, 12, 31)] * 2, "announced_on": [date(2021, 3, 30), date(2021, 8, 28)]}
    first = pl.DataFrame({**filed, "revenue": [1.0, 2.0], "net_profit": [1.0, 1.5]})
    first.write_delta(lake.path("reports"), mode="overwrite", delta_write_options={"schema_mode": "overwrite"})
    lake.state({"schema_version": "1"})
    assert "reports" in migrate(lake.uri)
    found = open_lake(lake.uri).read("reports")
    assert found["revision"].to_list() == [0, 1]
    assert found["total_assets"].to_list() == [None, None]  # a column of the third schema


def test_scores_of_the_third_schema_get_a_column_for_events(lake: Lake) -> None:
    third = pl.DataFrame({"id": ["a"], "symbol": ["600000.SH"], "scorer": ["one"], "score": [0.5]})
    third.write_delta(lake.path("news_scores"), mode="overwrite", delta_write_options={"schema_mode": "overwrite"})
    lake.state({"schema_version": "3"})
    assert "news_scores" in migrate(lake.uri)
    found = open_lake(lake.uri).read("news_scores")
    assert (found["score"].to_list(), found["event"].to_list()) == ([0.5], [None])
    with pytest.raises(KestrelError, match="event"):
        lake.write("news_scores", found.with_columns(event=pl.lit("earthquake")))


def test_migrating_again_changes_nothing(lake: Lake) -> None:
    before = lake.versions()
    assert migrate(lake.uri) == []
    assert lake.versions() == before


def test_a_lake_that_cannot_be_brought_up_is_left_as_it_was(lake: Lake) -> None:
    broken = lake.read("bars").drop("close")
    broken.write_delta(lake.path("bars"), mode="overwrite", delta_write_options={"schema_mode": "overwrite"})
    lake.state({"schema_version": str(SCHEMA_VERSION - 1)})
    before = {name: DeltaTable(lake.path(name)).version() for name in lake.tables()}
    with pytest.raises(KestrelError, match="bars has no column close"):
        migrate(lake.uri)
    assert {name: DeltaTable(lake.path(name)).version() for name in lake.tables()} == before
    assert lake.facts()["schema_version"] == str(SCHEMA_VERSION - 1)
