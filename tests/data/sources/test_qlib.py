"""Qlib folders: out and in gives the same market, out again the same bytes; foreign folders are read by their own rules."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data.errors import KestrelError
from data.fetch import Wish, fetch
from data.lake import Lake
from data.sources.qlib import export_qlib, import_qlib

START, END = date(2024, 5, 6), date(2024, 6, 28)
EXACT = ["date", "symbol", "open", "high", "low", "close", "pre_close", "adj", "is_st", "is_trading", "limit_up", "limit_down"]


@pytest.fixture
def held(lake: Lake, replay: Any, chain: Any) -> Lake:
    """A lake of the small exchange."""
    fetch(lake, chain(replay()), Wish(since=START, symbols=("all",), tables=("members", "bars", "index_bars")), until=END)
    return lake


def test_out_and_in_gives_the_same_market(held: Lake, tmp_path: Path) -> None:
    export_qlib(held, tmp_path / "qlib")
    back = Lake(tmp_path / "back")
    import_qlib(back, tmp_path / "qlib")
    mine, theirs = held.read("bars"), back.read("bars")
    free = (pl.col("symbol") == "001234.SZ") & (pl.col("date") < date(2024, 6, 13))  # its day of listing isn't in a Qlib folder
    assert_frame_equal(theirs.select(EXACT[:-2]), mine.select(EXACT[:-2]), check_exact=True)
    assert_frame_equal(theirs.filter(~free).select(EXACT), mine.filter(~free).select(EXACT), check_exact=True)
    assert_frame_equal(theirs.select("volume", "amount"), mine.select("volume", "amount"), rel_tol=1e-7, abs_tol=0)
    assert back.read("calendar").equals(held.read("calendar"))
    assert_frame_equal(
        back.read("index_bars").select("date", "index", "close"), held.read("index_bars").select("date", "index", "close"), rel_tol=1e-7
    )
    first = held.read("members").filter(pl.col("date") == START)
    assert back.read("members").select("date", "index", "symbol").equals(first.select("date", "index", "symbol"))  # the lists never changed


def test_out_again_gives_the_same_bytes(held: Lake, tmp_path: Path) -> None:
    export_qlib(held, tmp_path / "one")
    back = Lake(tmp_path / "back")
    import_qlib(back, tmp_path / "one")
    export_qlib(back, tmp_path / "two")
    files = sorted(file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(tmp_path / "two") for file in (tmp_path / "two").rglob("*") if file.is_file())
    differ = [file for file in files if (tmp_path / "one" / file).read_bytes() != (tmp_path / "two" / file).read_bytes()]
    assert differ == []


def test_a_bin_starts_with_its_place_and_is_silent_where_nothing_traded(held: Lake, tmp_path: Path) -> None:
    export_qlib(held, tmp_path / "qlib")
    days = (tmp_path / "qlib" / "calendars" / "day.txt").read_text().split()
    values = np.fromfile(tmp_path / "qlib" / "features" / "sz000001" / "close.day.bin", dtype="<f4")
    bars = held.read("bars").filter(pl.col("symbol") == "000001.SZ")
    assert days[int(values[0])] == "2024-05-06"
    assert np.isnan(values[1:]).tolist() == (~bars["is_trading"]).to_list()
    traded = bars.filter("is_trading")
    assert values[1:][~np.isnan(values[1:])].tolist() == pytest.approx((traded["close"] * traded["adj"]).to_list(), rel=1e-6)
    assert (tmp_path / "qlib" / "instruments" / "all.txt").read_text().splitlines()[1] == "SZ000024\t2024-05-06\t2024-05-31"


def test_members_become_spans_and_lists_again(held: Lake, tmp_path: Path) -> None:
    lists = {START: ["000001.SZ", "600000.SH"], date(2024, 5, 20): ["000001.SZ"], date(2024, 6, 17): ["000001.SZ", "600000.SH"]}
    rows = [(day, "000905.SH", stock, None) for day, stocks in lists.items() for stock in stocks]
    held.write("members", pl.DataFrame(rows, schema={"date": pl.Date, "index": pl.String, "symbol": pl.String, "weight": pl.Float64}, orient="row"))
    export_qlib(held, tmp_path / "qlib")
    assert (tmp_path / "qlib" / "instruments" / "csi500.txt").read_text().splitlines() == [
        "SZ000001\t2024-05-06\t2024-06-28",
        "SH600000\t2024-05-06\t2024-05-19",
        "SH600000\t2024-06-17\t2024-06-28",
    ]
    back = Lake(tmp_path / "back")
    import_qlib(back, tmp_path / "qlib")
    assert back.read("members").equals(held.read("members"))


def foreign(folder: Path, **fields: list[float]) -> Path:
    """A folder as others dump it: one stock, from the second session on."""
    (folder / "calendars").mkdir(parents=True)
    (folder / "calendars" / "day.txt").write_text("2024-05-06\n2024-05-07\n2024-05-08\n2024-05-09\n")
    (folder / "features" / "sh600000").mkdir(parents=True)
    for name, values in fields.items():
        np.array([1, *values], dtype="<f4").tofile(folder / "features" / "sh600000" / f"{name}.day.bin")
    return folder


QUOTES = {"open": [20.0, 20.2, 20.4], "high": [20.4, 20.6, 20.8], "low": [19.8, 20.0, 20.2], "close": [20.2, 20.4, 20.6]}


def test_raw_prices_are_what_the_factor_leaves(lake: Lake, tmp_path: Path) -> None:
    import_qlib(lake, foreign(tmp_path / "qlib", **QUOTES, volume=[5e4, 5e4, 5e4], factor=[2.0, 2.0, 4.0]))
    bars = lake.read("bars")
    assert lake.price_basis == "raw"
    assert bars.select("date", "close", "pre_close", "volume").rows() == [
        (date(2024, 5, 7), 10.1, 10.0, 100_000.0),
        (date(2024, 5, 8), 10.2, 10.1, 100_000.0),
        (date(2024, 5, 9), 5.15, 5.1, 200_000.0),  # a split: the reference price is half of 10.20
    ]
    assert bars["adj"].to_list() == [1.0, 1.0, 2.0]


def test_without_a_factor_prices_are_adjusted_ones(lake: Lake, tmp_path: Path) -> None:
    import_qlib(lake, foreign(tmp_path / "qlib", **QUOTES, volume=[5e4, 5e4, 5e4]))
    assert lake.price_basis == "adjusted"
    assert lake.read("bars")["close"].to_list() == pytest.approx(QUOTES["close"])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "calendars" / "day.txt").unlink(), "There is no"),
        (lambda f: (f / "calendars" / "day.txt").write_text("tomorrow"), "isn't a calendar"),
        (lambda f: (f / "features" / "sh600000" / "open.day.bin").write_bytes(b"12345"), "open.day.bin is broken"),
        (lambda f: np.array([3, 1, 2, 3], dtype="<f4").tofile(f / "features" / "sh600000" / "open.day.bin"), "from place 3 of 4 sessions"),
        (lambda f: (f / "features" / "sh600000" / "open.day.bin").unlink(), "has no field open"),
        (lambda f: (f / "instruments").mkdir() or (f / "instruments" / "csi500.txt").write_text("SH600000 2024"), "isn't a list of instruments"),
    ],
)
def test_a_broken_folder_is_named(lake: Lake, tmp_path: Path, spoil: Any, says: str) -> None:
    folder = foreign(tmp_path / "qlib", **QUOTES, volume=[5e4, 5e4, 5e4], factor=[2.0, 2.0, 4.0])
    spoil(folder)
    with pytest.raises(KestrelError, match=says):
        import_qlib(lake, folder)
    assert not Path(lake.uri).exists()


def test_a_folder_that_holds_something_is_not_written_into(held: Lake, tmp_path: Path) -> None:
    (tmp_path / "qlib").mkdir()
    (tmp_path / "qlib" / "mine.txt").write_text("x")
    with pytest.raises(KestrelError, match="isn't empty"):
        export_qlib(held, tmp_path / "qlib")
