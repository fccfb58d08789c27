"""The ranker behind the protocol of every model: fit, score, save, load.  torch is imported by what needs it.

Dims: S sessions, N stocks, O opinions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

import numpy as np

from data.errors import KestrelError
from data.progress import Track, silent
from factors.ranks import Floats
from factors.registry import library
from models import files
from models.blend import z_blend
from models.dataset import Dataset, Floats32, Sessions, rows
from models.labels import dress, drop_extremes
from models.ranker.market import Gauges, calibrate
from models.ranker.settings import BodyName, MarketSettings, RankerSettings

if TYPE_CHECKING:
    from torch import Tensor

    from models.ranker.body import Body
    from models.ranker.course import Epoch
    from models.ranker.panel import Inputs
    from models.ranker.step import Lessons
    from models.ranker.training import Taught

WEIGHTS = "weights.safetensors"
SCORED_AT_ONCE = 64  # sessions; bounds the inputs held at a time
UNKNOWN_FAMILY = "other"
DIRECT, POINTS = 2500, 64  # stocks of a session that all look at each other directly; points that they do it through above
STYLES = ("log_float_cap", "volatility_20", "turnover_20", "momentum_12_1", "book_to_price")


class Ranker:
    """A Transformer with a market gate and experts; its score is a z-blend of its heads and a linear opinion, weighed on the validation sessions."""

    def __init__(self, settings: RankerSettings | None = None) -> None:
        """An unfitted ranker."""
        self.settings = settings or RankerSettings()
        self.horizons: tuple[int, ...] = ()
        self.weights: dict[str, float] = {}  # of each voter in the score: heads by their horizon, and the straight way
        self.epochs: list[Epoch] = []  # how the training went
        self.averaged: tuple[int, ...] = ()  # positions of those whose mean the weights are
        self.inducing = 0  # points that stocks see each other through
        self._inputs: Inputs | None = None
        self._network: Body | None = None

    @property
    def name(self) -> str:
        """Its body's name."""
        return self.settings.body

    @property
    def best_epoch(self) -> int:
        """Position of the first epoch with the best validation RankIC."""
        return max(range(len(self.epochs)), key=lambda place: self.epochs[place].rank_ic)

    @property
    def network(self) -> "Body":
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
        self.fit_seeds({seed: self}, dataset, train, valid, track=track, checkpoints=None if checkpoints is None else {seed: checkpoints})

    @staticmethod
    def fit_seeds(
        rankers: "Mapping[int, Ranker]",
        dataset: Dataset,
        train: Sessions,
        valid: Sessions,
        *,
        track: Track = silent,
        checkpoints: Mapping[int, Path] | None = None,
    ) -> None:
        """Fit one ranker per seed, side by side and over inputs that are prepared once; each is what `fit` alone would make it.

        All have the same settings.  checkpoints: a folder by seed.
        """
        from models.ranker.ring import joined
        from models.ranker.training import conclude, torch_state
        from models.ranker.training import train as learn

        first = next(iter(rankers.values()))
        settings, device = first.settings, device_of(first.settings)
        first._prepare(dataset, train)
        for ranker in rankers.values():
            ranker.horizons, ranker._inputs, ranker.inducing = first.horizons, first._inputs, first.inducing
        with joined():
            lessons = _lessons(first, dataset, train, valid, track)
            networks = {}
            for seed, ranker in rankers.items():
                with torch_state(settings.threads, seed):
                    networks[seed] = ranker._build().to(device)
            courses = learn(networks, lessons, settings, track=track, folders=checkpoints or {})
            for course in courses:
                rankers[course.seed]._take(conclude(course, lessons, settings), course.epochs)

    def score(self, dataset: Dataset, sessions: Sessions) -> Floats32:
        """The z-blend of the heads and the straight way, session by session."""
        return z_blend(self.opinions(dataset, sessions), self.weights)

    def opinions(self, dataset: Dataset, sessions: Sessions) -> dict[str, Floats32]:
        """score_SN by voter: a head by its horizon, and the straight way; NaN for stocks that aren't present."""
        from models.ranker.training import infer, torch_state

        stocks, voters = dataset.axes.shape[1], self.network.voters(self.horizons)
        parts = [np.empty((0, stocks, len(voters)), dtype=np.float32)]
        with torch_state(self.settings.threads, 0):
            for at in range(0, len(sessions), SCORED_AT_ONCE):
                some = sessions[at : at + SCORED_AT_ONCE]
                panel = self.inputs.panel(dataset, some).to(device_of(self.settings))
                parts.append(infer(self.network, panel, some, stocks, precision=self.settings.precision))
        score_SNO = np.concatenate(parts)
        return {voter: score_SNO[..., place] for place, voter in enumerate(voters)}

    def expert_load(self, dataset: Dataset, sessions: Sessions) -> Floats:
        """load_SE: the share of each session's places that each routed expert gets; [S, 0] for a body without experts."""
        from models.ranker.training import load, torch_state

        with torch_state(self.settings.threads, 0):
            return load(self.network, self.inputs.panel(dataset, sessions).to(device_of(self.settings)), sessions)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and model.json."""
        from safetensors.torch import save

        inputs = self.inputs
        state: dict[str, Any] = {"settings": self.settings.model_dump(mode="json"), "horizons": list(self.horizons)}
        state |= {"names": list(inputs.names), "families": list(inputs.families)}
        gauges = inputs.gauges
        state["market"] = {"gauges": gauges.settings.model_dump(mode="json"), "centre": gauges.centre_M.tolist(), "scale": gauges.scale_M.tolist()}
        state |= {"inducing": self.inducing, "weights": self.weights}
        state |= {"epochs": [asdict(epoch) for epoch in self.epochs], "averaged": list(self.averaged)}
        weights = {name: value.cpu().contiguous() for name, value in self.network.state_dict().items()}
        files.write(folder, self.name, state, {WEIGHTS: save(weights)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        from safetensors.torch import load

        from models.ranker.course import epoch_of
        from models.ranker.panel import Inputs

        saved = files.saved_as(folder, *get_args(BodyName))
        model, state = cls(saved.settings(RankerSettings)), saved.state
        market = state["market"]
        gauges = Gauges(MarketSettings(**market["gauges"]), np.array(market["centre"]), np.array(market["scale"]))
        settings = model.settings
        model._inputs = Inputs(tuple(state["names"]), tuple(state["families"]), settings.inputs, settings.lookback, gauges)
        model.horizons = tuple(state["horizons"])
        model.epochs = [epoch_of(record) for record in state["epochs"]]
        model.averaged, model.weights, model.inducing = tuple(state["averaged"]), state["weights"], state["inducing"]
        model._fill(load(saved.files[WEIGHTS]))
        return model

    def _build(self) -> "Body":
        """A fresh network of this shape."""
        from models.ranker.bodies import build

        inputs = self.inputs
        sizes = {"factors": len(inputs.names), "flags": inputs.flags, "gauges": inputs.gauges.count, "horizons": len(self.horizons)}
        return build(self.settings.model_copy(update={"inducing": self.inducing}), **sizes)

    def _prepare(self, dataset: Dataset, train: Sessions) -> None:
        """Decide what is read, and how wide the look across stocks is."""
        from models.ranker.panel import Inputs

        settings = self.settings
        self.horizons = tuple(sorted(set(settings.heads))) or dataset.horizons
        gauges = calibrate(dataset, train, settings.market)
        self._inputs = Inputs(dataset.names, families(dataset.names), settings.inputs, settings.lookback, gauges)
        widest = int(dataset.present_DN[train].sum(axis=1).max(initial=0))
        self.inducing = settings.inducing if settings.inducing is not None else (POINTS if widest > DIRECT else 0)

    def _fill(self, weights: "Mapping[str, Tensor]") -> None:
        """Hold a network with these weights."""
        from models.ranker.training import torch_state

        with torch_state(self.settings.threads, 0):  # a fresh network draws weights before it is given these
            self._network = self._build().to(device_of(self.settings))
        self._network.load_state_dict(weights)

    def _take(self, taught: "Taught", epochs: "list[Epoch]") -> None:
        """Become what a training came to."""
        self._fill(taught.weights)
        self.weights, self.averaged, self.epochs = taught.heads, taught.epochs, epochs


def _lessons(ranker: Ranker, dataset: Dataset, train: Sessions, valid: Sessions, track: Track) -> "Lessons":
    """Windows, labels and weights of both periods; raises KestrelError for a horizon, or a period, without labels."""
    from models.ranker.step import Lessons

    settings, inputs = ranker.settings, ranker.inputs
    z_SN = dataset.loss_label(settings.horizon)[valid]
    rows(z_SN)  # refuses a period without labels
    y_SNH = np.stack([dataset.loss_label(horizon)[train] for horizon in ranker.horizons], axis=-1)
    for place in range(len(ranker.horizons)):
        rows(y_SNH[..., place])
    taught = np.isfinite(y_SNH).any(axis=(1, 2))
    train, y_SNH = train[taught], y_SNH[taught]
    for place in range(len(ranker.horizons)):
        y_SNH[..., place] = dress(drop_extremes(y_SNH[..., place], settings.trim), settings.label)
    panel = inputs.panel(dataset, np.concatenate([train, valid]), track=track).to(device_of(settings))
    weight_S = fading(train, settings.half_life)
    return Lessons(panel, train, y_SNH, weight_S, valid, z_SN, ranker.horizons, styles(inputs.names, settings))


def device_of(settings: RankerSettings) -> str:
    """Where it computes: as set, else a GPU where there is one."""
    import torch

    return settings.device if settings.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def styles(names: Sequence[str], settings: RankerSettings) -> tuple[int, ...]:
    """Positions of the style factors; raises KestrelError for one that is named and not there."""
    missing = sorted(set(settings.styles or ()) - set(names))
    if missing:
        raise KestrelError(f"model.{settings.body}.styles names {', '.join(missing)}, which models don't read here. Add it to factors.names.")
    return tuple(names.index(name) for name in (STYLES if settings.styles is None else settings.styles) if name in names)


def fading(train: Sessions, half_life: int) -> Floats32:
    """weight_S of the training sessions by their age, 1 on average."""
    weight_S = np.exp2((train - train.max()) / half_life) if half_life else np.ones(len(train))
    return (weight_S / weight_S.mean()).astype(np.float32)


def families(names: Sequence[str]) -> tuple[str, ...]:
    """The family of each factor; those that the library doesn't know share one."""
    known = library()
    return tuple(known[name].family if name in known else UNKNOWN_FAMILY for name in names)
