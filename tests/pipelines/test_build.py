"""A factor table brought up to date equals one built from nothing, to the bit, whatever changed and wherever it was computed."""

import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from data.errors import KestrelError
from data.ingest import write_tables
from data.lake import Lake
from factors import registry
from factors.operators import returns, ts_mean
from factors.registry import library, register
from pipelines import build
from pipelines.build import build_factors, current_factors
from pipelines.config import Config, Factors
from pipelines.scale import ScaleSettings

Tables = dict[str, pl.DataFrame]
SYMBOLS = 12


@pytest.fixture(scope="module")
def small(tables: Tables) -> Tables:
    """The test market's first stocks."""
    kept = tables["bars"]["symbol"].unique().sort().head(SYMBOLS)
    return {name: frame.filter(pl.col("symbol").is_in(kept.implode())) if "symbol" in frame.columns else frame for name, frame in tables.items()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, small: Tables) -> Path:
    return _built(tmp_path_factory.mktemp("built"), small)


@pytest.fixture
def lake(built: Path, tmp_path: Path) -> Lake:
    """A lake of its own whose factor table is current."""
    shutil.copytree(built, tmp_path / "lake")
    return Lake(tmp_path / "lake")


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    library()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


def _built(folder: Path, tables: Tables) -> Path:
    lake = Lake(folder / "lake")
    write_tables(lake, tables, "raw", {})
    build_factors(lake)
    return folder / "lake"


def days(tables: Tables) -> list[date]:
    return sorted(tables["bars"]["date"].unique())


def test_what_is_current_is_not_built_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    version = lake.version("factors")
    monkeypatch.setattr(build, "build_panel", None)
    choice, work = build_factors(lake)
    assert (str(work), lake.version("factors")) == ("are current", version)
    assert [one.name for one in choice.available] == lake.read("factors").columns[2:]


def test_new_sessions_alone_are_computed_and_equal_a_build_from_nothing(small: Tables, tmp_path: Path) -> None:
    cut = days(small)[-4]
    earlier = {name: frame.filter(pl.col("date") <= cut) if name in ("bars", "caps", "index_bars") else frame for name, frame in small.items()}
    lake = Lake(_built(tmp_path / "a", earlier))
    write_tables(lake, small, "raw", {})
    _, work = build_factors(lake)
    assert (work.fresh, work.since) == ([], days(small)[-3])
    assert lake.read("factors").equals(Lake(_built(tmp_path / "b", small)).read("factors"))


def test_sets_named_in_another_order_take_new_sessions_too(small: Tables, tmp_path: Path) -> None:
    cut, config = days(small)[-4], Config(factors=Factors(sets=("alpha158", "library")))
    lake = Lake(tmp_path / "lake")
    write_tables(lake, small | {"bars": small["bars"].filter(pl.col("date") <= cut)}, "raw", {})
    build_factors(lake, config)
    write_tables(lake, small, "raw", {})
    _, work = build_factors(lake, config)
    assert (work.fresh, work.since) == ([], days(small)[-3])
    other = Lake(tmp_path / "other")
    write_tables(other, small, "raw", {})
    build_factors(other, config)
    assert lake.read("factors").equals(other.read("factors"))


def test_news_of_a_stock_not_yet_listed_end_the_silence_of_their_own_day(small: Tables, tmp_path: Path) -> None:
    """The old session knows them already, so the listing changes nothing there."""
    all_days, late = days(small), small["bars"]["symbol"].unique().sort()[0]
    loud = pl.col("published_at").dt.date().is_between(all_days[-10], all_days[-8])
    named = pl.when(loud).then(pl.lit([late])).otherwise("symbols")
    tables = small | {"news": small["news"].with_columns(symbols=named)}
    listed = pl.col("symbol") != late
    tables["bars"] = tables["bars"].filter(listed | (pl.col("date") >= all_days[-3]))
    lake = Lake(_built(tmp_path / "a", tables | {"bars": tables["bars"].filter(pl.col("date") <= all_days[-4])}))
    write_tables(lake, tables, "raw", {})
    build_factors(lake)
    assert lake.read("factors").equals(Lake(_built(tmp_path / "b", tables)).read("factors"))


