"""What was fitted once is fitted once: a fit is known by what it depends on, whoever asks, wherever it was made."""

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from data.lake import open_lake
from factors.panel import axes_of
from pipelines import fits
from pipelines.build import build_factors
from pipelines.choice import model_home
from pipelines.cli import main
from pipelines.config import Config, parse
from pipelines.fits import plan
from pipelines.runs import DONE, read_json
from pipelines.train import fits_of, ground_of, home_of, train, train_all

Changed = Callable[..., Config]
OWN = "examples.own_model:Weighed"


@pytest.fixture
def changed(desk: Path, config_in: Callable[[Path], Config]) -> Changed:
    """The desk's config with sections updated; ridge and the five factors alone, unless it says otherwise."""

    def change(**sections: dict[str, Any]) -> Config:
        raw = config_in(desk).model_dump()
        raw["train"]["models"] = ["five_factors", "ridge"]
        for name, values in sections.items():
            raw[name] |= values
        return parse(raw, "the test's config")

    return change


def stamps(desk: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (desk / "runs" / "fits").rglob("*") if path.is_file()}


def test_one_model_more_leaves_the_others_fits_as_they_are(desk: Path, changed: Changed) -> None:
    lake = open_lake(desk / "lake")
    few, _ = train(lake, changed())
    before = stamps(desk)
    more, _ = train(lake, changed(train={"models": ["five_factors", "ridge", "blend"]}, model={"blend": {"members": ["five_factors", "ridge"]}}))
    assert {path: stamp for path, stamp in stamps(desk).items() if path in before} == before
    assert {(entry["model"], entry["taken_over"]) for entry in fits_of(more)} == {("five_factors", True), ("ridge", True), ("blend", False)}
    assert not any(entry["taken_over"] for entry in fits_of(few))
    shared = [pl.read_parquet(folder / "scores.parquet").filter(pl.col("model") != "blend") for folder in (few, more)]
    assert shared[0].equals(shared[1])


def test_testing_further_fits_nothing_and_scores_the_same_dates_the_same(desk: Path, changed: Changed) -> None:
    lake = open_lake(desk / "lake")
    short, _ = train(lake, changed(walk={"last": date(2025, 12, 15)}))
    long, _ = train(lake, changed(walk={"last": date(2026, 1, 15)}))
    assert [entry["fit"] for entry in fits_of(short)] == [entry["fit"] for entry in fits_of(long)]
    assert all(entry["taken_over"] for entry in fits_of(long))
    there, more = (pl.read_parquet(folder / "scores.parquet") for folder in (short, long))
    assert more.filter(pl.col("date") <= there["date"].max()).equals(there)
    assert more["date"].max() > there["date"].max()  # type: ignore[operator]


def test_whatever_a_fit_depends_on_makes_it_another(desk: Path, changed: Changed) -> None:
    lake = open_lake(desk / "lake")
    axes = axes_of(lake.read("bars"), lake.read("calendar"))

    def keys(**sections: dict[str, Any]) -> set[str]:
        config = changed(**sections)
        return {fit.key for fit in plan(axes, ground_of(lake, config), config) if fit.model == "ridge"}

    names = [name for name in changed().factors.names or () if name != "momentum_12_1"]
    others: list[dict[str, Any]] = [{"model": {"ridge": {"trim": 0.1}}}, {"train": {"seeds": [1]}}, {"labels": {"excess": False}}]
    others += [{"walk": {"every": 3}}, {"factors": {"names": names}}, {"universe": {"members": "all"}}]
    found = [keys(), *(keys(**sections) for sections in others)]
    assert len(set.union(*found)) == sum(map(len, found))
    assert keys(train={"models": ["ridge", "lightgbm"]}, backtest={"start": date(2026, 1, 1)}) == keys()
    lake.write("bars", lake.read("bars").head(-1))  # other prices
    build_factors(lake, changed())
    assert keys().isdisjoint(found[0])


