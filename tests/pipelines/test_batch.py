"""The evening's batch: once each or refused with a reason, whatever happens to the data, the disk or the process."""

import errno
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from click.testing import CliRunner

from data.calendar import Sessions
from data.errors import ChecksFailed, KestrelError
from data.ingest import write_tables
from data.lake import Lake, open_lake
from data.sources.source import VendorError
from pipelines.batch.day import LOCK, Asked, Evening, due, run_batch
from pipelines.batch.gates import gate
from pipelines.batch.journal import FILE, Journal
from pipelines.batch.lock import Locked, locked
from pipelines.batch.notice import tell
from pipelines.batch.settings import NoticeSettings
from pipelines.batch.timer import timer
from pipelines.cli import main
from pipelines.config import Config
from pipelines.publication import mend, publish, published

OfficeIn = Callable[..., Config]
SHANGHAI = ZoneInfo("Asia/Shanghai")
TABLE = {"orders.csv": pl.DataFrame({"symbol": ["600000.SH"]})}


def evenings(lake: Lake, count: int) -> list[date]:
    """The last sessions but twenty."""
    days: list[date] = lake.read("bars", columns=["date"])["date"].unique().sort().to_list()
    return days[-count - 20 : -20]


def files(folder: Path) -> dict[str, bytes]:
    """Everything that is published, but for the manifests, which say when and from which versions."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"}


def test_an_evening_is_published_once_with_its_steps_noted(office: Path, office_in: OfficeIn) -> None:
    config = office_in(office)
    (day,) = evenings(open_lake(office / "lake"), 1)
    (first,) = run_batch(config, Asked(day=day))
    before = files(office / "signals")
    (second,) = run_batch(config, Asked(day=day))
    assert (first.outcome, second.outcome) == ("published", "unchanged")
    assert first.exit_code == second.exit_code == 0
    assert files(office / "signals") == before
    rows = Journal(office / "runs" / FILE).last(10)
    assert [row["outcome"] for row in rows] == ["published", "unchanged"]
    assert list(rows[0]["steps"]) == ["checks", "factors", "model", "positions", "orders", "drift", "publish"]
    manifest = json.loads((Path(str(first.folder)) / "manifest.json").read_text())
    assert manifest["account"] == "paper"
    assert manifest["versions"] == open_lake(office / "lake").versions()
    assert set(manifest["fits"].values())
    assert manifest["config"]["batch"]["book"] == "paper"
    assert pl.read_csv(Path(str(first.folder)) / "drift.csv")["factor"].len() == 12


def test_a_missed_week_is_caught_up_with_the_files_of_daily_runs(office: Path, office_in: OfficeIn) -> None:
    daily = office_in(office)
    days = evenings(open_lake(office / "lake"), 3)
    for day in days:
        run_batch(daily, Asked(day=day))
    late = daily.model_copy(update={"signals": str(office / "late")})
    run_batch(late, Asked(day=days[0]))
    outcomes = run_batch(late, Asked(day=days[-1], catch_up=True))
    assert [(found.session, found.outcome) for found in outcomes] == [(day, "published") for day in days[1:]]
    assert files(office / "late") == files(office / "signals")
    (nothing,) = run_batch(late, Asked(day=days[-1]))
    assert nothing.outcome == "unchanged"


def test_what_is_published_is_final_until_it_is_asked_for_again(office: Path, office_in: OfficeIn) -> None:
    (day,) = evenings(open_lake(office / "lake"), 1)
    run_batch(office_in(office), Asked(day=day))
    before = files(office / "signals")
    changed = office_in(office, backtest__strategy={"kind": "topk_buffer", "k": 5, "buffer": 9})
    assert run_batch(changed, Asked(day=day))[0].outcome == "unchanged"
    (refused,) = run_batch(office_in(office), Asked(day=day, model="five_factors"))
    assert "new ones would rewrite that" in refused.reason
    assert files(office / "signals") == before
    assert run_batch(changed, Asked(day=day, again=True))[0].outcome == "published"
    assert files(office / "signals") != before


def test_a_dry_run_works_everything_out_and_writes_nothing(office: Path, office_in: OfficeIn) -> None:
    (day,) = evenings(open_lake(office / "lake"), 1)
    (found,) = run_batch(office_in(office), Asked(day=day, dry_run=True))
    assert found.outcome == "dry"
    assert found.orders > 0
    assert not (office / "signals").exists()
    assert not (office / "runs" / FILE).exists()


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 7, 30, 16, 59, tzinfo=SHANGHAI), date(2026, 7, 29)),  # a Thursday before the hour
        (datetime(2026, 7, 30, 9, 0, tzinfo=ZoneInfo("UTC")), date(2026, 7, 30)),  # 17:00 in Shanghai
        (datetime(2026, 7, 30, 10, 0, tzinfo=ZoneInfo("Europe/Berlin")), date(2026, 7, 29)),
        (datetime(2026, 7, 30, 20, 0, tzinfo=ZoneInfo("America/New_York")), date(2026, 7, 30)),  # Friday morning there
        (datetime(2026, 8, 2, 18, 0, tzinfo=SHANGHAI), date(2026, 7, 31)),  # a Sunday
        (datetime(2026, 10, 5, 18, 0, tzinfo=SHANGHAI), date(2026, 9, 30)),  # the national holiday
    ],
)
def test_what_is_due_is_asked_of_shanghais_clock(prepared: Path, office_in: OfficeIn, moment: datetime, expected: date) -> None:
    assert due(open_lake(prepared / "lake"), office_in(prepared), Asked(), moment) == [expected]


def test_a_day_that_is_no_session_names_the_one_before(prepared: Path, office_in: OfficeIn) -> None:
    with pytest.raises(KestrelError, match=r"2026-08-02 is not a session.*The last one before it is 2026-07-31"):
        due(open_lake(prepared / "lake"), office_in(prepared), Asked(day=date(2026, 8, 2)), datetime.now(SHANGHAI))


def half(bars: pl.DataFrame, day: date) -> pl.DataFrame:
    return bars.filter((pl.col("date") < day) | (pl.col("symbol") < "300"))


def frozen(bars: pl.DataFrame, day: date) -> pl.DataFrame:
    before = bars.filter(pl.col("date") == bars.filter(pl.col("date") < day)["date"].max())
    return pl.concat([bars.filter(pl.col("date") != day), before.with_columns(pl.lit(day).alias("date"))])


def impossible(bars: pl.DataFrame, day: date) -> pl.DataFrame:
    return bars.with_columns(pl.when(pl.col("date") == day).then(pl.col("low") / 2).otherwise("high").alias("high"))


@pytest.mark.parametrize(
    ("break_", "says"),
    [
        (lambda bars, day: bars.filter(pl.col("date") < day), "no stock has a bar; the lake ends on"),
        (half, "a vendor that is half loaded"),
        (frozen, "a vendor that serves yesterday"),
        (impossible, "bars: "),
    ],
)
def test_data_that_are_not_fit_forbid_orders(prepared: Path, office_in: OfficeIn, tables: dict[str, pl.DataFrame], break_: Any, says: str) -> None:
    (day,) = evenings(open_lake(prepared / "lake"), 1)
    lake = _Held(open_lake(prepared / "lake"), {"bars": break_(tables["bars"], day)})
    with pytest.raises(ChecksFailed, match=says) as found:
        gate(lake, office_in(prepared), day)  # type: ignore[arg-type]
    assert found.value.exit_code == 3
    assert gate(open_lake(prepared / "lake"), office_in(prepared), day) is not None


class _Held:
    """A lake of which some tables are others."""

    def __init__(self, lake: Lake, tables: dict[str, pl.DataFrame]) -> None:
        self.lake, self.held = lake, tables

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lake, name)

    def read(self, name: str, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
        if name not in self.held:
            return self.lake.read(name, start=start, end=end)
        return self.held[name].filter(pl.col("date") >= start, pl.col("date") <= end)

    def scan(self, name: str) -> pl.LazyFrame:
        return self.held[name].lazy() if name in self.held else self.lake.scan(name)

    def has(self, name: str) -> bool:
        return name in self.held or self.lake.has(name)


@pytest.mark.parametrize(("rule", "found"), [("warn", "warning"), ("require", "blocking"), ("ignore", None)])
def test_a_silent_news_feed_warns_stops_or_is_ignored(
    prepared: Path, office_in: OfficeIn, tables: dict[str, pl.DataFrame], rule: str, found: str | None
) -> None:
    (day,) = evenings(open_lake(prepared / "lake"), 1)
    silent = tables["news"].filter(pl.col("published_at").dt.date() < day - timedelta(days=9))
    lake, config = _Held(open_lake(prepared / "lake"), {"news": silent}), office_in(prepared, batch__news=rule)
    if found == "blocking":
        with pytest.raises(ChecksFailed, match="news feed"):
            gate(lake, config, day)  # type: ignore[arg-type]
        return
    said = [one for one in gate(lake, config, day) if one.check == "news feed"]  # type: ignore[arg-type]
    assert [one.severity for one in said] == ([] if found is None else [found])


def test_a_model_that_is_stale_damaged_or_gone_is_refused(office: Path, office_in: OfficeIn) -> None:
    (day,) = evenings(open_lake(office / "lake"), 1)
    (stale,) = run_batch(office_in(office, batch__model_age=20), Asked(day=day))
    assert "batch.model_age allows 20" in stale.reason
    for home in (office / "runs" / "fits").glob("*/model"):
        for file in home.iterdir():
            file.write_bytes(file.read_bytes().replace(b"0", b"1"))
    (damaged,) = run_batch(office_in(office), Asked(day=day))
    assert "isn't what was saved" in damaged.reason
    for home in (office / "runs" / "fits").glob("*/model"):
        (home / "model.json").unlink()
    (gone,) = run_batch(office_in(office), Asked(day=day))
    assert "is missing" in gone.reason
    assert [found.exit_code for found in (stale, damaged, gone)] == [1, 1, 1]
    assert not published(office / "signals")
    assert [row["outcome"] for row in Journal(office / "runs" / FILE).last(1)] == ["refused"] * 3


def test_a_vendor_that_is_down_is_tried_again_and_what_it_brings_is_published(
    office: Path, office_in: OfficeIn, tables: dict[str, pl.DataFrame]
) -> None:
    config = office_in(office, batch__fetch=True)
    (day,) = evenings(open_lake(office / "lake"), 1)
    lake = open_lake(office / "lake")
    lake.replace("bars", tables["bars"].filter(pl.col("date") < day), day, date(2030, 1, 1))

    def down(*_: object) -> list[str]:
        raise VendorError("nobody answers")

    def up(lake: Lake, config: Config, until: date) -> list[str]:
        lake.replace("bars", tables["bars"], until, until)
        return ["asked one by one"]

    (refused,) = run_batch(config, Asked(day=day), fetcher=down)
    (found,) = run_batch(config, Asked(day=day), fetcher=up)
    assert (refused.exit_code, refused.reason) == (4, "nobody answers")
    assert (found.outcome, found.warnings[0]) == ("published", "asked one by one")


def test_a_full_disk_leaves_nothing_behind_and_is_told(office: Path, office_in: OfficeIn, monkeypatch: pytest.MonkeyPatch) -> None:
    (day,) = evenings(open_lake(office / "lake"), 1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.publication.write_json", full)
        (found,) = run_batch(office_in(office), Asked(day=day))
    assert (found.outcome, found.exit_code) == ("refused", 1)
    assert "No space left" in found.reason
    assert not list((office / "signals").iterdir())
    assert run_batch(office_in(office), Asked(day=day))[0].outcome == "published"


def test_a_run_ledger_that_cannot_be_written_refuses_the_evening(office: Path, office_in: OfficeIn) -> None:
    (office / "runs" / FILE).mkdir()
    (found,) = run_batch(office_in(office), Asked(day=evenings(open_lake(office / "lake"), 1)[0]))
    assert (found.outcome, found.exit_code) == ("refused", 1)
    assert "unable to open database" in found.reason
    assert not published(office / "signals")


@pytest.mark.parametrize("step", ["orders", "publish"])
def test_a_batch_killed_in_any_step_is_completed_by_the_next(office: Path, office_in: OfficeIn, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    (day,) = evenings(open_lake(office / "lake"), 1)

    class Killed(BaseException):
        pass

    whole = Evening.step

    @contextmanager
    def dies(self: Evening, name: str) -> Iterator[None]:
        with whole(self, name):
            yield
            if name == step:
                raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Evening, "step", dies)
        with pytest.raises(Killed):
            run_batch(office_in(office), Asked(day=day))
    (found,) = run_batch(office_in(office), Asked(day=day))
    assert found.outcome == ("unchanged" if step == "publish" else "published")
    assert [row["outcome"] for row in Journal(office / "runs" / FILE).last(1)] == ["killed", found.outcome]


def test_a_folder_moved_aside_by_a_killed_publisher_comes_back(tmp_path: Path) -> None:
    publish(tmp_path / "2024-01-02", TABLE, {"identity": "first", "session": "2024-01-02"})
    os.rename(tmp_path / "2024-01-02", tmp_path / ".2024-01-02.old")
    (tmp_path / ".2024-01-03.new").mkdir()
    mend(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["2024-01-02"]
    assert published(tmp_path)[date(2024, 1, 2)]["identity"] == "first"


def test_two_batches_at_once_one_waits_or_says_so(tmp_path: Path) -> None:
    held, ended = multiprocessing.get_context("fork").Event(), multiprocessing.get_context("fork").Event()

    def other() -> None:
        with locked(tmp_path / LOCK):
            held.set()
            ended.wait(30)

    process = multiprocessing.get_context("fork").Process(target=other)
    process.start()
    assert held.wait(30)
    with pytest.raises(Locked, match=f"process {process.pid}.*--wait 600"), locked(tmp_path / LOCK):
        pass
    ended.set()
    with locked(tmp_path / LOCK, wait=30):
        process.join()
    assert Locked.exit_code == 4


def test_the_lock_of_a_killed_batch_is_free(tmp_path: Path) -> None:
    def dies() -> None:
        with locked(tmp_path / LOCK):
            os.kill(os.getpid(), 9)

    process = multiprocessing.get_context("fork").Process(target=dies)
    process.start()
    process.join()
    with locked(tmp_path / LOCK):
        pass


def test_a_notice_reaches_a_command_and_waits_for_nobody(tmp_path: Path) -> None:
    rows = [{"session": date(2024, 1, 2), "exit_code": 0, "warnings": []}]
    slow = NoticeSettings(command=("sh", "-c", f"cat > {tmp_path}/told.new; mv {tmp_path}/told.new {tmp_path}/told; sleep 5"))
    assert tell(slow, rows) == []
    for _ in range(200):
        if (tmp_path / "told").exists():
            break
        time.sleep(0.05)
    assert json.loads((tmp_path / "told").read_text())[0]["session"] == "2024-01-02"
    assert "wasn't sent" in tell(NoticeSettings(command=("no-such-program",)), rows)[0]
    assert tell(NoticeSettings(command=("no-such-program",), on="trouble"), rows) == []


@pytest.mark.parametrize(("kind", "says"), [("systemd", "OnCalendar=Mon..Fri 17:00 Asia/Shanghai"), ("cron", "5 * * * * cd '/a b' && kestrel")])
def test_a_timer_runs_at_five_in_shanghai_wherever_the_host_is(kind: str, says: str) -> None:
    text = timer(kind, 17, Path("/a b"), ("--set", "batch.book=paper"))
    assert says in text
    assert "signal --catch-up" in text


def test_the_commands_say_by_json_and_exit_codes_what_came_of_it(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(office)
    first, second = evenings(open_lake(office / "lake"), 2)

    def run(*words: object) -> Any:
        return CliRunner().invoke(main, ["--set", "batch.book=paper", *(str(word) for word in words)])

    for day in (first, second):
        found = run("signal", "--date", day, "--json")
        assert found.exit_code == 0, found.output
        assert json.loads(found.stdout)[0]["outcome"] == "published"
    refused = run("--set", "batch.model_age=1", "signal", "--date", Sessions.of(open_lake("lake").read("calendar")).next(second))
    assert refused.exit_code == 1
    assert "Run: kestrel train" in refused.stderr
    status = json.loads(run("status", "--json").stdout)
    assert [row["outcome"] for row in status] == ["published", "published", "refused"]
    assert "refused" in run("status").stdout
    told = run("paper", "--date", second, "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)[0]["sessions"] == 1


def test_a_lake_that_ends_early_is_not_taken_for_today(tmp_path: Path, office_in: OfficeIn, tables: dict[str, pl.DataFrame]) -> None:
    lake = Lake(tmp_path / "lake")
    write_tables(lake, {name: tables[name].tail(5000) if name == "bars" else tables[name] for name in ("calendar", "securities", "bars")}, "raw", {})
    with pytest.raises(ChecksFailed, match="the lake ends on 2026-07-31"):
        gate(lake, office_in(tmp_path), due(lake, office_in(tmp_path), Asked(), datetime(2026, 8, 5, 18, tzinfo=SHANGHAI))[0])
