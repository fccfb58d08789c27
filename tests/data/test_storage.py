"""Storage that survives: broken files, full disks, locked folders, two writers; versions that a run needs stay through a vacuum."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from data.errors import KestrelError
from data.lake import Lake, open_lake
from data.query import sql
from data.vacuum import vacuum

Tables = dict[str, pl.DataFrame]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def twice(lake: Lake, tables: Tables) -> Lake:
    """A lake whose bars have two versions: 0 has all of them, 1 the first 500."""
    lake.write("bars", tables["bars"].head(500))
    return lake


def newest_file(lake: Lake) -> Path:
    return Path(DeltaTable(lake.path("bars")).file_uris()[0].removeprefix("file://"))


def log_entry(lake: Lake) -> Path:
    return Path(lake.path("bars")) / "_delta_log" / f"{1:020}.json"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BREAKS: dict[str, tuple[Callable[[Lake], None], str]] = {
    "a truncated file": (lambda lake: cut(newest_file(lake)), r"has \d+ bytes, not \d+.*kestrel data restore bars"),
    "a missing file": (lambda lake: newest_file(lake).unlink(), r"is missing.*Read an earlier version"),
    "scrambled bytes": (lambda lake: newest_file(lake).write_bytes(b"x" * newest_file(lake).stat().st_size), r"bars at .* can't be read: "),
    "a corrupt log entry": (lambda lake: log_entry(lake).write_bytes(b"{no json"), r"bars at .* can't be read: .*log entry of it is broken"),
    "half a log entry": (lambda lake: cut(log_entry(lake)), r"bars at .* can't be read: "),
    "an empty log entry": (
        lambda lake: log_entry(lake).write_bytes(b""),
        r"is empty, a write that never ended. Delete this file to go back to version 0",
    ),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_what_is_broken_is_one_clear_error_and_the_version_before_is_readable(twice: Lake, tables: Tables, broken: str) -> None:
    spoil, says = BREAKS[broken]
    spoil(twice)
    spoiled = Lake(twice.uri)  # one that had opened the table before needs its log no more
    with pytest.raises(KestrelError, match=says) as error:
        spoiled.read("bars")
    assert len(str(error.value).splitlines()) == 1
    assert Lake(twice.uri, versions={"bars": 0}).read("bars").equals(tables["bars"])
    with pytest.raises(KestrelError):
        sql(spoiled, "SELECT sum(close) FROM bars")
    assert sql(Lake(twice.uri, versions={"bars": 0}), "SELECT count(*) FROM bars").item() == 4000


def test_going_back_to_an_earlier_version_is_a_commit_of_its_own(twice: Lake, tables: Tables) -> None:
    cut(newest_file(twice))
    assert twice.restore("bars", 0) == 2
    assert twice.read("bars").equals(tables["bars"])
    with pytest.raises(KestrelError, match="version 9 of bars"):
        twice.restore("bars", 9)


def test_a_lake_is_read_as_it_was_at_a_moment(lake: Lake, tables: Tables) -> None:
    first = datetime.fromtimestamp(lake.history("bars")[0]["timestamp"] / 1000, UTC)
    lake.write("bars", tables["bars"].head(5))
    assert lake.at(first).read("bars").equals(tables["bars"])
    assert lake.at(datetime.now(UTC)).read("bars").height == 5
    before = lake.at(first - timedelta(days=1))
    assert before.tables() == []
    with pytest.raises(KestrelError, match="no table 'bars'"):
        before.read("bars")


def test_a_pinned_lake_reads_the_same_rows_whatever_is_written_later(lake: Lake, tables: Tables) -> None:
    pinned = lake.pin()
    lake.write("bars", tables["bars"].head(5))
    lake.state({"price_basis": "adjusted"})
    assert pinned.read("bars").equals(tables["bars"])
    assert (pinned.price_basis, lake.price_basis) == ("raw", "adjusted")


def test_a_schema_version_that_is_no_number_is_one_clear_error(lake: Lake) -> None:
    lake.state({"schema_version": "two"})
    with pytest.raises(KestrelError, match="says that its schema is 'two', which is no number"):
        open_lake(lake.uri)


def test_old_versions_are_never_forgotten_by_themselves(lake: Lake) -> None:
    assert DeltaTable(lake.path("bars")).metadata().configuration["delta.enableExpiredLogCleanup"] == "false"


# -- vacuum


def test_vacuum_takes_old_versions_but_none_that_a_run_needs(lake: Lake, tables: Tables) -> None:
    for count in (10, 20, 30):
        lake.write("bars", tables["bars"].head(count))
    told = {one.table: one for one in vacuum(lake, {"bars": [1]}, hours=0, dry_run=True)}
    assert (told["bars"].files, told["bars"].kept) == (2, (1,))
    assert told["bars"].bytes > 0
    assert lake.read("bars").height == 30
    vacuum(lake, {"bars": [1]}, hours=0, dry_run=False)
    assert lake.version("bars") == 3  # nothing was committed: what a run recorded is still the newest
    assert [Lake(lake.uri, versions={"bars": version}).read("bars").height for version in (1, 3)] == [10, 30]
    for gone in (0, 2):
        with pytest.raises(KestrelError, match="is missing"):
            Lake(lake.uri, versions={"bars": gone}).read("bars")
    assert {one.files for one in vacuum(lake, {"bars": [1]}, hours=0, dry_run=False)} == {0}


def test_vacuum_leaves_what_was_replaced_lately_and_takes_what_killed_writers_left(lake: Lake, tables: Tables) -> None:
    lake.write("bars", tables["bars"].head(10))
    orphan = Path(lake.path("bars")) / "part-of-a-killed-writer.parquet"
    tables["bars"].head(3).write_parquet(orphan)
    old = datetime.now(UTC) - timedelta(hours=30)
    os.utime(orphan, (old.timestamp(), old.timestamp()))
    found = {one.table: one.files for one in vacuum(lake, {}, hours=24, dry_run=False)}
    assert found["bars"] == 1
    assert not orphan.exists()
    assert Lake(lake.uri, versions={"bars": 0}).read("bars").height == 4000


# -- writers that cannot write


def in_child(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, whose limits and user it may change."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RUST_BACKTRACE": "0"}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


FULL = """
    import resource, signal, sys
    from data.errors import KestrelError
    from data.lake import Lake
    lake = Lake(sys.argv[1])
    bars = lake.read("bars")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        lake.write("bars", bars)
    except KestrelError as error:
        print(error)
