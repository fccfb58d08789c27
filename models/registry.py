"""The models by their plain names: what the config may name, and what a saved folder is read by."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from data.errors import KestrelError
from models import files
from models.blend import Blend, BlendSettings
from models.classics import FiveFactors, FiveFactorsSettings
from models.model import Model
from models.ranker.model import Ranker
from models.ranker.settings import RankerSettings
from models.ridge import Ridge, RidgeSettings
from models.trees import Trees, TreeSettings


@dataclass(frozen=True)
class Kind:
    """One entry: the class, and the settings that make it what its name says."""

    model: Any  # a class with the Model protocol, called with its settings
    defaults: BaseModel


# LightGBM and torch are imported by the models when they fit, score or load, so this table costs nothing.
KINDS: dict[str, Kind] = {
    "ridge": Kind(Ridge, RidgeSettings()),
    "lightgbm": Kind(Trees, TreeSettings(label="z_score")),
    "lightgbm_rank": Kind(Trees, TreeSettings(label="rank_gauss")),
    "lambdarank": Kind(Trees, TreeSettings(label="grades")),
    "ranker": Kind(Ranker, RankerSettings()),
    "ranker_dense": Kind(Ranker, RankerSettings(body="ranker_dense", experts=0, expert_width=96)),  # as many active weights as the ranker's experts
    "transformer": Kind(Ranker, RankerSettings(body="transformer", time_heads=4, time_inner=64)),
    "gru": Kind(Ranker, RankerSettings(body="gru")),
    "mlp": Kind(Ranker, RankerSettings(body="mlp", lookback=1, width=64, layers=2, rate=1e-3)),
    "five_factors": Kind(FiveFactors, FiveFactorsSettings()),
    "blend": Kind(Blend, BlendSettings()),
}


def kind(name: str) -> Kind:
    """The entry of that name; raises KestrelError with the nearest name.  A user's own "package.module:Name" would be found here."""
    if name not in KINDS:
        near = get_close_matches(name, KINDS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(KINDS)}."
        raise KestrelError(f"'{name}' is not a model. {hint}")
    return KINDS[name]


def create(name: str, settings: Mapping[str, BaseModel] | None = None) -> Model:
    """An unfitted model.  settings: by model name, for this model and a blend's members; those not given take their defaults."""
    settings = settings or {}
    entry = kind(name)
    chosen = settings.get(name, entry.defaults)
    if type(chosen) is not type(entry.defaults):
        raise ValueError(f"{name} takes {type(entry.defaults).__name__}, not {type(chosen).__name__}")
    if isinstance(chosen, BlendSettings):
        return Blend([create(member, settings) for member in chosen.members], chosen)
    model: Model = entry.model(chosen)
    if model.name != name:
        raise KestrelError(f"The settings of {name} make it a {model.name}: leave its label as it is, or name the model {model.name}.")
    return model


def load(folder: Path) -> Model:
    """The saved model of a folder, whatever its kind."""
    model: Model = kind(files.read(folder).model).model.load(folder)
    return model
