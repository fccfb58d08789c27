"""Ridge regression on the factors of each session: the plain model that every other one has to beat.

Dims: F factors, N stocks of a session, R rows of several sessions.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numba import njit
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

from data.errors import KestrelError
from data.progress import Track, silent
from factors.judge import mean_rank_ic
from factors.ranks import Floats, prepare
from models import files
from models.dataset import Dataset, Floats32, Sessions, rows, spread
from models.labels import dress, drop_extremes


class RidgeSettings(BaseModel):
    """What ridge regresses on what."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    horizon: PositiveInt = 5
    inputs: Literal["z_score", "rank_gauss"] = "rank_gauss"
    label: Literal["z_score", "rank_gauss"] = "rank_gauss"
    alphas: Annotated[tuple[PositiveFloat, ...], Field(strict=False, min_length=1)] = (0.003, 0.03, 0.3, 3.0)  # in variances of an input
    trim: Annotated[float, Field(ge=0, lt=0.5)] = 0.0  # share of each side that training leaves out


class Ridge:
    """One weight per factor; a missing factor counts as average.  Training sessions weigh the same, however many stocks they have."""

    name = "ridge"

    def __init__(self, settings: RidgeSettings | None = None) -> None:
        """An unfitted ridge."""
        self.settings = settings or RidgeSettings()
        self.names: tuple[str, ...] = ()
        self.weights_F: Floats = np.empty(0)
        self.rank_ics: dict[float, float] = {}  # of each alpha on the validation sessions

    def fit(self, dataset: Dataset, train: Sessions, valid: Sessions, *, seed: int, track: Track = silent, checkpoints: Path | None = None) -> None:
        """Solve the normal equations once per alpha and keep the one with the best validation RankIC; the seed has no part in it."""
        del seed, checkpoints  # done in a moment
        gram_FF, moment_F = self._equations(dataset, train, track)
        y_SN = dataset.loss_label(self.settings.horizon)[valid]
        x_RF = np.concatenate([self._inputs(dataset, session, None) for session in track(valid.tolist(), "ridge: validation")])
        fitted: dict[float, Floats] = {}
        self.rank_ics = {}
        for alpha in sorted(self.settings.alphas, reverse=True):
            fitted[alpha] = solve(gram_FF + alpha * np.eye(len(gram_FF)), moment_F)
            self.rank_ics[alpha] = mean_rank_ic(spread(project(x_RF, fitted[alpha]), dataset.present_DN[valid]), y_SN)
        known = {alpha: value for alpha, value in self.rank_ics.items() if np.isfinite(value)}
        if not known:
            raise KestrelError(
                "No validation session has ten stocks with labels and scores that differ, so ridge can't choose alpha. See the universe."
            )
        # max keeps the first of equals, the largest alpha: the plainest.
        self.names, self.weights_F = dataset.names, fitted[max(known, key=known.__getitem__)]

    def score(self, dataset: Dataset, sessions: Sessions) -> Floats32:
        """Inputs times weights."""
        if not self.names:
            raise ValueError("ridge is neither fitted nor loaded")
        columns = dataset.columns(self.names)
        score_SN = np.full((len(sessions), dataset.axes.shape[1]), np.nan, dtype=np.float32)
        for place, session in enumerate(sessions.tolist()):
            score_SN[place, dataset.present_DN[session]] = project(self._inputs(dataset, session, columns), self.weights_F)
        return score_SN

    def save(self, folder: Path) -> None:
        """Write model.json alone: settings, factor names, weights."""
        rank_ics = [[alpha, value if np.isfinite(value) else None] for alpha, value in self.rank_ics.items()]
        fitted = {"names": list(self.names), "weights": self.weights_F.tolist(), "rank_ics": rank_ics}
        files.write(folder, self.name, {"settings": self.settings.model_dump(mode="json"), **fitted})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        saved = files.saved_as(folder, cls.name)
        model = cls(saved.settings(RidgeSettings))
        model.names = tuple(saved.state["names"])
        model.weights_F = np.array(saved.state["weights"], dtype=np.float64)
        model.rank_ics = {alpha: float("nan") if value is None else value for alpha, value in saved.state["rank_ics"]}
        return model

    def _inputs(self, dataset: Dataset, session: int, columns: Sessions | None) -> Floats32:
        return np.nan_to_num(prepare(dataset.session(session, columns), self.settings.inputs), copy=False, nan=0.0)

    def _equations(self, dataset: Dataset, train: Sessions, track: Track) -> tuple[Floats, Floats]:
        """(gram_FF, moment_F): means over the training sessions of X'X / N and X'y / N."""
        y_SN = drop_extremes(dataset.loss_label(self.settings.horizon)[train], self.settings.trim)
        rows(y_SN)  # refuses a period without labels
        y_SN = dress(y_SN, self.settings.label)
        width = len(dataset.names)
        gram_FF, moment_F, taught = np.zeros((width, width)), np.zeros(width), 0
        for place, session in track(list(enumerate(train.tolist())), "ridge: training"):
            y_N = y_SN[place, dataset.present_DN[session]].astype(np.float64)
            known = np.isfinite(y_N)
            if known.any():
                x_NF = self._inputs(dataset, session, None)[known].astype(np.float64)
                _add_session(x_NF, y_N[known], gram_FF, moment_F)
                taught += 1
        return gram_FF / taught, moment_F / taught


# BLAS may add in another order on another number of threads; these loops can't, so weights are the same everywhere.


@njit(cache=True, nogil=True)
def _add_session(x_NF: Floats, y_N: Floats, gram_FF: Floats, moment_F: Floats) -> None:
    count, width = x_NF.shape
    for n in range(count):
        for i in range(width):
            scaled = x_NF[n, i] / count
            moment_F[i] += scaled * y_N[n]
            for j in range(width):  # both triangles: a loop of fixed bounds is three times as fast
                gram_FF[i, j] += scaled * x_NF[n, j]


@njit(cache=True, nogil=True)
def _cholesky_solve(matrix_FF: Floats, right_F: Floats) -> Floats:
    width = len(right_F)
    lower = np.zeros((width, width))
    for i in range(width):
        for j in range(i + 1):
            total = matrix_FF[i, j]
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            lower[i, j] = np.sqrt(total) if i == j else total / lower[j, j]
    solution = right_F.copy()
    for i in range(width):
        for k in range(i):
            solution[i] -= lower[i, k] * solution[k]
        solution[i] /= lower[i, i]
    for i in range(width - 1, -1, -1):
        for k in range(i + 1, width):
            solution[i] -= lower[k, i] * solution[k]
        solution[i] /= lower[i, i]
    return solution


def solve(matrix_FF: Floats, right_F: Floats) -> Floats:
    """The solution of a symmetric positive definite system, by Cholesky."""
    solution: Floats = _cholesky_solve(matrix_FF, right_F)
    return solution


def project(x_RF: Floats32, weights_F: Floats) -> Floats:
    """x_RF times weights_F, row by row in float64."""
    total: Floats = np.einsum("rf,f->r", x_RF.astype(np.float64), weights_F, optimize=False)
    return total
