"""One TOML file over defaults that run.  Settings live beside the code they configure and are only put together here."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from backtest.benchmark import BenchmarkSettings
from backtest.construction import Construction, Weighed
from backtest.costs import CostSettings
from backtest.covenant import Covenant
from backtest.futures.settings import Neutral
from backtest.guard import Guard
from backtest.simulation import SimulationSettings
from backtest.sleeves import Stacking
from backtest.strategies import TopkBuffer, TopkDropout
from backtest.sweep import SweepSettings
from backtest.weights import ScoreWeighted
from data.errors import KestrelError
from data.rules import Rules, exchange_rules
from factors.clean import CleanSettings
from factors.combine import CombineSettings
from factors.evaluate import EvaluateSettings
from factors.plugins import extend
from factors.registry import SETS
from models.blend import BlendSettings
from models.folds import WalkSettings
from models.labels import LabelSettings
from models.registry import KINDS, enlist, kind
from models.sentiment.settings import SentimentSettings
from pipelines.batch.settings import BatchSettings
from pipelines.given import refuse_unsafe
from pipelines.holdout import HoldoutSettings
from pipelines.promotion import PromotionSettings
from pipelines.scale import ScaleSettings

DEFAULT_FILE = "kestrel.toml"


class Settings(BaseModel):
    """What every part of the config is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Universe(Settings):
    """Which stocks of a session are learnt from, scored and traded."""

    index: str = "000905.SH"  # whose members of the date
    members: Literal["index", "all"] = "index"  # "all": everything that traded
    # Before the first date with members a whole lake can still teach; on the pack these stocks became members later, so say so.
    before: Literal["all", "none"] = "all"


class Factors(Settings):
    """Which sets of factors are built, and which of their factors models read; none named means all that the lake can feed.

    modules: users' own, imported when the config is read; their factors join the library.
    """

    modules: Annotated[tuple[str, ...], Field(strict=False, validate_default=True)] = ()
    sets: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ("library",)
    names: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    scorer: str | None = None  # whose scores of news factors are made of; needed where news_scores holds those of several
    clean: CleanSettings = CleanSettings()
    judge: EvaluateSettings = EvaluateSettings()
    combine: CombineSettings = CombineSettings()

    @field_validator("modules")
    @classmethod
    def _imported(cls, modules: tuple[str, ...]) -> tuple[str, ...]:
        try:
            extend(modules)
        except KestrelError as error:
            raise ValueError(str(error)) from None
        return modules

    @field_validator("sets")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in SETS:
                near = get_close_matches(name, SETS, n=1)
                raise ValueError(f"'{name}' is not a set of factors. " + (f"Did you mean {near[0]}?" if near else f"There are {', '.join(SETS)}."))
        return names


class Train(Settings):
    """Which models are trained, for which horizon, and with which seeds."""

    models: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ("five_factors", "ridge", "lightgbm_rank", "blend")
    seeds: Annotated[tuple[int, ...], Field(strict=False, min_length=1)] = (0,)
    horizon: PositiveInt = 5  # sessions of the label that models learn, and by whose validation RankIC one is chosen

    @field_validator("models")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _enlisted(name)
        return names


class Sleeve(Settings):
    """One of several strategies in an account: whose scores it trades, how, and its part of the risk or the capital."""

    name: str
    model: str = "blend"
    strategy: Weighed = ScoreWeighted()
    budget: float = Field(default=1.0, gt=0)


class Backtest(Settings):
    """How scores are traded, and what the result is measured against.

    sleeves: stacked into one account of all models in the place of one account a model with `strategy`.  guard: limits that cut a
    strategy by weights.  hedge: each account short of index futures; its benchmark is cash.
    """

    strategy: Construction = TopkBuffer()
    sleeves: Annotated[tuple[Sleeve, ...], Field(strict=False)] = ()
    stacking: Stacking = Stacking()
    guard: Guard | None = None
    hedge: Neutral | None = None
    covenant: Covenant = Covenant()
    costs: CostSettings = CostSettings()
    simulation: SimulationSettings = SimulationSettings()
    benchmark: BenchmarkSettings = BenchmarkSettings()
    start: date | None = None  # None: the first scored session
    end: date | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Backtest":
        names = [sleeve.name for sleeve in self.sleeves]
        if len(set(names)) < len(names):
            raise ValueError(f"sleeves are named {', '.join(names)}: each needs a name of its own")
        if self.guard and not self.sleeves and isinstance(self.strategy, TopkDropout | TopkBuffer):
            kinds = "score_weighted, volatility_scaled, enhancement, index, or sleeves"
            raise ValueError(f"a guard cuts target weights, and {self.strategy.kind} has none. Choose {kinds}, or leave the guard out")
        if self.hedge and self.hedge.deal != self.simulation.deal:
            legs = f"futures trade at the {self.hedge.deal} and stocks at the {self.simulation.deal}"
            raise ValueError(f"{legs}: between them the account would be unhedged. Set hedge.deal and simulation.deal alike, to open or close")
        return self


