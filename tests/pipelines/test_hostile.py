"""What comes from elsewhere and means harm, or is broken: one clear error, or shown for what it is; nothing else happens."""

import gzip
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtest.report.markup import Card, inside_script, whole
from data.errors import KestrelError
from data.lake import open_lake
from data.query import sql
from pipelines.cli import main
from pipelines.config import Config, load, parse
from pipelines.console import shown
from pipelines.given import folder_name, read_rows
from pipelines.positions import read_positions
from pipelines.report import report
from pipelines.runs import read_json
from pipelines.signal import signal
from pipelines.trade import backtest, scores_file

ConfigIn = Callable[[Path], Config]
EVERY_TIME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCRIPT = "<script>alert(1)</script>"
WAYS_OUT = ["../out", "/tmp/out", "..", ".", "", ".hidden", "a/b", "a\\b", "a\0b", "a\nb", "results.json", "scores.PARQUET", "x" * 61, "=cmd()", "a."]


# -- names


@pytest.mark.parametrize("name", WAYS_OUT)
def test_a_name_that_leads_out_of_a_folder_is_refused(name: str) -> None:
    with pytest.raises(KestrelError, match="can't name a folder"):
        folder_name(name, "The model")


@given(name=st.text(max_size=80))
@EVERY_TIME
def test_every_name_that_is_taken_makes_a_folder_inside(tmp_path: Path, name: str) -> None:
    try:
        folder = tmp_path / folder_name(name, "The model")
    except KestrelError:
        return
    folder.mkdir(exist_ok=True)
    assert folder.resolve().parent == tmp_path.resolve()


@pytest.mark.parametrize("name", ["ridge", "lightgbm_rank", "own.models:Mine", "多因子 v2", "blend (3 seeds)"])
def test_names_as_people_give_them_are_taken(name: str) -> None:
    assert folder_name(name, "The model") == name


def scored(desk: Path, model: str) -> Path:
    """A scores file whose model has this name."""
    bars = open_lake(desk / "lake").read("bars", columns=["date", "symbol"])
    bars = bars.filter(pl.col("date") >= bars["date"].unique().sort()[-15])
    rows = bars.with_columns(pl.Series("score", np.random.default_rng(1).normal(size=bars.height)), pl.lit(model).alias("model"))
    rows.write_csv(desk / "scores.csv")
    return desk / "scores.csv"


def test_a_scores_file_whose_model_leads_elsewhere_writes_nothing_there(desk: Path, config_in: ConfigIn) -> None:
    source = scores_file(scored(desk, "../../out"))
    with pytest.raises(KestrelError, match="can't name a folder"):
        backtest(open_lake(desk / "lake"), config_in(desk), source)
    assert not (desk / "out").exists()


@pytest.mark.parametrize("run", ["../elsewhere", "/etc", "backtest-1/../.."])
def test_a_report_of_a_run_outside_is_refused(desk: Path, config_in: ConfigIn, run: str) -> None:
    with pytest.raises(KestrelError, match="no finished run"):
        report(open_lake(desk / "lake"), config_in(desk), run)


def test_a_date_that_is_a_path_is_a_usage_error() -> None:
    for command in ("signal", "paper"):
        assert CliRunner().invoke(main, [command, "--date", "../../2020-01-01"]).exit_code == 2


# -- files of users


def broken(folder: Path) -> dict[str, bytes]:
    """Files by name that hold no rows."""
    whole = folder / "whole.parquet"
    pl.DataFrame({"date": ["2020-01-02"]}).write_parquet(whole)
    return {
        "empty.csv": b"",
        "empty.parquet": b"",
        "half.parquet": whole.read_bytes()[:-9],
        "noise.parquet": np.random.default_rng(0).bytes(4096),
        "noise.csv": b"\xff\xfe\x00date,symbol\x00\n" + np.random.default_rng(0).bytes(300),
        "ragged.csv": b"date,symbol,score\n2020-01-02,600000.SH,1,2,3\n",
        "bomb.csv": gzip.compress(b"0," * (1 << 20)),
        "zlib.csv": zlib.compress(b"0," * (1 << 20)),
    }