"""

LOCKED = """
    import os, sys
    from data.errors import KestrelError
    from data.lake import Lake
    lake = Lake(sys.argv[1])
    bars = lake.read("bars")
    os.setuid(65534) if os.getuid() == 0 else os.system(f"chmod -R a-w {sys.argv[1]}")
    try:
        lake.write("bars", bars.head(5))
    except KestrelError as error:
        print(error)
    print(Lake(sys.argv[1]).read("bars").height)
"""


def test_a_full_disk_is_one_clear_error_and_the_version_before_is_readable(lake: Lake, tables: Tables) -> None:
    found = in_child(FULL, lake.uri)
    assert found.stdout.startswith("No room to write bars at "), found.stderr
    assert "Nothing was written; the version before is untouched. Free some space" in found.stdout
    assert lake.version("bars") == 0
    assert lake.read("bars").equals(tables["bars"])


def test_a_folder_that_may_not_be_written_is_one_clear_error_and_stays_readable(lake: Lake, tmp_path: Path) -> None:
    for folder in (tmp_path, *(parent for parent in tmp_path.parents if parent.name.startswith(("pytest-", "popen-")))):
        folder.chmod(0o755)  # pytest's folders are its user's alone, and as root the child becomes another user
    found = in_child(LOCKED, lake.uri)
    said, height = found.stdout.splitlines()
    assert "can't be written: " in said
    assert "ermission" in said
    assert height == "4000"
    os.system(f"chmod -R u+w {lake.uri}")


def test_two_writers_of_other_sessions_both_land(lake: Lake, tables: Tables) -> None:
    days = tables["bars"]["date"].unique().sort().to_list()

    def write(day: date) -> int:
        new = tables["bars"].filter(pl.col("date") == day).with_columns(pl.col("close") + 100)
        return Lake(lake.uri).replace("bars", new, day, day)

    with ThreadPoolExecutor(4) as pool:
        versions = sorted(pool.map(write, days))
    assert max(versions) == lake.version("bars") == len(days)
    assert lake.read("bars").equals(tables["bars"].with_columns(pl.col("close") + 100))


def test_two_writers_of_a_whole_table_both_land_or_one_is_told_so(lake: Lake, tables: Tables) -> None:
    def write(count: int) -> str:
        try:
            Lake(lake.uri).write("bars", tables["bars"].head(count))
        except KestrelError as error:
            return str(error)
        return "landed"

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(write, range(1, 9)))
    assert "landed" in said
    assert {text for text in said if text != "landed"} <= {
        "Another process wrote bars at the same moment. Nothing was written; the version before is untouched. Run this again."
    }
    assert lake.version("bars") == said.count("landed")
    assert lake.read("bars").height in range(1, 9)


# -- kill -9

WRITER = """
    import sys
    from datetime import date, timedelta
    import polars as pl
    from data.lake import Lake
    lake, started = Lake(sys.argv[1]), int(sys.argv[2])
    print("ready", flush=True)
    for stamp in range(started, started + 1_000_000):
        days = [date(2020, 1, 1) + timedelta(days=n) for n in range(500)]
        frame = pl.DataFrame({"date": days, "session": [stamp] * len(days)}, schema_overrides={"session": pl.Int32})
        if stamp % 2:
            lake.write("calendar", frame)
        else:
            lake.replace("calendar", frame, days[0], days[-1])
        print(stamp, flush=True)
