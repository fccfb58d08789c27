"""Boosted trees (LightGBM) on one of three labels: z-scores, Gaussian ranks, or grades under LambdaRank.

Training another label, seed or size on the same rows reuses the binned rows: see `bin_rows`.
Dims: F factors, S sessions, N stocks, R rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt

from data.errors import KestrelError
from data.progress import Track, silent
from factors.judge import daily_ic
from factors.ranks import Floats, Inputs, prepare, rank_rows
from models import files
from models.dataset import Dataset, Floats32, Rows, Sessions, gather, rows, spread
from models.labels import Dress, dress

if TYPE_CHECKING:
    import lightgbm

NAMES: dict[Dress, str] = {"z_score": "lightgbm", "rank_gauss": "lightgbm_rank", "grades": "lambdarank"}
TEXT = "trees.txt"
SCORED_AT_ONCE = 64  # sessions; bounds the copy that prediction makes

Share = Annotated[float, Field(gt=0, le=1)]


class TreeSettings(BaseModel):
    """How trees are grown.  A shallow bite of rows and columns per round: most of what is left after that is noise."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    horizon: PositiveInt = 5
    inputs: Inputs = "raw"
    label: Dress = "rank_gauss"
    leaves: Annotated[int, Field(ge=2)] = 64
    rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    row_share: Share = 0.5
    column_share: Share = 0.5
    leaf_rows: PositiveInt = 200  # fewest rows of a leaf
    l1: NonNegativeFloat = 0.0
    l2: NonNegativeFloat = 1.0
    bins: Annotated[int, Field(ge=2, le=255)] = 255
    rounds: PositiveInt = 500
    patience: PositiveInt = 50  # rounds without a better validation RankIC
    grades: Annotated[int, Field(ge=2)] = 32  # of lambdarank
    truncation: PositiveInt = 30  # of lambdarank: the ranks whose order counts
    threads: PositiveInt = 2


@dataclass(frozen=True)
class Binned:
    """The rows of one fold, binned once.  Valid for settings with the same horizon, inputs and bins."""

    names: tuple[str, ...]
    key: tuple[object, ...]
    train: "lightgbm.Dataset"
    train_rows: Rows
    y_SN: Floats32  # training labels, NaN where no row is
    valid: "lightgbm.Dataset"
    valid_rows: Rows
    ranks_SN: Floats  # of the validation labels