def test_values_are_made_anew_where_the_code_that_makes_them_changed(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lake.read("factors")
    monkeypatch.setattr(build, "code", lambda: "another")
    with pytest.raises(KestrelError, match="older than the data"):
        current_factors(lake)
    _, work = build_factors(lake)
    assert (work.fresh, work.since) == ([], date.min)
    assert lake.read("factors").equals(before)


def test_a_corrected_bar_moves_its_own_session_and_later_ones(lake: Lake, small: Tables, tmp_path: Path) -> None:
    day = days(small)[-30]
    volume = pl.when((pl.col("date") == day) & (pl.col("symbol") == pl.col("symbol").first())).then(pl.col("volume") + 100).otherwise("volume")
    corrected = small | {"bars": small["bars"].with_columns(volume=volume)}
    write_tables(lake, corrected, "raw", {})
    before = lake.read("factors")
    _, work = build_factors(lake)
    assert work.since == day
    after = lake.read("factors")
    assert after.equals(Lake(_built(tmp_path / "b", corrected)).read("factors"))
    assert after.filter(pl.col("date") < day).equals(before.filter(pl.col("date") < day))
    assert not after.equals(before)


@pytest.mark.usefixtures("own_registry")
def test_a_new_factor_alone_is_computed_and_one_that_is_gone_leaves(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lake.read("factors")
    register("mine", "mine", "My own.", ts_mean(returns(), 7))
    computed: list[str] = []
    blocks = build.build.blocks
    monkeypatch.setattr(build.build, "blocks", lambda factors, *a, **b: computed.extend(one.name for one in factors) or blocks(factors, *a, **b))
    _, work = build_factors(lake)
    assert (work.fresh, work.since, set(computed)) == (["mine"], None, {"mine"})
    assert lake.read("factors").drop("mine").equals(before)
    assert lake.read("factors")["mine"].is_not_null().any()
    monkeypatch.delitem(registry._REGISTRY, "mine")
    build_factors(lake)
    assert lake.read("factors").equals(before)


@pytest.mark.usefixtures("own_registry")
def test_a_factor_that_is_defined_anew_beside_new_sessions_is_computed_whole(small: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register("mine", "mine", "My own.", ts_mean(returns(), 7))
    cut = days(small)[-4]
    lake = Lake(_built(tmp_path / "a", small | {"bars": small["bars"].filter(pl.col("date") <= cut)}))
    write_tables(lake, small, "raw", {})
    monkeypatch.delitem(registry._REGISTRY, "mine")
    register("mine", "mine", "My own.", ts_mean(returns(), 9))
    _, work = build_factors(lake)
    assert (work.fresh, work.since) == (["mine"], days(small)[-3])
    assert lake.read("factors").equals(Lake(_built(tmp_path / "b", small)).read("factors"))


def test_a_table_written_by_other_hands_is_built_from_nothing(lake: Lake) -> None:
    before = lake.read("factors")
    lake.write("factors", before.with_columns(pl.lit(0.0, dtype=pl.Float32).alias(before.columns[2])))
    with pytest.raises(KestrelError, match="older than the data"):
        current_factors(lake)
    _, work = build_factors(lake)
    assert work.since == date.min
    assert lake.read("factors").equals(before)


def test_versions_that_were_vacuumed_cost_time_alone(lake: Lake, small: Tables) -> None:
    before = lake.read("factors")
    write_tables(lake, small, "raw", {})
    lake.open("bars").vacuum(0, dry_run=False, enforce_retention_duration=False)
    _, work = build_factors(lake)
    assert work.since == date.min
    assert lake.read("factors").equals(before)


@pytest.mark.parametrize("on", ["processes", pytest.param("ray", marks=pytest.mark.slow)])
def test_parts_computed_elsewhere_give_the_same_bytes(on: str, built: Path, small: Tables, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    write_tables(lake, small, "raw", {})
    settings = ScaleSettings.model_validate({"on": on, "workers": 2})
    build_factors(lake, Config(scale=settings))
    assert lake.read("factors").equals(Lake(built).read("factors"))


def test_nothing_is_half_written_where_a_part_fails(lake: Lake, small: Tables, monkeypatch: pytest.MonkeyPatch, built: Path) -> None:
    write_tables(lake, small | {"bars": small["bars"].with_columns(volume=pl.col("volume") * 2)}, "raw", {})
    version = lake.version("factors")

    def failing(*_: object, **__: object) -> None:
        raise KestrelError("no room")

    monkeypatch.setattr(build.build, "to_frame", failing)
    with pytest.raises(KestrelError, match="no room"):
        build_factors(lake)
    assert lake.version("factors") == version
    assert Lake(built).read("factors").equals(lake.read("factors"))
