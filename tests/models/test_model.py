"""What every model promises, whatever its kind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from data.errors import KestrelError
from models import files
from models.dataset import Dataset
from models.folds import Fold
from models.model import Model
from models.registry import KINDS, create, load
from models.walk import judged, run

KIND_NAMES = tuple(name for name in KINDS if name != "default")  # which is a blend by another name
Small = dict[str, BaseModel]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module", params=KIND_NAMES)
def fitted(request: pytest.FixtureRequest, planted: Dataset, fold: Fold, small: Small) -> tuple[Model, np.ndarray]:
    """A model of each kind and its scores of the test sessions."""
    model = create(request.param, small)
    return model, run(planted, fold, model, seed=1)


def test_a_planted_signal_is_recovered(fitted: tuple[Model, np.ndarray], planted: Dataset, fold: Fold) -> None:
    # The best possible RankIC at this strength is about .33; the five factors dilute the two true ones with three of noise.
    assert judged(planted, fold.test, fitted[1], 5).rank_ic > (0.12 if fitted[0].name == "five_factors" else 0.2)


@pytest.mark.parametrize("name", KIND_NAMES)
def test_without_a_signal_nothing_is_found(name: str, make_dataset: "object", fold: Fold, small: Small) -> None:
    noise: Dataset = make_dataset(0.0)  # type: ignore[operator]
    found = judged(noise, fold.test, run(noise, fold, create(name, small), seed=1), 5)
    assert abs(found.rank_ic) < 3 / (57 * found.days) ** 0.5


def test_present_stocks_have_a_score_and_no_others(fitted: tuple[Model, np.ndarray], planted: Dataset, fold: Fold) -> None:
    assert fitted[1].dtype == np.float32
    assert np.array_equal(np.isfinite(fitted[1]), planted.present_DN[fold.test])


def test_a_saved_model_scores_byte_for_byte_the_same(fitted: tuple[Model, np.ndarray], planted: Dataset, fold: Fold, tmp_path: Path) -> None:
    model, score_SN = fitted
    model.save(tmp_path)
    loaded = load(tmp_path)
    assert loaded.name == model.name
    assert loaded.score(planted, fold.test).tobytes() == score_SN.tobytes()
    loaded.save(tmp_path / "again")
    again = contents(tmp_path / "again")
    assert again == {name: content for name, content in contents(tmp_path).items() if not name.startswith("again")}


def test_the_same_seed_gives_the_same_bytes(fitted: tuple[Model, np.ndarray], planted: Dataset, fold: Fold, small: Small, tmp_path: Path) -> None:
    model, score_SN = fitted
    twin = create(model.name, small)
    assert run(planted, fold, twin, seed=1).tobytes() == score_SN.tobytes()
    model.save(tmp_path / "one")
    twin.save(tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_nothing_of_the_test_sessions_reaches_a_fit_and_no_label_reaches_a_score(
    fitted: tuple[Model, np.ndarray], planted: Dataset, fold: Fold, small: Small
) -> None:
    x_DNF, y_DNH, entry_DN = planted.x_DNF.copy(), planted.y_DNH.copy(), planted.entry_DN.copy()
    x_DNF[fold.test] = 99.0
    y_DNH[fold.test] = -1.0
    entry_DN[fold.test] = False
    twin = create(fitted[0].name, small)
    twin.fit(replace(planted, x_DNF=x_DNF, y_DNH=y_DNH, entry_DN=entry_DN), fold.train, fold.valid, seed=1)
    blind = replace(planted, y_DNH=np.full_like(y_DNH, np.nan), entry_DN=np.zeros_like(entry_DN))
    assert twin.score(blind, fold.test).tobytes() == fitted[1].tobytes()


def test_a_session_scores_the_same_alone_as_among_others(fitted: tuple[Model, np.ndarray], planted: Dataset, fold: Fold) -> None:
    assert fitted[0].score(planted, fold.test[3:4]).tobytes() == fitted[1][3:4].tobytes()


def test_no_session_gives_no_row(fitted: tuple[Model, np.ndarray], planted: Dataset) -> None:
    assert fitted[0].score(planted, np.empty(0, dtype=np.int64)).shape == (0, 60)


def test_a_session_without_stocks_has_no_score(fitted: tuple[Model, np.ndarray], planted: Dataset) -> None:
    empty = replace(planted, present_DN=np.zeros_like(planted.present_DN))
    assert np.isnan(fitted[0].score(empty, np.arange(2))).all()


def test_factors_are_found_by_name_in_any_order(fitted: tuple[Model, np.ndarray], planted: Dataset, fold: Fold) -> None:
    order = np.array([6, 2, 0, 1, 5, 3, 4])
    shuffled = replace(planted, names=tuple(planted.names[place] for place in order), x_DNF=planted.x_DNF[..., order])
    assert fitted[0].score(shuffled, fold.test).tobytes() == fitted[1].tobytes()


def test_a_missing_factor_is_named(fitted: tuple[Model, np.ndarray], planted: Dataset, fold: Fold) -> None:
    lacking = replace(planted, names=planted.names[1:], x_DNF=planted.x_DNF[..., 1:])
    with pytest.raises(KestrelError, match=r"reversal_20.*kestrel factors build"):
        fitted[0].score(lacking, fold.test)


def test_a_tampered_model_is_refused(fitted: tuple[Model, np.ndarray], tmp_path: Path) -> None:
    fitted[0].save(tmp_path)
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        kept = path.read_bytes()
        at = kept.index(b"5")
        path.write_bytes(kept[:at] + b"6" + kept[at + 1 :])
        with pytest.raises(KestrelError, match=r"sha256|can't be read|format"):
            load(tmp_path)
        path.write_bytes(kept)
    assert load(tmp_path).name == fitted[0].name


@pytest.mark.parametrize("name", [name for name in KIND_NAMES if name != "five_factors"])
def test_a_period_without_labels_is_refused(name: str, planted: Dataset, small: Small) -> None:
    beyond, known = np.arange(314, 320), np.arange(20)
    for train, valid in ((beyond, known), (known, beyond)):
        with pytest.raises(KestrelError, match="label"):
            create(name, small).fit(planted, train, valid, seed=0)


@pytest.mark.parametrize("name", [name for name in KIND_NAMES if name not in ("five_factors", "blend")])
def test_a_horizon_without_labels_is_refused(name: str, planted: Dataset, small: Small, fold: Fold) -> None:
    settings = {name: small[name].model_copy(update={"horizon": 7})}
    with pytest.raises(KestrelError, match="horizon of 7 sessions"):
        create(name, settings).fit(planted, fold.train, fold.valid, seed=0)


def test_a_folder_of_another_kind_is_refused(planted: Dataset, fold: Fold, tmp_path: Path) -> None:
    files.write(tmp_path, "five_factors", {})
    with pytest.raises(KestrelError, match="holds a five_factors, not a ridge"):
        KINDS["ridge"].model.load(tmp_path)