class Config(Settings):
    """Everything a run depends on besides the data."""

    lake: str = "lake"  # a folder, or a URI such as s3://bucket/lake
    runs: str = "runs"  # trainings, backtests, the ledger and MLflow's database
    signals: str = "signals"  # what is published, a folder a session
    tracking: str | None = None  # an MLflow tracking URI; by default sqlite in `runs`
    universe: Universe = Universe()
    factors: Factors = Factors()
    labels: LabelSettings = LabelSettings()
    walk: WalkSettings = WalkSettings()
    train: Train = Train()
    model: dict[str, dict[str, Any]] = Field(default_factory=dict)  # settings of models by name, checked by their own classes
    sentiment: SentimentSettings = SentimentSettings()
    backtest: Backtest = Backtest()
    sweep: SweepSettings = SweepSettings()
    holdout: HoldoutSettings = HoldoutSettings()
    promotion: PromotionSettings = PromotionSettings()
    batch: BatchSettings = BatchSettings()
    scale: ScaleSettings = ScaleSettings()
    rules: dict[str, dict[str, list[list[Any]]]] = Field(default_factory=dict)  # overrides of the exchange's dated rules

    @field_validator("model")
    @classmethod
    def _model_settings(cls, found: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, values in found.items():
            _enlisted(name)
            try:
                settings = _settings_of(name, values)
            except ValidationError as error:
                raise ValueError("; ".join(f"model.{name}.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from None
            for member in settings.members if isinstance(settings, BlendSettings) else ():
                _enlisted(member)
        return found

    @model_validator(mode="after")
    def _labelled(self) -> "Config":
        if self.train.horizon not in self.labels.horizons:
            raise ValueError(f"train.horizon is {self.train.horizon}, which labels.horizons {list(self.labels.horizons)} lacks. Add it there.")
        return self

    def model_settings(self) -> dict[str, BaseModel]:
        """Every model's settings, users' own models included: its own over train.horizon over the defaults of its kind."""
        shared = {"horizon": self.train.horizon}
        found = {name: _settings_of(name, self.model.get(name, {}), shared) for name in [*KINDS, *self.train.models, *self.model]}
        members = [member for one in found.values() if isinstance(one, BlendSettings) for member in one.members]
        return found | {name: _settings_of(name, {}, shared) for name in members if name not in found}

    def exchange_rules(self) -> Rules:
        """The dated rules with this config's overrides."""
        return exchange_rules().overridden(self.rules) if self.rules else exchange_rules()


def load(path: Path | None = None, *, sets: Sequence[str] = (), lake: str | None = None) -> Config:
    """The config of a file (kestrel.toml where there is one) with `--set a.b=value` on top.

    Raises KestrelError listing every unknown key, wrong type and value out of range at once.
    """
    where = path or (Path(DEFAULT_FILE) if Path(DEFAULT_FILE).is_file() else None)
    raw: dict[str, Any] = {}
    if where is not None:
        if not where.is_file():
            raise KestrelError(f"There is no config file {where}. examples/csi500.toml shows one.")
        try:
            raw = tomllib.loads(where.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise KestrelError(f"{where} is not TOML: {error}.") from None
    for item in sets:
        _set(raw, item)
    if lake is not None:
        raw["lake"] = lake
    return parse(raw, str(where or "--set"))


def parse(raw: dict[str, Any], where: str) -> Config:
    """A config out of a plain dict."""
    refuse_unsafe(raw, where)
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise KestrelError("\n".join(f"{where}: {_explained(item)}" for item in error.errors())) from None


def stored(file: Path, here: Config, *, sets: Sequence[str] = (), whole: bool = False) -> Config:
    """The config that a run kept in its config.json, `--set` on top, under the paths and the [batch] of `here`, which may have changed since.

    A holdout that `here` names comes in the place of the run's own, unless the `whole` config is asked for as it was.
    """
    if not file.is_file():
        raise KestrelError(f"{file} is missing: the run is incomplete. Run it again.")
    raw: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for item in sets:
        _set(raw, item)
    names = {"lake", "runs", "signals", "tracking", "batch"} | ({"holdout"} if here.holdout.begin and not whole else set())
    paths = here.model_dump(mode="json", include=names)
    try:
        return Config.model_validate_json(json.dumps(raw | paths, default=str))
    except ValidationError as error:
        raise KestrelError("\n".join(f"{file}: {_explained(item)}" for item in error.errors())) from None


def _settings_of(name: str, values: dict[str, Any], shared: Mapping[str, Any] | None = None) -> BaseModel:
    """A model's settings: its own values, over the shared ones that its kind has, over the defaults of its kind."""
    entry = kind(name).defaults
    defaults = entry.model_dump()
    return type(entry).model_validate(defaults | {key: value for key, value in (shared or {}).items() if key in defaults} | values)


def _enlisted(name: str) -> None:
    """Refuse a name that is no model's; import a user's own."""
    try:
        enlist(name)
    except KestrelError as error:
        raise ValueError(str(error)) from None


def _set(raw: dict[str, Any], item: str) -> None:
    """Put one 'a.b=value' into the dict; the value is TOML, or text where it is none."""
    path, equals, text = item.partition("=")
    if not equals:
        raise KestrelError(f"--set {item} has no '='. Write for example --set walk.train_years=4")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = text
    *parents, leaf = path.strip().split(".")
    for parent in parents:
        raw = raw.setdefault(parent, {})
        if not isinstance(raw, dict):
            raise KestrelError(f"--set {item}: {parent} is a value, not a section.")
    raw[leaf] = value


def _explained(item: Any) -> str:
    """One pydantic error as a sentence with a 'did you mean'."""
    location = [str(part) for part in item["loc"]]
    path = ".".join(location)
    if item["type"] == "extra_forbidden":
        near = get_close_matches(path, _paths(Config), n=1, cutoff=0.6)
        return f"{path} is not a setting." + (f" Did you mean {near[0]}?" if near else "")
    return f"{path}: {item['msg']} (found {item['input']!r})"


def _paths(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every setting's dotted path."""
    found = []
    for name, field in model.model_fields.items():
        found.append(prefix + name)
        if isinstance(field.default, BaseModel):
            found += _paths(type(field.default), f"{prefix}{name}.")
    return found