def test_processes_make_the_bytes_that_one_makes(desk: Path, changed: Changed) -> None:
    lake = open_lake(desk / "lake")
    sections: dict[str, Any] = {
        "train": {"models": ["five_factors", "ridge", OWN, "blend"]},
        "model": {"blend": {"members": ["ridge", OWN], "weights": "rank_ic"}},
    }
    one, _ = train(lake, changed(**sections))
    several = changed(**sections, scale={"on": "processes", "workers": 2}).model_copy(update={"runs": str(desk / "others")})
    two, _ = train(lake, several)
    assert (one / "scores.parquet").read_bytes() == (two / "scores.parquet").read_bytes()
    for mine, other in zip(fits_of(one), fits_of(two), strict=True):
        assert mine["fit"] == other["fit"]
        assert len({(home_of(folder, mine) / "model" / "model.json").read_bytes() for folder in (one, two)}) == 1
    assert not list((desk / "others").glob("dataset-*"))


def test_several_configs_train_together_and_share_their_fits(desk: Path, changed: Changed) -> None:
    lake = open_lake(desk / "lake")
    configs = [changed(walk={"last": date(2026, 1, 15)}), changed(walk={"last": date(2026, 1, 15)}, train={"models": ["ridge"]})]
    (both, _), (ridge, _) = train_all(lake, configs)
    assert {entry["fit"] for entry in fits_of(ridge)} < {entry["fit"] for entry in fits_of(both)}
    assert [read_json(folder / DONE)["chosen"] for folder in (both, ridge)][1] == "ridge"
    assert [did for _, did in train_all(lake, configs)] == [False, False]
    with pytest.raises(ValueError, match="share their runs, universe, labels and factors"):
        train_all(lake, [changed(labels={"delay": 2}, walk={"purge": 8}), changed(train={"seeds": [3]})])


def test_fits_that_no_training_names_are_deleted_on_request(desk: Path, changed: Changed, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = open_lake(desk / "lake")
    ridge, _ = train(lake, changed(train={"models": ["ridge"]}))
    both, _ = train(lake, changed())
    kept = {entry["fit"] for entry in fits_of(ridge)}
    (both / "fits.json").unlink()
    monkeypatch.chdir(desk)
    listed = CliRunner().invoke(main, ["fits", "--json"])
    assert {row["fit"] for row in json.loads(listed.stdout) if row["trainings"] == ridge.name} == kept
    assert {path.name for path in (desk / "runs" / "fits").iterdir()} > kept
    assert CliRunner().invoke(main, ["fits", "--delete"]).exit_code == 0
    assert {path.name for path in (desk / "runs" / "fits").iterdir()} == kept


def test_the_words_around_a_models_code_do_not_count(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        (tmp_path / "mine.py").write_text(text)
        return fits._statements(tmp_path / "mine.py")

    plain = digest("def f(x):\n    return x + 1\n")
    assert digest('"""Words."""\n\n\ndef f(x):\n    """More."""\n    return x + 1  # and more\n') == plain
    assert digest("def f(x):\n    return x + 2\n") != plain


def test_a_users_own_model_is_trained_chosen_and_loaded_by_its_name(desk: Path, changed: Changed, monkeypatch: pytest.MonkeyPatch) -> None:
    config = changed(train={"models": ["five_factors", OWN]}, model={OWN: {"fewest": 0.02}})
    (desk / "mine.toml").write_text(
        f"[walk]\nfirst = 2025-08-01\ntrain_years = 1\nrefit_months = 6\nevery = 2\n[factors]\nnames = {json.dumps(config.factors.names)}\n"
        f'[train]\nmodels = ["five_factors", "{OWN}"]\n[model."{OWN}"]\nfewest = 0.02\n'
    )
    monkeypatch.chdir(desk)
    found = CliRunner().invoke(main, ["train", "-c", "mine.toml"])
    assert found.exit_code == 0, found.output
    assert re.search(r"[1-9] fits, 0 of them taken over", " ".join(found.output.split()))
    (folder,) = (desk / "runs").glob("train-*")
    row = next(row for row in read_json(folder / DONE)["models"] if row["model"] == OWN)
    assert row["rank_ic"] == row["rank_ic"]
    home = model_home(folder, OWN, date(2026, 7, 1))
    assert json.loads((home / "model.json").read_text())["state"]["settings"] == {"fewest": 0.02, "horizon": 5}