class Trees:
    """LightGBM stopped where the mean daily RankIC on the validation sessions is best.  The label names the model."""

    def __init__(self, settings: TreeSettings | None = None) -> None:
        """Unfitted trees."""
        self.settings = settings or TreeSettings()
        self.names: tuple[str, ...] = ()
        self.rank_ics: list[float] = []  # on the validation sessions, by round
        self._booster: lightgbm.Booster | None = None

    @property
    def name(self) -> str:
        """lightgbm, lightgbm_rank or lambdarank."""
        return NAMES[self.settings.label]

    @property
    def rounds(self) -> int:
        """Trees kept."""
        return self.booster.num_trees()

    @property
    def booster(self) -> "lightgbm.Booster":
        """The fitted trees."""
        if self._booster is None:
            raise ValueError(f"{self.name} is neither fitted nor loaded")
        return self._booster

    def fit(self, dataset: Dataset, train: Sessions, valid: Sessions, *, seed: int, track: Track = silent, checkpoints: Path | None = None) -> None:
        """Bin the rows and grow trees on them."""
        del checkpoints  # minutes at most: begun again
        self.fit_seeds({seed: self}, dataset, train, valid, track=track)

    @staticmethod
    def fit_seeds(
        trees: "Mapping[int, Trees]",
        dataset: Dataset,
        train: Sessions,
        valid: Sessions,
        *,
        track: Track = silent,
        checkpoints: Mapping[int, Path] | None = None,
    ) -> None:
        """Fit trees per seed on rows that are binned once; each is what `fit` alone would make it.  All have the same settings."""
        del checkpoints
        binned = bin_rows(dataset, train, valid, next(iter(trees.values())).settings)
        for seed, one in trees.items():
            one.grow(binned, seed=seed, track=track)

    def grow(self, binned: Binned, *, seed: int, track: Track = silent) -> None:
        """Grow trees on rows that are binned already; the result is that of `fit`."""
        import lightgbm

        if binned.key != _key(self.settings):
            raise ValueError(f"rows binned for {binned.key} can't teach {_key(self.settings)}")
        where = binned.train_rows
        y_SN = dress(binned.y_SN, self.settings.label, levels=self.settings.grades)
        binned.train.set_label(y_SN[where.place_R, where.stock_R])
        booster = lightgbm.Booster(self._parameters(seed), binned.train).add_valid(binned.valid, "valid")
        best, self.rank_ics = 0, []
        for done in track(range(self.settings.rounds), f"{self.name}: rounds"):
            finished = booster.update()
            self.rank_ics.append(_validate(booster, binned))
            if not self.rank_ics[done] <= self.rank_ics[best]:
                best = done
            if finished or done - best >= self.settings.patience:
                break
        if not np.isfinite(self.rank_ics[best]):
            raise KestrelError("No validation session has ten stocks with labels and scores that differ, so trees can't stop. See the universe.")
        self.names = binned.names
        # Through its text, so that a model scores the same before it is saved and after.
        self._booster = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=best + 1))

    def score(self, dataset: Dataset, sessions: Sessions) -> Floats32:
        """Sums of leaves, session by session."""
        columns = dataset.columns(self.names)
        parts = [self._score_some(dataset, sessions[at : at + SCORED_AT_ONCE], columns) for at in range(0, len(sessions), SCORED_AT_ONCE)]
        return np.concatenate(parts) if parts else np.empty((0, dataset.axes.shape[1]), dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write trees.txt (LightGBM's own text) and model.json."""
        state = {"settings": self.settings.model_dump(mode="json"), "names": list(self.names)}
        rank_ics = [value if np.isfinite(value) else None for value in self.rank_ics]
        files.write(folder, self.name, {**state, "rank_ics": rank_ics}, {TEXT: self.booster.model_to_string().encode()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        import lightgbm

        saved = files.saved_as(folder, *NAMES.values())
        model = cls(saved.settings(TreeSettings))
        model.names = tuple(saved.state["names"])
        model.rank_ics = [float("nan") if value is None else value for value in saved.state["rank_ics"]]
        model._booster = lightgbm.Booster(model_str=saved.files[TEXT].decode())
        return model

    def _score_some(self, dataset: Dataset, sessions: Sessions, columns: Sessions | None) -> Floats32:
        present_SN = dataset.present_DN[sessions]
        if not present_SN.any():
            return np.full(present_SN.shape, np.nan, dtype=np.float32)
        x_RF = np.concatenate([prepare(dataset.session(session, columns), self.settings.inputs) for session in sessions.tolist()])
        return spread(np.asarray(self.booster.predict(x_RF, num_threads=self.settings.threads)), present_SN)

    def _parameters(self, seed: int) -> dict[str, Any]:
        """LightGBM's parameters; every seed is named, since `seed` alone would move the bins as well."""
        chosen = self.settings
        parameters: dict[str, Any] = {
            **_binning(chosen),
            "objective": "regression",
            "metric": "None",
            "learning_rate": chosen.rate,
            "num_leaves": chosen.leaves,
            "min_data_in_leaf": chosen.leaf_rows,
            "bagging_fraction": chosen.row_share,
            "bagging_freq": 1,
            "feature_fraction": chosen.column_share,
            "lambda_l1": chosen.l1,
            "lambda_l2": chosen.l2,
            "seed": seed,
            "bagging_seed": seed,
            "feature_fraction_seed": seed,
        }
        if chosen.label == "grades":
            # Gains grow with the grade, not with its power of two: the best of 32 grades would drown the rest.
            ranking = {"objective": "lambdarank", "label_gain": list(range(chosen.grades)), "lambdarank_truncation_level": chosen.truncation}
            parameters.update(ranking)
        return parameters


def bin_rows(dataset: Dataset, train: Sessions, valid: Sessions, settings: TreeSettings) -> Binned:
    """Every tradable, labelled row of both periods, binned: the costly part of a fit, done once for many."""
    import lightgbm

    y_SN, z_SN = (dataset.loss_label(settings.horizon)[sessions] for sessions in (train, valid))
    taught, judged = rows(y_SN), rows(z_SN)
    binning = _binning(settings)
    x_RF = _matrix(dataset, train, y_SN, taught, settings.inputs)
    binned = lightgbm.Dataset(x_RF, taught.y_R, group=taught.counts, params=binning).construct()
    x_RF = _matrix(dataset, valid, z_SN, judged, settings.inputs)
    checked = lightgbm.Dataset(x_RF, judged.y_R, reference=binned, group=judged.counts, params=binning).construct()
    return Binned(dataset.names, _key(settings), binned, taught, y_SN, checked, judged, rank_rows(z_SN))


def _matrix(dataset: Dataset, sessions: Sessions, y_SN: Floats32, found: Rows, how: Inputs) -> Floats32:
    """x_RF of the labelled rows, prepared across all stocks present in their session."""
    if how == "raw":
        return gather(dataset, sessions, found)
    x_RF = np.empty((len(found.y_R), len(dataset.names)), dtype=np.float32)
    begin = 0
    for place, session in enumerate(sessions.tolist()):
        labelled = np.isfinite(y_SN[place, dataset.present_DN[session]])
        end = begin + int(labelled.sum())
        x_RF[begin:end] = prepare(dataset.session(session), how)[labelled]
        begin = end
    return x_RF


def _validate(booster: "lightgbm.Booster", binned: Binned) -> float:
    """Mean daily RankIC of the trees so far on the validation rows."""

    def rank_ic(prediction_R: Floats, _: "lightgbm.Dataset") -> tuple[str, float, bool]:
        daily = daily_ic(rank_rows(binned.valid_rows.panel(prediction_R, binned.ranks_SN.shape)), binned.ranks_SN)
        known = daily[np.isfinite(daily)]
        return "rank_ic", float(known.mean()) if len(known) else float("nan"), True

    return float(booster.eval_valid(rank_ic)[0][2])


def _key(settings: TreeSettings) -> tuple[object, ...]:
    return settings.horizon, settings.inputs, settings.bins


def _binning(settings: TreeSettings) -> dict[str, Any]:
    """The parameters that decide the bins, the same for every model that shares them, and those that make a run repeatable."""
    return {
        "max_bin": settings.bins,
        "data_random_seed": 1,
        "feature_pre_filter": False,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": settings.threads,
        "verbosity": -1,
    }
