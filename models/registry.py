"""The models by their plain names, and users' own by theirs: what the config may name, and what a saved folder is read by."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from data.errors import KestrelError
from factors.plugins import guarded, module_named
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


METHODS = ("fit", "score", "save", "load")

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
    "default": Kind(Blend, BlendSettings(members=("lightgbm_rank", "ranker"), weights="rank_ic")),  # what docs/ranker.md's figures support
}


class NoSettings(BaseModel):
    """Of a user's own model that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


_OWN: dict[str, Kind] = {}


def kind(name: str) -> Kind:
    """The entry of that name, of a user's own model once `enlist` has imported it; raises KestrelError with the nearest name."""
    found = KINDS.get(name) or _OWN.get(name)
    if found is None:
        near = get_close_matches(name, KINDS, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(KINDS)}, and your own as package.module:Name."
        raise KestrelError(f"'{name}' is not a model. {hint}")
    return found


def enlist(name: str) -> Kind:
    """As `kind`, but imports a user's own model, "package.module:Name".  Only a config or a program may say what is imported, no saved folder.

    The module is looked for as Python looks for it, and in the working folder last.  Its class has the protocol of models/model.py, its
    `name` is this one, and its settings are the pydantic model `Settings` within it, if any.  Raises KestrelError for anything else.
    """
    module, colon, attribute = name.partition(":")
    if not colon:
        return kind(name)
    what = f"The model {name}"
    found = getattr(guarded(what, partial(module_named, module)), attribute, None)
    if not isinstance(found, type):
        raise KestrelError(f"{what}: {module} has no class {attribute}.")
    lacking = [method for method in METHODS if not callable(getattr(found, method, None))]
    if lacking:
        raise KestrelError(f"{what} has no {' and no '.join(lacking)}. A model has {', '.join(METHODS)}, see models/model.py.")
    if getattr(found, "name", None) != name:
        raise KestrelError(f'{what} goes by another name, {getattr(found, "name", None)!r}. Write in its class: name = "{name}"')
    _OWN[name] = Kind(found, guarded(f"{what}, its settings", getattr(found, "Settings", NoSettings)))
    if not isinstance(_OWN[name].defaults, BaseModel):
        raise KestrelError(f"{what}: its Settings must be a pydantic model whose fields all have defaults.")
    return _OWN[name]


def create(name: str, settings: Mapping[str, BaseModel] | None = None) -> Model:
    """An unfitted model.  settings: by model name, for this model and a blend's members; those not given take their defaults."""
    settings = settings or {}
    entry = enlist(name)
    chosen = settings.get(name, entry.defaults)
    if type(chosen) is not type(entry.defaults):
        raise ValueError(f"{name} takes {type(entry.defaults).__name__}, not {type(chosen).__name__}")
    if isinstance(chosen, BlendSettings):
        return Blend([create(member, settings) for member in chosen.members], chosen)
    model: Model = entry.model() if isinstance(chosen, NoSettings) else entry.model(chosen)
    if model.name != name:
        raise KestrelError(f"The settings of {name} make it a {model.name}: leave its label as it is, or name the model {model.name}.")
    return model


def load(folder: Path) -> Model:
    """The saved model of a folder, whatever its kind; raises KestrelError for a user's own that nothing has enlisted."""
    model: Model = kind(files.read(folder).model).model.load(folder)
    return model
