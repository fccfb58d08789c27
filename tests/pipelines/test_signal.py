import hashlib
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from data.errors import KestrelError
from data.lake import open_lake
from pipelines.config import Config
from pipelines.positions import read_positions
from pipelines.publication import publish
from pipelines.signal import signal
from pipelines.train import train

ConfigIn = Callable[[Path], Config]


def test_positions_are_read_in_any_spelling(tmp_path: Path) -> None:
    (tmp_path / "positions.csv").write_text("symbol,shares\nsh.600000,1200\n000001,300\ncash,5000.5\n")
    assert read_positions(tmp_path / "positions.csv") == {"600000.SH": 1200.0, "000001.SZ": 300.0, "cash": 5000.5}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("symbol,shares\n600000,many\n", "line 2: '600000', 'many'"),
        ("symbol,shares\n600000,100\nhello,100\n", "line 3: 'hello'"),
        ("code,shares\n600000,100\n", "needs symbol and shares"),
    ],
)
def test_positions_that_cannot_be_read_name_the_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "positions.csv").write_text(text)
    with pytest.raises(KestrelError, match=says):
        read_positions(tmp_path / "positions.csv")


def test_a_manifest_holds_the_hashes_of_what_was_published(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    train(lake, config)
    folder, _ = signal(lake, config)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert date.fromisoformat(manifest["trade_on"]) > date.fromisoformat(manifest["session"])
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["sha256"]} == manifest["sha256"]
    assert manifest["versions"] == lake.versions()


def test_holdings_out_of_favour_are_sold_before_new_names_are_bought(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    train(lake, config)
    config = config.model_copy(
        update={"backtest": config.backtest.model_copy(update={"strategy": config.backtest.strategy.model_copy(update={"every": 1})})}
    )
    folder, _ = signal(lake, config, model="ridge")
    ranked = pl.read_csv(folder / "scores.csv")
    worst = ranked["symbol"][-1]
    (desk / "positions.csv").write_text(f"symbol,shares\n{worst},1000\ncash,1000000\n")
    folder, written = signal(lake, config, model="ridge", positions=desk / "positions.csv")
    orders = pl.read_csv(folder / "orders.csv")
    assert written
    assert orders.row(0, named=True)["symbol"] == worst
    assert orders.row(0, named=True)["side"] == "sell"
    assert orders["side"].to_list()[1:] == ["buy"] * (orders.height - 1)


def test_a_folder_is_published_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"orders.csv": pl.DataFrame({"symbol": ["600000.SH"]})}
    publish(tmp_path / "2024-01-02", tables, {"identity": "first"})

    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("pipelines.publication.write_json", full_disk)
    with pytest.raises(OSError, match="No space"):
        publish(tmp_path / "2024-01-02", tables, {"identity": "second"})
    assert json.loads((tmp_path / "2024-01-02" / "manifest.json").read_text())["identity"] == "first"


def test_a_day_before_the_first_fold_has_no_honest_model(desk: Path, config_in: ConfigIn) -> None:
    lake, config = open_lake(desk / "lake"), config_in(desk)
    train(lake, config)
    first = lake.read("bars")["date"].unique().sort()[200]
    with pytest.raises(KestrelError, match="fitted on dates after"):
        signal(lake, config, day=first)