"""


def killed(uri: str, stamp: int, after: float) -> int:
    """Start a writer, kill it -9 some seconds after its first line; the last stamp that it said was committed, -1 if none."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(WRITER), uri, str(stamp)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(after)
        writer.send_signal(signal.SIGKILL)
        said = [int(line) for line in writer.stdout.read().split("\n") if line.strip().isdecimal()]
    return said[-1] if said else -1


def survive(uri: str, kills: int) -> None:
    """After every kill the table is whole, holds the last commit that was told or a later one, and every version before is whole too."""
    lake, stamp, version = Lake(uri), 0, -1
    for kill in range(kills):
        said = killed(uri, stamp, 0.02 + 0.013 * (kill * 7 % 23))
        if not lake.has("calendar"):
            assert said == -1
            continue
        table = lake.read("calendar")
        assert table.height == 500, "half a table"
        assert table["session"].n_unique() == 1, "rows of two commits"
        assert table["session"][0] >= max(said, stamp - 1), "a commit was lost"
        assert lake.version("calendar") >= version
        stamp, version = table["session"][0] + 1, lake.version("calendar")
    assert stamp > 0
    for earlier in range(0, version + 1, max(version // 50, 1)):
        found = Lake(uri, versions={"calendar": earlier}).read("calendar")
        assert (found.height, found["session"].n_unique(), found["session"][0]) == (500, 1, earlier)


def test_five_writers_killed_at_work_leave_no_half_table_and_lose_no_commit(tmp_path: Path) -> None:
    survive(str(tmp_path / "lake"), 5)


@pytest.mark.slow
def test_two_hundred_writers_killed_at_work_leave_no_half_table_and_lose_no_commit(tmp_path: Path) -> None:
    survive(str(tmp_path / "lake"), 200)
