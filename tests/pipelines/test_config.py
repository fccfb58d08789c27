from pathlib import Path

import pytest

from backtest.costs import QLIB_COSTS
from data.errors import KestrelError
from pipelines.config import Config, load, stored

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_defaults_run_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load() == Config()


@pytest.mark.parametrize("name", ["csi500.toml", "qlib_csi500.toml", "ranker_csi500.toml"])
def test_the_examples_are_valid_configs(name: str) -> None:
    config = load(EXAMPLES / name)
    assert config.walk.purge >= config.labels.reach
    assert config.model_settings()["blend"]


def test_a_horizon_without_labels_is_refused() -> None:
    with pytest.raises(KestrelError, match=r"train\.horizon is 3, which labels\.horizons \[1, 5\] lacks"):
        load(sets=["train.horizon=3"])


def test_models_take_the_horizon_of_the_training_unless_they_have_their_own() -> None:
    config = load(sets=["train.horizon=1", "model.ridge.horizon=5"])
    found = {name: getattr(one, "horizon", None) for name, one in config.model_settings().items()}
    assert found == {**dict.fromkeys(found, 1), "ridge": 5, "five_factors": None}


def test_qlibs_example_trades_at_qlibs_costs() -> None:
    assert load(EXAMPLES / "qlib_csi500.toml").backtest.costs == QLIB_COSTS


def test_a_value_set_on_the_command_line_passes_the_same_check() -> None:
    assert load(EXAMPLES / "csi500.toml", sets=["walk.train_years=4"]).walk.train_years == 4
    with pytest.raises(KestrelError, match=r"model\.ridge\.alpha"):
        load(sets=["model.ridge.alpha=3"])


def test_rules_can_be_overridden_and_only_known_ones() -> None:
    from datetime import date

    config = load(sets=["rules.limit.main_st=[[1998-04-22, 0.05]]"])
    assert config.exchange_rules().at("limit", "main_st", date(2026, 8, 1)) == 0.05
    with pytest.raises(KestrelError, match=r"limit\.moon is not a rule"):
        load(sets=["rules.limit.moon=[[1998-04-22, 0.05]]"]).exchange_rules()


def test_a_stored_config_comes_back_under_the_paths_of_today(tmp_path: Path) -> None:
    config = load(EXAMPLES / "csi500.toml")
    (tmp_path / "config.json").write_text(config.model_dump_json())
    moved = stored(tmp_path / "config.json", Config(lake="elsewhere"))
    assert moved == config.model_copy(update={"lake": "elsewhere"})


def test_a_stored_config_takes_overrides_through_the_same_check(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(load(EXAMPLES / "csi500.toml").model_dump_json())
    changed = stored(tmp_path / "config.json", Config(), sets=["backtest.strategy={kind='topk_dropout', k=30}", "backtest.simulation.deal=close"])
    assert changed.backtest.strategy.k == 30
    assert changed.backtest.simulation.deal == "close"
    with pytest.raises(KestrelError, match=r"Did you mean backtest\.simulation"):
        stored(tmp_path / "config.json", Config(), sets=["backtest.simulatio={}"])


def test_sets_of_factors_are_known_by_name() -> None:
    assert load(sets=['factors.sets=["library", "alpha158"]']).factors.sets == ("library", "alpha158")
    with pytest.raises(KestrelError, match=r"'alpha185' is not a set of factors\. Did you mean alpha158"):
        load(sets=['factors.sets=["alpha185"]'])


def test_settings_of_a_users_own_model_pass_its_own_check() -> None:
    name = "examples.own_model:Weighed"
    config = load(sets=[f'train={{models=["{name}"], horizon=1}}', f'model={{"{name}"={{fewest=0.5}}}}'])
    assert config.model_settings()[name].model_dump() == {"horizon": 1, "fewest": 0.5}
    with pytest.raises(KestrelError, match=r"model\.examples\.own_model:Weighed\.fewst: Extra inputs"):
        load(sets=[f'model={{"{name}"={{fewst=0.5}}}}'])
    with pytest.raises(KestrelError, match=r"train\.models: .*has no class Nobody"):
        load(sets=['train.models=["examples.own_model:Nobody"]'])
    with pytest.raises(KestrelError, match=r"nowhere:Nobody can't be imported"):
        load(sets=['model.blend.members=["ridge", "nowhere:Nobody"]'])
