"""`kestrel data fetch`, `export` and `import --qlib` as a user meets them, and the live services for who has a network."""

import json
import os
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from click.testing import CliRunner, Result

from data.lake import Lake
from data.sources.source import Source, Span
from data.tables import TABLES
from pipelines import fetch
from pipelines.cli import main

Run = Callable[..., Result]
DAYS = [date(2024, 5, 6), date(2024, 5, 7), date(2024, 5, 8)]


class Told(Source):
    """A source of two stocks, the second spoilt on demand."""

    name = "baostock"
    volume = 1e5

    def bars(self, stock: str, span: Span) -> pl.DataFrame:
        prices = {"open": 10.0, "high": 10.2, "low": 9.8, "close": 10.0, "pre_close": 10.0, "is_st": False, "is_trading": True}
        sizes = {day: 1 + place for place, day in enumerate(DAYS)}
        traded = {day: {"volume": self.volume * size, "amount": 1e6 * size} for day, size in sizes.items()}
        return pl.DataFrame([{"date": day, "symbol": stock, **prices, **traded[day]} for day in DAYS])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `kestrel …` in an empty folder, with Told in place of BaoStock and no pauses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUSHARE_TOKEN", raising=False)
    monkeypatch.setitem(fetch.SOURCES, "baostock", Told)
    monkeypatch.setattr(fetch.time, "sleep", lambda seconds: None)
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words])


FETCH = ("data", "fetch", "bars", "--source", "baostock", "--index", "none", "--symbols", "600000,sz.000001", "--since", "2024-05-06")


def test_fetch_check_export_and_import(run: Run, tmp_path: Path) -> None:
    found = run(*FETCH, "--until", "2024-05-08", "--json")
    assert found.exit_code == 0, found.output
    assert {"table": "bars", "rows": 6, "version": 0} in json.loads(found.stdout)
    assert run("data", "check").exit_code == 0
    again = run(*FETCH, "--until", "2024-05-08")
    assert again.exit_code == 0
    assert "has all there is" in again.output
    assert run("data", "export", "--qlib", "out").exit_code == 0
    assert run("--lake", "back", "data", "import", "out", "--qlib").exit_code == 0
    assert Lake(tmp_path / "back").read("bars").equals(Lake(tmp_path / "lake").read("bars"))


def test_what_checks_refuse_exits_with_3(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Told, "volume", 1e3)
    found = run(*FETCH, "--until", "2024-05-08")
    assert found.exit_code == 3
    assert "volume is in lots" in found.output
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("data", "fetch", "--source", "bloomberg"), 1, "'bloomberg' is not a source. There are: auto, tushare, baostock, akshare."),
        (("data", "fetch", "prices"), 1, "'prices' can't be fetched. There are: members, bars"),
        (("data", "fetch", "bars", "--source", "baostock", "--index", "none"), 1, "name an index (--index 000905.SH) or stocks"),
        (("data", "fetch", "--source", "tushare", "--index", "none", "--symbols", "600000"), 1, "export TUSHARE_TOKEN="),
        (("data", "import", "."), 2, "Give --mapping FILE, or --qlib"),
    ],
)
def test_errors_say_what_to_do(run: Run, words: tuple[str, ...], code: int, says: str) -> None:
    found = run(*words)
    assert found.exit_code == code
    assert says in found.output


def test_a_session_counts_from_the_evening_on() -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    assert fetch.published(datetime(2024, 5, 8, 17, 59, tzinfo=shanghai)) == date(2024, 5, 7)
    assert fetch.published(datetime(2024, 5, 8, 10, 0, tzinfo=ZoneInfo("UTC"))) == date(2024, 5, 8)


def test_auto_begins_with_tushare_where_there_is_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUSHARE_TOKEN", raising=False)
    assert fetch.chain_of("auto").names == ["baostock", "akshare"]
    monkeypatch.setenv("TUSHARE_TOKEN", "x")
    assert fetch.chain_of("auto").names == ["tushare", "baostock", "akshare"]


@pytest.mark.live
@pytest.mark.parametrize("name", ["tushare", "baostock", "akshare"])
def test_the_real_service_keeps_the_contract(name: str) -> None:
    if name == "tushare" and not os.environ.get("TUSHARE_TOKEN"):
        pytest.skip("TUSHARE_TOKEN is not set")
    asking, span = fetch.chain_of(name), Span(date(2024, 5, 6), date(2024, 6, 28))
    questions = {
        "calendar": (span,),
        "securities": (),
        "bars": ("600000.SH", span),
        "market": (date(2024, 6, 28),),
        "members": ("000905.SH", span),
        "index_bars": ("000905.SH", span),
        "total_returns": ("000905.SH", span),
        "dividends": ("600000.SH", Span(date(2023, 1, 1), span.end)),
        "industries": (span,),
    }
    latest = {"members"} if name == "akshare" else set()  # it knows today's members alone
    for function, args in questions.items():
        if asking.offers(function) and function not in latest:
            _, rows = asking.ask(function, *args, empty="refuse")
            table = {"market": "bars", "total_returns": "index_bars"}.get(function, function)
            assert set(TABLES[table].primary_key()) <= set(rows.columns), function
