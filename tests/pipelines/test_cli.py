"""The command as a user meets it: answers on stdout, one clear error, the right exit code, nothing half-written."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from data.lake import Lake
from pipelines.cli import main
from pipelines.train import train

Run = Callable[..., Result]

BARS = "date,code,open,high,low,close,volume,amount\n"
ROWS = "2024-01-02,600000,10.0,10.2,9.9,10.1,1000,10050\n2024-01-03,600000,10.1,10.3,10.0,10.2,1000,10150\n"
MAPPING = """
[bars]
file = "bars.csv"
[bars.columns]
date = "date"
symbol = "code"
open = "open"
high = "high"
low = "low"
close = "close"
volume = { column = "volume", unit = "shares" }
amount = { column = "amount", unit = "CNY" }
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `kestrel …` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def vendor(tmp_path: Path) -> Path:
    """A vendor's folder with one CSV of bars and its mapping."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    (folder / "bars.csv").write_text(BARS + ROWS.replace("600000,", '"sh.600000",'))
    (folder / "map.toml").write_text(MAPPING)
    return folder


def import_(run: Run, vendor: Path) -> Result:
    return run("data", "import", vendor, "--mapping", vendor / "map.toml")


def test_a_folder_of_csv_is_imported_once(run: Run, vendor: Path, tmp_path: Path) -> None:
    assert import_(run, vendor).exit_code == 0
    version = Lake(tmp_path / "lake").version("bars")
    assert import_(run, vendor).exit_code == 0
    assert Lake(tmp_path / "lake").version("bars") == version


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda v: (v / "bars.csv").write_text(BARS.replace("volume", "vol") + ROWS), "has no column volume that [bars] maps"),
        (lambda v: (v / "bars.csv").write_text(BARS + (ROWS + ROWS).replace("600000,", '"600000.SH",')), "rows with the same date, symbol"),
        (
            lambda v: (v / "bars.csv").write_text(BARS + ROWS.replace("600000,", '"600000.SH",').replace(",1000,10150", ",n/a,10150")),
            "volume is 'n/a'",
        ),
        (lambda v: (v / "map.toml").write_text(MAPPING.replace('"shares"', '"thousand CNY"')), "doesn't fit. Use one of: shares, lots"),
        (lambda v: (v / "map.toml").write_text(MAPPING.replace("bars.csv", "barz.csv")), "There is no file"),
        (lambda v: (v / "map.toml").write_text(MAPPING.replace("[bars", "[barz")), "[barz] is not a table"),
        (lambda v: (v / "map.toml").write_text(MAPPING.replace("close =", "clos =")), "bars.columns.clos is not a column of bars"),
        (lambda v: (v / "map.toml").unlink(), "There is no mapping file"),
        (lambda v: (v / "bars.csv").write_bytes(b"PAR1 not really"), ""),
    ],
)
def test_bad_input_gives_one_error_and_writes_nothing(run: Run, vendor: Path, tmp_path: Path, spoil: Callable[[Path], object], says: str) -> None:
    spoil(vendor)
    found = import_(run, vendor)
    assert found.exit_code == 1, found.output
    assert found.output.startswith("error:")
    assert says in found.output
    assert "Traceback" not in found.output
    assert not (tmp_path / "lake").exists()


def test_data_that_checks_refuse_exit_with_3_and_write_nothing(run: Run, vendor: Path, tmp_path: Path) -> None:
    text = (vendor / "bars.csv").read_text().replace(",1000,10050", ",10,10050").replace(",1000,10150", ",10,10150")
    (vendor / "bars.csv").write_text(text)  # lots that the mapping calls shares
    found = import_(run, vendor)
    assert found.exit_code == 3
    assert "volume is in lots or amount in thousands" in found.output
    assert not (tmp_path / "lake").exists()


def test_an_unknown_setting_is_named_with_the_nearest_one(run: Run) -> None:
    found = run("--set", "walk.train_yeers=3", "config")
    assert found.exit_code == 1
    assert "walk.train_yeers is not a setting. Did you mean walk.train_years?" in found.output


def test_all_errors_of_a_config_come_at_once(run: Run) -> None:
    found = run("--set", "walk.every=0", "--set", "train.seeds=[]", "--set", "labels.entry=noon", "config")
    assert found.exit_code == 1
    assert all(name in found.output for name in ("walk.every", "train.seeds", "labels.entry"))


def test_without_a_lake_a_command_says_how_to_make_one(run: Run) -> None:
    found = run("factors", "build")
    assert found.exit_code == 1
    assert "kestrel data import" in found.output


@pytest.mark.parametrize(("version", "says"), [("0", "kestrel data migrate"), ("99", "Upgrade Kestrel")])
def test_a_lake_of_another_version_is_refused(run: Run, vendor: Path, tmp_path: Path, version: str, says: str) -> None:
    import_(run, vendor)
    Lake(tmp_path / "lake").state({"schema_version": version})
    found = run("data", "show")
    assert found.exit_code == 1
    assert says in found.output


def test_migrate_brings_an_older_lake_up(run: Run, vendor: Path, tmp_path: Path) -> None:
    import_(run, vendor)
    Lake(tmp_path / "lake").state({"schema_version": "0"})
    assert run("data", "migrate").exit_code == 0
    assert run("data", "show").exit_code == 0


def test_a_date_outside_the_data_is_refused(run: Run, desk: Path, config_in: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    train(Lake(desk / "lake"), config_in(desk))  # type: ignore[arg-type]
    found = CliRunner().invoke(main, ["signal", "--date", "2031-01-05"])
    assert found.exit_code == 1
    assert "2031-01-05 is not a session with factors" in found.output
    assert not (desk / "signals").exists()


def test_usage_errors_exit_with_2(run: Run) -> None:
    assert run("data", "import").exit_code == 2
    assert run("no-such-command").exit_code == 2


def test_answers_are_json_on_demand(run: Run, vendor: Path) -> None:
    import_(run, vendor)
    rows = json.loads(run("data", "show", "--json").stdout)
    assert {"table": "bars", "rows": 2}.items() <= next(row for row in rows if row["table"] == "bars").items()


def test_sql_reads_the_lake_and_cannot_leave_it(run: Run, vendor: Path) -> None:
    import_(run, vendor)
    assert json.loads(run("data", "sql", "--json", "SELECT count(*) AS n FROM bars").stdout) == [{"n": 2}]
    for statement in ("SELECT * FROM read_csv('vendor/bars.csv')", "COPY bars TO 'out.csv'", "SELECT 1; SELECT 2", "DROP VIEW bars"):
        assert run("data", "sql", statement).exit_code == 1


def test_factors_that_a_lake_cannot_feed_say_what_they_need(run: Run, vendor: Path) -> None:
    import_(run, vendor)
    rows = {row["name"]: row for row in json.loads(run("factors", "list", "--json").stdout)}
    assert rows["earnings_yield"]["available"] == "unavailable: needs caps.pe_ttm"
    assert rows["reversal_20"]["available"] == "yes"


def test_a_set_of_factors_is_built_on_request_and_read_as_the_config_says(run: Run, vendor: Path, tmp_path: Path) -> None:
    import_(run, vendor)
    assert run("factors", "build").exit_code == 0
    listed = json.loads(run("factors", "list", "--family", "alpha158", "--json").stdout)
    assert len(listed) == 158
    lacking = run("--set", 'factors.sets=["alpha158"]', "factors", "evaluate")
    assert lacking.exit_code == 1
    assert "lacks the set alpha158" in lacking.output
    built = run("--set", 'factors.sets=["alpha158"]', "factors", "build")
    assert "158 factors are current, 158 of them new" in built.output
    again = run("--set", 'factors.sets=["alpha158"]', "factors", "build")
    assert "158 factors are current" in again.output
    table = Lake(tmp_path / "lake").read("factors")
    assert table["KMID"].to_list() == pytest.approx([0.1 / 10.0, 0.1 / 10.1])
    assert run("factors", "prove", "KMID", "MA5", "--dates", "1").exit_code == 0
    assert "Place of the highest high" in run("factors", "show", "IMAX20").output


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from pipelines.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    heavy = "print([m for m in ('torch', 'polars', 'lightgbm', 'mlflow', 'numba', 'plotly', 'pandas') if m in sys.modules], file=sys.stderr)"
    found = subprocess.run([sys.executable, "-c", code + heavy], capture_output=True, text=True, check=True)
    assert found.stderr.strip() == "[]"
    assert "Example:" in found.stdout


def test_every_command_shows_an_example(run: Run) -> None:
    def walk(command: object, words: list[str]) -> None:
        found = run(*words, "--help")
        assert found.exit_code == 0
        assert hasattr(command, "commands") or "Example:" in found.output, words
        for name, child in getattr(command, "commands", {}).items():
            walk(child, [*words, name])

    walk(main, [])


def test_scores_from_anywhere_can_be_traded(run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    bars = Lake(desk / "lake").read("bars").filter(pl.col("is_trading")).tail(9000)
    bars.select("date", "symbol", (-pl.col("close")).alias("score")).write_csv(desk / "cheap.csv")
    found = CliRunner().invoke(main, ["backtest", "--scores", "cheap.csv", "--json"])
    assert found.exit_code == 0, found.output
    row = json.loads(found.stdout)[0]
    assert row["model"] == "cheap"
    assert row["turnover"] > 0