@pytest.mark.parametrize("name", ["empty.csv", "empty.parquet", "half.parquet", "noise.parquet", "noise.csv", "ragged.csv", "bomb.csv", "zlib.csv"])
def test_a_file_that_is_empty_broken_or_a_bomb_is_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(broken(tmp_path)[name])
    with pytest.raises(KestrelError, match=re.escape(name)):
        scores_file(tmp_path / name)
    with pytest.raises(KestrelError, match=re.escape(name)):
        read_positions(tmp_path / name)


def test_a_folder_in_the_place_of_a_file_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(KestrelError, match="There is no scores file"):
        scores_file(tmp_path)


def test_a_small_file_of_very_many_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.given.MOST_ROWS", 10_000)
    pl.DataFrame({"score": np.zeros(100_000)}).write_parquet(tmp_path / "many.parquet", compression="zstd")
    assert (tmp_path / "many.parquet").stat().st_size < 10_000
    with pytest.raises(KestrelError, match="100,000 rows"):
        read_rows(tmp_path / "many.parquet", "scores")


@given(content=st.binary(max_size=300))
@EVERY_TIME
def test_any_bytes_as_a_positions_file_are_holdings_or_one_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "positions.csv"
    file.write_bytes(content)
    with pytest.MonkeyPatch.context():
        try:
            held = read_positions(file)
        except KestrelError:
            return
    assert all(np.isfinite(count) and count >= 0 for count in held.values())


@pytest.mark.parametrize("count", ["nan", "inf", "-inf", "-100", "1e300", "0.5", "=1+1", ""])
def test_a_holding_that_is_no_number_of_shares_is_refused_by_its_line(tmp_path: Path, count: str) -> None:
    (tmp_path / "positions.csv").write_text(f"symbol,shares\ncash,1000\n600000.SH,{count}\n")
    with pytest.raises(KestrelError, match="line 3"):
        read_positions(tmp_path / "positions.csv")


@pytest.mark.parametrize("cash", ["nan", "inf", "-1"])
def test_cash_that_nobody_can_hold_is_refused(tmp_path: Path, cash: str) -> None:
    (tmp_path / "positions.csv").write_text(f"symbol,shares\ncash,{cash}\n")
    with pytest.raises(KestrelError, match="line 2"):
        read_positions(tmp_path / "positions.csv")


@pytest.mark.parametrize("score", ["nan", "inf", "-inf", "", "high", "1e999"])
def test_a_score_that_is_no_finite_number_is_refused(tmp_path: Path, score: str) -> None:
    (tmp_path / "scores.csv").write_text(f"date,symbol,score\n2020-01-02,600000.SH,1.5\n2020-01-02,600004.SH,{score}\n")
    with pytest.raises(KestrelError, match="score"):
        scores_file(tmp_path / "scores.csv")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\xff"])
def test_a_damaged_record_of_a_run_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text, encoding="latin-1")
    with pytest.raises(KestrelError, match="is damaged"):
        read_json(tmp_path / "results.json")


# -- configs


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "+nan", "[1.0, nan]", "{a = inf}"])
def test_a_number_that_is_none_is_refused_wherever_it_stands(value: str) -> None:
    with pytest.raises(KestrelError, match="is no number to reckon with"):
        load(sets=[f"backtest.costs.commission={value}"])


@pytest.mark.parametrize("text", ["\0", "a = " + "[" * 5000, "a = 1\na = 2", "\xff\xfe", "[lake]\nx = 1", "lake = 7"])
def test_a_config_that_is_none_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "kestrel.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(KestrelError, match=r"kestrel\.toml"):
        load(tmp_path / "kestrel.toml")


