"""The ranker behind the protocol of every model: fit, score, save, load.  torch is imported by what needs it.

Dims: S sessions, N stocks, H horizons.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from data.progress import Track, silent
from factors.registry import library
from models import files
from models.blend import z_blend
from models.dataset import Dataset, Floats32, Sessions, rows
from models.labels import dress, drop_extremes
from models.ranker.market import Gauges, calibrate
from models.ranker.settings import MarketSettings, RankerSettings

if TYPE_CHECKING:
    from models.ranker.network import Network
    from models.ranker.panel import Inputs
    from models.ranker.training import Epoch, Lessons

WEIGHTS = "weights.safetensors"
SCORED_AT_ONCE = 64  # sessions; bounds the inputs held at a time
UNKNOWN_FAMILY = "other"


class Ranker:
    """A Transformer with a market gate and experts; its score is a z-blend of its heads, weighed on the validation sessions."""

    name = "ranker"

    def __init__(self, settings: RankerSettings | None = None) -> None:
        """An unfitted ranker."""
        self.settings = settings or RankerSettings()
        self.horizons: tuple[int, ...] = ()
        self.epochs: list[Epoch] = []  # how the training went
        self.best_epoch = 0  # position of the one kept
        self._inputs: Inputs | None = None
        self._network: Network | None = None

    @property
    def network(self) -> "Network":
        """The fitted network."""
        if self._network is None:
            raise ValueError("the ranker is neither fitted nor loaded")
        return self._network

    @property
    def inputs(self) -> "Inputs":
        """What it reads of a dataset."""
        if self._inputs is None:
            raise ValueError("the ranker is neither fitted nor loaded")
        return self._inputs

    def fit(self, dataset: Dataset, train: Sessions, valid: Sessions, *, seed: int, track: Track = silent, checkpoints: Path | None = None) -> None:
        """Train on the training sessions and keep the epoch with the best RankIC on the validation sessions.

        checkpoints: a folder for one checkpoint an epoch.  A training that was stopped goes on from there, to the same bytes.
        """
        from models.ranker.training import torch_state
        from models.ranker.training import train as learn

        self.horizons = tuple(sorted(set(self.settings.heads))) or dataset.horizons
        self._inputs, self._network = _inputs(dataset, train, self.settings), None
        lessons = self._lessons(dataset, train, valid, track)
        with torch_state(self.settings.threads, seed):
            course = learn(self._build(), lessons, self.settings, seed=seed, track=track, folder=checkpoints)
            self._network = course.averaged
            self._network.load_state_dict(course.best)
            self.epochs, self.best_epoch = course.epochs, course.best_epoch

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each head in the score, by horizon."""
        return dict(zip(map(str, self.horizons), self.epochs[self.best_epoch].weights, strict=True))

    def score(self, dataset: Dataset, sessions: Sessions) -> Floats32:
        """The z-blend of the heads, session by session."""
        score_SNH = self.head_scores(dataset, sessions)
        return z_blend({str(horizon): score_SNH[..., place] for place, horizon in enumerate(self.horizons)}, self.weights)

    def head_scores(self, dataset: Dataset, sessions: Sessions) -> Floats32:
        """score_SNH of each head; NaN for stocks that aren't present."""
        from models.ranker.training import infer, torch_state

        stocks = dataset.axes.shape[1]
        parts = [np.empty((0, stocks, len(self.horizons)), dtype=np.float32)]
        with torch_state(self.settings.threads, 0):
            for at in range(0, len(sessions), SCORED_AT_ONCE):
                some = sessions[at : at + SCORED_AT_ONCE]
                parts.append(infer(self.network, self.inputs.panel(dataset, some), some, stocks))
        return np.concatenate(parts)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and model.json."""
        from safetensors.torch import save

        inputs = self.inputs
        state: dict[str, Any] = {"settings": self.settings.model_dump(mode="json"), "horizons": list(self.horizons)}
        state |= {"names": list(inputs.names), "families": list(inputs.families)}
        gauges = inputs.gauges
        state["market"] = {"gauges": gauges.settings.model_dump(mode="json"), "centre": gauges.centre_M.tolist(), "scale": gauges.scale_M.tolist()}
        state |= {"epochs": [asdict(epoch) for epoch in self.epochs], "best_epoch": self.best_epoch}
        files.write(folder, self.name, state, {WEIGHTS: save(self.network.state_dict())})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        from safetensors.torch import load

        from models.ranker.panel import Inputs
        from models.ranker.training import epoch_of

        saved = files.saved_as(folder, cls.name)
        model, state = cls(saved.settings(RankerSettings)), saved.state
        market = state["market"]
        gauges = Gauges(MarketSettings(**market["gauges"]), np.array(market["centre"]), np.array(market["scale"]))
        settings = model.settings
        model._inputs = Inputs(tuple(state["names"]), tuple(state["families"]), settings.inputs, settings.lookback, gauges)
        model.horizons = tuple(state["horizons"])
        model.epochs = [epoch_of(record) for record in state["epochs"]]
        model.best_epoch = state["best_epoch"]
        model._network = model._build()
        model._network.load_state_dict(load(saved.files[WEIGHTS]))
        return model

    def _build(self) -> "Network":
        """A fresh network of this shape."""
        from models.ranker.network import Network

        inputs = self.inputs
        sizes = {"factors": len(inputs.names), "flags": inputs.flags, "gauges": inputs.gauges.count, "horizons": len(self.horizons)}
        return Network(self.settings, **sizes)

    def _lessons(self, dataset: Dataset, train: Sessions, valid: Sessions, track: Track) -> "Lessons":
        """Windows, labels and weights of both periods; raises KestrelError for a horizon, or a period, without labels."""
        from models.ranker.training import Lessons

        settings = self.settings
        z_SN = dataset.loss_label(settings.horizon)[valid]
        rows(z_SN)  # refuses a period without labels
        y_SNH = np.stack([dataset.loss_label(horizon)[train] for horizon in self.horizons], axis=-1)
        for place in range(len(self.horizons)):
            rows(y_SNH[..., place])
        taught = np.isfinite(y_SNH).any(axis=(1, 2))
        train, y_SNH = train[taught], y_SNH[taught]
        for place in range(len(self.horizons)):
            y_SNH[..., place] = dress(drop_extremes(y_SNH[..., place], settings.trim), settings.label)
        panel = self.inputs.panel(dataset, np.concatenate([train, valid]), track=track)
        return Lessons(panel, train, y_SNH, fading(train, settings.half_life), valid, z_SN, self.horizons)


def fading(train: Sessions, half_life: int) -> Floats32:
    """weight_S of the training sessions by their age, 1 on average."""
    weight_S = np.exp2((train - train.max()) / half_life) if half_life else np.ones(len(train))
    return (weight_S / weight_S.mean()).astype(np.float32)


def families(names: Sequence[str]) -> tuple[str, ...]:
    """The family of each factor; those that the library doesn't know share one."""
    known = library()
    return tuple(known[name].family if name in known else UNKNOWN_FAMILY for name in names)


def _inputs(dataset: Dataset, train: Sessions, settings: RankerSettings) -> "Inputs":
    from models.ranker.panel import Inputs

    gauges = calibrate(dataset, train, settings.market)
    return Inputs(dataset.names, families(dataset.names), settings.inputs, settings.lookback, gauges)
