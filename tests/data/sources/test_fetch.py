"""Fetching: whole or not at all, goes on where it stopped, falls back, asks nothing twice."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data.errors import ChecksFailed, KestrelError
from data.fetch import Outcome, Wish, fetch
from data.lake import Lake
from data.sources.chain import Chain
from data.sources.source import Busy, VendorError

Chained = Callable[..., Chain]
START, END = date(2024, 5, 6), date(2024, 6, 28)
WISH = Wish(since=START, symbols=("all",), tables=("members", "bars", "index_bars"))


def fetched(lake: Lake, chain: Chain, wish: Wish = WISH, until: date = END) -> Outcome:
    outcome = fetch(lake, chain, wish, until=until)
    assert outcome is not None
    return outcome


def asked(exchange: Any, function: str) -> list[dict[str, Any]]:
    return [said for name, said in exchange.calls if name == function]


def test_a_second_fetch_asks_nothing(lake: Lake, exchange: Any, replay: Any, chain: Chained) -> None:
    fetched(lake, chain(replay()))
    exchange.calls.clear()
    versions = lake.versions()
    assert fetch(lake, chain(replay()), WISH, until=END + timedelta(days=1)) is None  # a Saturday
    assert exchange.calls == []
    assert lake.versions() == versions


def test_day_by_day_gives_the_same_lake_as_all_at_once(
    lake: Lake, exchange: Any, replay: Any, chain: Chained, tmp_path: Path, passes: Any, same_bars: Any
) -> None:
    fetched(lake, chain(replay()))
    daily = Lake(tmp_path / "daily")
    for day in [*exchange.days[15::6], END]:
        exchange.until = day
        fetched(daily, chain(replay()), until=day)
    same_bars(daily)
    for name in ("bars", "caps"):
        assert daily.read(name).equals(lake.read(name)), name
    assert asked(exchange, "market")  # few sessions of many stocks are asked by day
    passes(daily)


@pytest.mark.parametrize("at", [0, 3, 6])
def test_an_interrupted_fetch_goes_on_where_it_stopped(lake: Lake, exchange: Any, replay: Any, chain: Chained, same_bars: Any, at: int) -> None:
    exchange.faults.append(lambda name, said: KeyboardInterrupt() if name == "bars" and len(asked(exchange, "bars")) == at + 1 else None)
    source = replay()
    source._told = lambda name, frame, **said: _interrupting(exchange, name, frame, said)
    with pytest.raises(KeyboardInterrupt):
        fetched(lake, chain(source))
    assert lake.tables() == []
    exchange.faults.clear()
    before = len(asked(exchange, "bars"))
    fetched(lake, chain(replay()))
    assert len(asked(exchange, "bars")) == before + 7 - at
    assert len(asked(exchange, "securities")) == 1
    same_bars(lake)
    assert not Path(f"{lake.uri}.fetch").exists()


def _interrupting(exchange: Any, name: str, frame: pl.DataFrame, said: dict[str, Any]) -> pl.DataFrame:
    found = exchange.asked(name, **said)
    if isinstance(found, BaseException):
        raise found
    return frame


def test_a_commit_cut_in_the_middle_is_completed(
    lake: Lake, exchange: Any, replay: Any, chain: Chained, monkeypatch: pytest.MonkeyPatch, same_bars: Any
) -> None:
    write = Lake.write

    def die(self: Lake, name: str, frame: pl.DataFrame) -> int:
        if name == "bars":
            raise OSError("disk full")
        return write(self, name, frame)

    monkeypatch.setattr(Lake, "write", die)
    with pytest.raises(OSError, match="disk full"):
        fetched(lake, chain(replay()))
    monkeypatch.undo()
    exchange.calls.clear()
    fetched(lake, chain(replay()))
    assert exchange.calls == []  # every piece was there
    same_bars(lake)


def test_a_broken_piece_is_asked_again(lake: Lake, exchange: Any, replay: Any, chain: Chained, same_bars: Any) -> None:
    exchange.faults.append(lambda name, said: VendorError("gone") if said.get("stock") == "688001.SH" else None)
    with pytest.raises(VendorError, match=r"No source answers bars\(688001.SH, 2024-05-06 to 2024-06-28\):\n  replay: gone"):
        fetched(lake, chain(replay()))
    exchange.faults.clear()
    piece = next((Path(f"{lake.uri}.fetch") / "bars").glob("600000.SH*"))
    piece.write_bytes(piece.read_bytes()[:100])
    fetched(lake, chain(replay()))
    same_bars(lake)


def test_an_unfinished_fetch_keeps_its_last_day(lake: Lake, exchange: Any, replay: Any, chain: Chained) -> None:
    exchange.faults.append(lambda name, said: VendorError("gone") if said.get("stock") == "688001.SH" else None)
    with pytest.raises(VendorError):
        fetched(lake, chain(replay()), until=date(2024, 6, 20))
    exchange.faults.clear()
    outcome = fetched(lake, chain(replay()))
    assert outcome.through == date(2024, 6, 20)
    assert "Run it again for the sessions since" in outcome.notes[-1]
    assert fetched(lake, chain(replay())).through == END


def test_a_source_that_stays_busy_is_replaced_by_the_next(lake: Lake, exchange: Any, replay: Any, chain: Chained, slept: Any, same_bars: Any) -> None:
    exchange.faults.append(lambda name, said: Busy("too many requests", after=7) if name == "bars" and said["by"] == "first" else None)
    outcome = fetched(lake, chain(replay("first"), replay("second"), tries=3, first=1.0))
    pauses = [pause for pause in slept if pause]
    assert len(pauses) == 3  # once, then it is left out
    assert pauses[0] == 7.0
    assert outcome.answers["bars"] == {"second": 7}
    assert outcome.answers["members"] == {"first": 2}
    same_bars(lake)


def test_pauses_grow_and_differ_by_seed(exchange: Any, replay: Any, chain: Chained, slept: Any) -> None:
    exchange.faults.append(lambda name, said: Busy("overloaded"))
    for seed in (0, 0, 1):
        with pytest.raises(VendorError):
            chain(replay(), tries=4, first=1.0, most=4.0, seed=seed).ask("securities")
    pauses = [pause for pause in slept if pause]
    assert pauses[:4] == pauses[4:8] != pauses[8:]
    assert all(least <= pause <= least * 1.5 for least, pause in zip([1, 2, 4, 4], pauses[:4], strict=True))


def test_an_empty_answer_is_believed_only_where_nobody_has_more(lake: Lake, exchange: Any, replay: Any, chain: Chained, same_bars: Any) -> None:
    nothing = exchange.bars.drop("adj", "pe", "pb").clear()
    exchange.faults.append(lambda name, said: nothing if name == "bars" and said["by"] == "first" else None)
    assert fetched(lake, chain(replay("first"), replay("second"))).answers["bars"] == {"second": 7}
    same_bars(lake)


def test_a_session_that_is_not_published_yet_is_left_out_and_caught_up(
    lake: Lake, exchange: Any, replay: Any, chain: Chained, same_bars: Any
) -> None:
    fetched(lake, chain(replay()), until=exchange.days[-4])
    exchange.until = exchange.days[-2]
    outcome = fetched(lake, chain(replay()))
    assert outcome.through == exchange.days[-2]
    assert f"{END} is left out" in outcome.notes[0]
    assert fetch(lake, chain(replay()), WISH, until=END) is None
    exchange.until = END
    assert fetched(lake, chain(replay())).through == END
    same_bars(lake)


def test_one_stock_that_lags_is_caught_up(lake: Lake, exchange: Any, replay: Any, chain: Chained, same_bars: Any) -> None:
    short = exchange.seen(START, exchange.days[-3], "600000.SH").drop("adj", "pe", "pb")
    exchange.faults.append(lambda name, said: short if said.get("stock") == "600000.SH" else None)
    outcome = fetched(lake, chain(replay()), until=exchange.days[-2])
    assert f"1 stocks have no bar on {exchange.days[-2]} (first: 600000.SH)" in outcome.notes[0]
    exchange.faults.clear()
    fetched(lake, chain(replay()))
    same_bars(lake)


def test_an_earlier_first_day_fetches_the_past(lake: Lake, exchange: Any, replay: Any, chain: Chained, same_bars: Any) -> None:
    fetched(lake, chain(replay()), WISH.model_copy(update={"since": date(2024, 6, 3)}))
    fetched(lake, chain(replay()))
    same_bars(lake)


def test_what_checks_refuse_is_not_written_and_asked_anew(lake: Lake, exchange: Any, replay: Any, chain: Chained) -> None:
    lots = exchange.bars.drop("adj", "pe", "pb").with_columns(pl.col("volume") / 100)
    exchange.faults.append(lambda name, said: lots.filter(pl.col("symbol") == said["stock"]) if name == "bars" else None)
    with pytest.raises(ChecksFailed, match="volume is in lots") as error:
        fetched(lake, chain(replay()))
    assert error.value.exit_code == 3
    assert lake.tables() == []
    exchange.faults.clear()
    fetched(lake, chain(replay()))


def test_a_lake_of_another_kind_is_left_alone(lake: Lake, replay: Any, chain: Chained) -> None:
    lake.state({"price_basis": "adjusted"})
    with pytest.raises(KestrelError, match="holds adjusted prices"):
        fetched(lake, chain(replay()))
    lake.state({"price_basis": "raw", "simulated": "seed 7"})
    with pytest.raises(KestrelError, match="holds a simulated market"):
        fetched(lake, chain(replay()))