LEAF = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.floats(), max_size=3))
PATHS = [
    "lake", "walk.first", "walk.every", "train.seeds", "train.models", "backtest.strategy", "backtest.costs.slippage", "scale.on", "scale.workers",
    "sweep.k", "sweep.cash", "batch.hour", "model.ridge", "model.ranker.width", "universe.index", "rules", "no.such", "a", "labels.horizons",
]  # fmt: skip


@given(path=st.sampled_from(PATHS), value=LEAF)
@EVERY_TIME
def test_any_value_of_any_setting_is_a_config_or_one_error(path: str, value: Any) -> None:
    raw: dict[str, Any] = {}
    *parents, leaf = path.split(".")
    section = raw
    for parent in parents:
        section = section.setdefault(parent, {})
    section[leaf] = value
    try:
        found = parse(raw, "test")
    except KestrelError:
        return
    assert "Infinity" not in json.dumps(found.model_dump(mode="json")).replace('"Infinity"', "")


@given(item=st.text(max_size=40))
@EVERY_TIME
def test_any_text_after_set_is_a_config_or_one_error(item: str) -> None:
    try:
        load(sets=[item])
    except KestrelError:
        return


@pytest.mark.parametrize("key", ["tracking", "lake", "batch.notice.webhook", "sentiment.server.url"])
def test_a_password_in_a_url_of_the_config_is_refused_without_being_repeated(key: str) -> None:
    with pytest.raises(KestrelError, match="a password stands in this URL") as refused:
        load(sets=[f"{key}='https://desk:hunter2@example.org/x'"])
    assert "hunter2" not in str(refused.value)


# -- SQL


@given(symbol=st.sampled_from(["x'; DROP TABLE bars; --", '"; DELETE FROM bars; --', "'||(SELECT 1)||'", "%_", "\\", "𝒷\u202e"]))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_symbol_that_is_sql_is_a_symbol(prepared: Path, symbol: str) -> None:
    lake = open_lake(prepared / "lake")
    quoted = symbol.replace("'", "''")
    assert sql(lake, f"SELECT count(*) AS n FROM bars WHERE symbol = '{quoted}'")["n"].item() == 0
    assert lake.read("bars").height > 0
    with pytest.raises(KestrelError):
        sql(lake, f"SELECT 1 FROM bars WHERE symbol = '{symbol.replace(chr(39), '')}'; DROP TABLE bars")


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM '/etc/passwd'", "SELECT * FROM read_csv('/etc/passwd')", "COPY bars TO '/tmp/out.csv'", "ATTACH 'x.db'"]
)
def test_sql_reads_the_lake_alone(prepared: Path, statement: str) -> None:
    with pytest.raises(KestrelError):
        sql(open_lake(prepared / "lake"), statement)


# -- pages, tables and terminals


def test_a_page_shows_markup_and_does_not_obey_it() -> None:
    page = whole(SCRIPT, SCRIPT, [Card(SCRIPT, SCRIPT, figures=[{"layout": {"height": 1, "title": SCRIPT}, "data": []}])], footer=SCRIPT)
    assert "alert(1)</script>" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 6
    assert "</" not in inside_script(json.dumps(SCRIPT))


@given(text=st.text())
@EVERY_TIME
def test_nothing_that_is_shown_steers_a_terminal(text: str) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown(text))


def test_text_as_people_write_it_is_shown_as_it_is() -> None:
    text = "贵州茅台 600519.SH +1.5 % — “ok”\nline"
    assert shown(text) == text


def test_no_cell_of_what_is_published_is_a_formula(office: Path, office_in: Callable[..., Config]) -> None:
    lake, config = open_lake(office / "lake"), office_in(office)
    lake.write("securities", lake.read("securities").with_columns(pl.lit("=HYPERLINK(1)").alias("name")))
    folder, _ = signal(lake, config)
    for file in folder.glob("*.csv"):
        for column in pl.read_csv(file, infer_schema=False).iter_columns():
            for cell in column.drop_nulls().unique():
                assert re.fullmatch(r"-?[\d.]+(e-?\d+)?|[\w][\w. :-]*", cell), (file.name, column.name, cell)
