"""The ranker's own promises; those of every model are in test_model.py."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from data.errors import KestrelError
from data.panel import Axes
from factors.judge import mean_rank_ic
from models import files
from models.dataset import Dataset
from models.folds import Fold
from models.ranker.model import Ranker, fading
from models.ranker.settings import MarketSettings, RankerSettings
from models.ranker.training import STRAIGHT_SHARE, weights_of
from models.registry import KINDS
from models.walk import judged


class Stopped(Exception):
    """Stands for a kill in the middle of a step."""


def stopping(label: str, after: int) -> Callable[[Sequence[Any], str], Iterable[Any]]:
    """A track that stops after that many items of the loop whose label begins so."""

    def track(items: Sequence[Any], found: str) -> Iterable[Any]:
        for place, item in enumerate(items):
            if found.startswith(label) and place == after:
                raise Stopped
            yield item

    return track


@pytest.fixture(scope="module")
def quick(small: dict[str, BaseModel]) -> RankerSettings:
    settings = small["ranker"]
    assert isinstance(settings, RankerSettings)
    return settings


@pytest.fixture(scope="module")
def short() -> Fold:
    """Few sessions, for what needs no skill."""
    return Fold("short", np.arange(0, 40), np.arange(50, 60), np.arange(70, 80))


@pytest.fixture(scope="module")
def fitted(planted: Dataset, fold: Fold, quick: RankerSettings) -> Ranker:
    ranker = Ranker(quick)
    ranker.fit(planted, fold.train, fold.valid, seed=0)
    return ranker


def refit(dataset: Dataset, fold: Fold, settings: RankerSettings, **more: Any) -> Ranker:
    ranker = Ranker(settings)
    ranker.fit(dataset, fold.train, fold.valid, **{"seed": 0, **more})
    return ranker


def saved(ranker: Ranker, folder: Path) -> dict[str, bytes]:
    ranker.save(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_linear_signal_is_recovered_almost_whole(fitted: Ranker, planted: Dataset, fold: Fold) -> None:
    truth = np.where(planted.present_DN, planted.x_DNF[..., 0] - planted.x_DNF[..., 1], np.nan)[fold.test]
    for horizon in (1, 5):
        known = np.isfinite(truth)
        best = mean_rank_ic(truth, np.where(known, planted.label(horizon)[fold.test], np.nan))
        assert judged(planted, fold.test, fitted.score(planted, fold.test), horizon).rank_ic > 0.9 * best


def test_a_signal_that_turns_with_the_market_is_found(make_dataset: Callable[[float], Dataset], fold: Fold, quick: RankerSettings) -> None:
    noise = make_dataset(0.0)
    x_DNF, turn_D = noise.x_DNF.copy(), np.random.default_rng(1).choice([-1.0, 1.0], size=len(noise.x_DNF)).astype(np.float32)
    x_DNF[..., 4] += turn_D[:, None]  # the level of max_20 tells the regime, and within a session no stock from another
    signal = np.nan_to_num(x_DNF[..., 0]) * turn_D[:, None]
    dataset = replace(noise, x_DNF=x_DNF, y_DNH=noise.y_DNH + 0.02 * signal[..., None])
    settings = quick.model_copy(update={"market": MarketSettings(means=("max_20",), spreads=(), breadths=(), styles=())})
    blind = settings.model_copy(update={"epochs": 1, "market": MarketSettings(means=(), spreads=(), breadths=(), styles=())})
    seeing, lost = (judged(dataset, fold.test, refit(dataset, fold, one).score(dataset, fold.test), 5).rank_ic for one in (settings, blind))
    assert seeing > 0.45
    assert abs(lost) < 0.1


def test_permuting_stocks_permutes_their_scores(fitted: Ranker, planted: Dataset, fold: Fold) -> None:
    order = np.random.default_rng(0).permutation(60)
    axes = Axes(planted.axes.dates, tuple(planted.axes.symbols[place] for place in order))
    arrays = {name: getattr(planted, name)[:, order] for name in ("x_DNF", "present_DN", "y_DNH", "entry_DN")}
    permuted = fitted.score(replace(planted, axes=axes, **arrays), fold.test)
    assert permuted == pytest.approx(fitted.score(planted, fold.test)[:, order], abs=1e-4, nan_ok=True)


def test_an_absent_stock_changes_nobodys_score(fitted: Ranker, planted: Dataset, fold: Fold) -> None:
    present_DN, x_DNF = planted.present_DN.copy(), planted.x_DNF.copy()
    present_DN[:, 7] = False
    absent = replace(planted, present_DN=present_DN)
    x_DNF[:, 7] = 1e6
    x_DNF[~planted.present_DN] = -1e6
    before, after = (fitted.score(one, fold.test) for one in (absent, replace(absent, x_DNF=x_DNF)))
    assert before.tobytes() == after.tobytes()
    arrays = {name: np.delete(getattr(absent, name), 7, axis=1) for name in ("x_DNF", "present_DN", "y_DNH", "entry_DN")}
    axes = Axes(planted.axes.dates, planted.axes.symbols[:7] + planted.axes.symbols[8:])
    assert fitted.score(replace(absent, axes=axes, **arrays), fold.test).tobytes() == np.delete(before, 7, axis=1).tobytes()


def test_what_comes_after_a_session_leaves_its_scores_as_they_are(fitted: Ranker, planted: Dataset) -> None:
    arrays = {name: getattr(planted, name).copy() for name in ("x_DNF", "present_DN", "y_DNH", "entry_DN")}
    for array in arrays.values():
        array[231:] = array[231:][::-1]
    later = replace(planted, **arrays)
    sessions = np.array([229, 230])
    assert fitted.score(later, sessions).tobytes() == fitted.score(planted, sessions).tobytes()


def test_a_score_reads_as_many_sessions_as_the_lookback_and_no_more(fitted: Ranker, planted: Dataset) -> None:
    before = fitted.score(planted, np.array([230]))
    for back, changes in ((2, True), (3, False)):
        x_DNF = planted.x_DNF.copy()
        x_DNF[230 - back] = -x_DNF[230 - back]
        assert (fitted.score(replace(planted, x_DNF=x_DNF), np.array([230])).tobytes() != before.tobytes()) == changes


def test_experts_share_the_load(fitted: Ranker) -> None:
    last = fitted.epochs[-1]
    assert sum(last.load) == pytest.approx(1)
    assert min(last.load) > 0.1
    assert last.violation == pytest.approx(max(last.load) * 4 - 1)


def test_the_epoch_with_the_best_validation_rank_ic_is_kept(planted: Dataset, short: Fold, quick: RankerSettings) -> None:
    ranker = refit(planted, short, quick.model_copy(update={"epochs": 8, "patience": 1, "rate": 0.02, "keep": 1}))
    rank_ics = [epoch.rank_ic for epoch in ranker.epochs]
    assert ranker.best_epoch == int(np.argmax(rank_ics))
    assert len(rank_ics) in (ranker.best_epoch + 2, 8)
    y_SN = planted.loss_label(5)[short.valid]
    assert mean_rank_ic(ranker.score(planted, short.valid), y_SN) == pytest.approx(max(rank_ics), abs=1e-6)
    votes = ranker.opinions(planted, short.valid)
    assert ranker.weights == pytest.approx(weights_of(votes, y_SN), abs=1e-6)
    assert ranker.averaged == (ranker.best_epoch,)


def test_the_mean_of_the_best_epochs_is_taken_where_validation_finds_it_no_worse(planted: Dataset, short: Fold, quick: RankerSettings) -> None:
    settings = quick.model_copy(update={"epochs": 6, "patience": 6, "rate": 0.02})
    alone, mean = (refit(planted, short, settings.model_copy(update={"keep": keep})) for keep in (1, 3))
    y_SN = planted.loss_label(5)[short.valid]
    reached = mean_rank_ic(mean.score(planted, short.valid), y_SN)
    ranking = sorted(range(6), key=lambda place: -mean.epochs[place].rank_ic)
    assert alone.epochs == mean.epochs
    assert mean.averaged in (tuple(sorted(ranking[:3])), (ranking[0],))
    assert reached >= mean.epochs[ranking[0]].rank_ic - 1e-6
    assert (len(mean.averaged) == 3) == (reached > mean.epochs[ranking[0]].rank_ic + 1e-9)


def test_seeds_side_by_side_are_what_each_is_alone(planted: Dataset, short: Fold, quick: RankerSettings, tmp_path: Path) -> None:
    together = {seed: Ranker(quick) for seed in (3, 4)}
    Ranker.fit_seeds(together, planted, short.train, short.valid)
    for seed, ranker in together.items():
        alone = refit(planted, short, quick, seed=seed)
        assert alone.epochs == ranker.epochs
        assert saved(ranker, tmp_path / f"{seed}") == saved(alone, tmp_path / f"alone-{seed}")


def test_seeds_killed_between_two_checkpoints_catch_up(planted: Dataset, short: Fold, quick: RankerSettings, tmp_path: Path) -> None:
    homes = {seed: tmp_path / str(seed) for seed in (3, 4)}
    refit(planted, short, quick.model_copy(), seed=3, checkpoints=homes[3])  # one is done, the other hasn't begun
    together = {seed: Ranker(quick) for seed in homes}
    Ranker.fit_seeds(together, planted, short.train, short.valid, checkpoints=homes)
    for seed, ranker in together.items():
        assert ranker.epochs == refit(planted, short, quick, seed=seed).epochs


@pytest.mark.parametrize("body", ["ranker_dense", "transformer", "gru", "mlp"])
def test_plain_bodies_learn_score_and_come_back_from_their_files(
    body: str, planted: Dataset, fold: Fold, quick: RankerSettings, tmp_path: Path
) -> None:
    defaults = KINDS[body].defaults
    assert isinstance(defaults, RankerSettings)
    settings = defaults.model_copy(update={"width": 16, "epochs": quick.epochs, "rate": quick.rate, "lookback": min(defaults.lookback, 3)})
    ranker = refit(planted, fold, settings)
    assert ranker.name == body
    found = ranker.score(planted, fold.test)
    truth = np.where(planted.present_DN, planted.x_DNF[..., 0] - planted.x_DNF[..., 1], np.nan)[fold.test]
    known = np.isfinite(truth)
    best = mean_rank_ic(truth, np.where(known, planted.label(5)[fold.test], np.nan))
    assert judged(planted, fold.test, found, 5).rank_ic > 0.7 * best
    ranker.save(tmp_path)
    assert Ranker.load(tmp_path).score(planted, fold.test).tobytes() == found.tobytes()


def test_a_penalty_on_styles_makes_scores_lean_on_them_less(planted: Dataset, fold: Fold, quick: RankerSettings) -> None:
    style = planted.names[0]
    leans = []
    for weight in (0.0, 5.0):
        ranker = refit(planted, fold, quick.model_copy(update={"style": weight, "styles": (style,)}))
        score_SN = ranker.score(planted, fold.test)
        leans.append(abs(mean_rank_ic(score_SN, np.where(np.isfinite(score_SN), planted.x_DNF[fold.test][..., 0], np.nan))))
    assert leans[1] < 0.5 * leans[0]
    with pytest.raises(KestrelError, match="nothing_like_it"):
        refit(planted, fold, quick.model_copy(update={"styles": ("nothing_like_it",)}))


def test_a_wide_market_is_seen_through_inducing_points(planted: Dataset, short: Fold, quick: RankerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refit(planted, short, quick).inducing == 0
    monkeypatch.setattr("models.ranker.model.DIRECT", 10)
    assert refit(planted, short, quick).inducing == 64
    assert refit(planted, short, quick.model_copy(update={"inducing": 0})).inducing == 0


def test_a_random_router_stays_as_chance_made_it(planted: Dataset, short: Fold, quick: RankerSettings) -> None:
    one, other = (refit(planted, short, quick.model_copy(update={"router": "random", "rate": rate})) for rate in (1e-3, 1e-2))
    name = "experts.router.weight"
    assert torch.equal(one.network.state_dict()[name], other.network.state_dict()[name])
    learnt = [refit(planted, short, quick.model_copy(update={"rate": rate})).network.state_dict()[name] for rate in (1e-3, 1e-2)]
    assert not torch.equal(*learnt)


def test_the_load_of_experts_is_known_by_session(fitted: Ranker, planted: Dataset, fold: Fold) -> None:
    load_SE = fitted.expert_load(planted, fold.test)
    assert load_SE.shape == (len(fold.test), fitted.settings.experts)
    assert load_SE.sum(axis=1) == pytest.approx(1)


def test_a_stopped_training_goes_on_to_the_same_losses_and_bytes(planted: Dataset, short: Fold, quick: RankerSettings, tmp_path: Path) -> None:
    whole = refit(planted, short, quick)
    for epoch, after in ((1, 3), (1, 4), (2, 4)):
        with pytest.raises(Stopped):
            refit(planted, short, quick, checkpoints=tmp_path / "kept", track=stopping(f"ranker: epoch {epoch} ", after))
    resumed = refit(planted, short, quick, checkpoints=tmp_path / "kept")
    assert resumed.epochs == whole.epochs
    assert saved(resumed, tmp_path / "one") == saved(whole, tmp_path / "two")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["epoch-0002"]


def test_a_finished_training_is_not_repeated(planted: Dataset, short: Fold, quick: RankerSettings, tmp_path: Path) -> None:
    first = refit(planted, short, quick, checkpoints=tmp_path)
    again = refit(planted, short, quick, checkpoints=tmp_path, track=stopping("ranker: epoch", 0))
    assert again.score(planted, short.test).tobytes() == first.score(planted, short.test).tobytes()


def test_a_checkpoint_cut_off_while_written_is_passed_over(planted: Dataset, short: Fold, quick: RankerSettings, tmp_path: Path) -> None:
    whole = refit(planted, short, quick, checkpoints=tmp_path)
    (tmp_path / "epoch-0003").mkdir()
    (tmp_path / "epoch-0003" / "course.safetensors").write_bytes(b"half")
    assert refit(planted, short, quick, checkpoints=tmp_path).epochs == whole.epochs


def test_checkpoints_of_another_training_are_refused(planted: Dataset, short: Fold, quick: RankerSettings, tmp_path: Path) -> None:
    refit(planted, short, quick, checkpoints=tmp_path)
    with pytest.raises(KestrelError, match="other settings, data or seed"):
        refit(planted, short, quick, checkpoints=tmp_path, seed=1)
    with pytest.raises(KestrelError, match="other settings, data or seed"):
        refit(replace(planted, y_DNH=-planted.y_DNH), short, quick, checkpoints=tmp_path)


def test_a_tampered_checkpoint_is_refused(planted: Dataset, short: Fold, quick: RankerSettings, tmp_path: Path) -> None:
    refit(planted, short, quick, checkpoints=tmp_path)
    path = tmp_path / "epoch-0002" / "course.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(KestrelError, match="sha256"):
        refit(planted, short, quick, checkpoints=tmp_path)


def test_a_saved_ranker_is_safetensors_and_json(fitted: Ranker, tmp_path: Path) -> None:
    assert set(saved(fitted, tmp_path)) == {"model.json", "weights.safetensors"}
    head = files.read(tmp_path)
    assert head.state["settings"] == fitted.settings.model_dump(mode="json")
    assert [epoch["rank_ic"] for epoch in head.state["epochs"]] == [epoch.rank_ic for epoch in fitted.epochs]


def test_another_seed_learns_other_weights(planted: Dataset, short: Fold, quick: RankerSettings) -> None:
    one, two = (refit(planted, short, quick, seed=seed).score(planted, short.test) for seed in (1, 2))
    assert one.tobytes() != two.tobytes()


def test_threads_and_chance_of_the_process_are_left_as_they_were(planted: Dataset, short: Fold, quick: RankerSettings) -> None:
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    refit(planted, short, quick.model_copy(update={"threads": threads + 1, "epochs": 1})).score(planted, short.test)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)


def test_heads_are_those_asked_for(planted: Dataset, short: Fold, quick: RankerSettings) -> None:
    ranker = refit(planted, short, quick.model_copy(update={"heads": (1,), "epochs": 1}))
    assert ranker.horizons == (1,)
    assert ranker.weights == pytest.approx({"1": 1 - STRAIGHT_SHARE, "straight": STRAIGHT_SHARE})
    with pytest.raises(KestrelError, match="horizon of 3 sessions"):
        refit(planted, short, quick.model_copy(update={"heads": (1, 3)}))


def test_dates_fade_by_half_in_a_half_life() -> None:
    weight_S = fading(np.array([0, 100, 200]), 100)
    assert weight_S.mean() == pytest.approx(1)
    assert weight_S[1:] / weight_S[:-1] == pytest.approx(2)
    assert fading(np.array([0, 100]), 0).tolist() == [1, 1]


def test_an_unfitted_ranker_scores_nothing(planted: Dataset) -> None:
    with pytest.raises(ValueError, match="neither fitted nor loaded"):
        Ranker().score(planted, np.arange(1))
