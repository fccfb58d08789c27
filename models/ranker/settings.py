"""What the ranker reads, how it is shaped and how it is trained."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

Share = Annotated[float, Field(ge=0, lt=1)]
Names = Annotated[tuple[str, ...], Field(strict=False)] | None
Pair = Annotated[tuple[str, str], Field(strict=False)]
Pairs = Annotated[tuple[Pair, ...], Field(strict=False)] | None


class MarketSettings(BaseModel):
    """Gauges of the market at a close, each one statistic of a factor across the stocks present.  None: the library's that the dataset holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    means: Names = None
    spreads: Names = None  # deviations across stocks
    breadths: Names = None  # shares of stocks above zero
    styles: Pairs = None  # correlations of two factors across stocks


BodyName = Literal["ranker", "ranker_dense", "transformer", "gru", "mlp"]


class RankerSettings(BaseModel):
    """A ranker that trains in minutes on two cores, or a plain network to hold it against: what differs is the body alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    body: BodyName = "ranker"  # the network, and the name of the model

    # what it reads and learns
    horizon: PositiveInt = 5  # whose labels stop the training and weigh the heads
    heads: Annotated[tuple[PositiveInt, ...], Field(strict=False)] = ()  # horizons with a head of their own; (): all the dataset has
    inputs: Literal["z_score", "rank_gauss"] = "rank_gauss"
    label: Literal["z_score", "rank_gauss"] = "rank_gauss"
    trim: Annotated[float, Field(ge=0, lt=0.5)] = 0.025  # share of each side that training leaves out
    half_life: NonNegativeInt = 600  # sessions after which a date counts half; 0: all the same
    lookback: PositiveInt = 10  # sessions a stock looks back on, today's included
    market: MarketSettings = MarketSettings()

    # its shape
    width: Annotated[int, Field(ge=4)] = 32
    layers: NonNegativeInt = 1  # over time
    time_heads: PositiveInt = 1
    time_inner: PositiveInt = 32  # of their feed-forward
    cross_layers: NonNegativeInt = 1  # over the stocks of a session; 0: each stock for itself
    cross_head: PositiveInt = 64  # width of a head there, at most the model's
    inducing: NonNegativeInt | None = None  # points that stocks see each other through; 0: directly; None: 64 above 2,500 stocks
    experts: NonNegativeInt = 8  # routed; 0: the shared one alone, a dense network
    active: PositiveInt = 2  # routed experts of a stock
    expert_width: PositiveInt = 32
    router: Literal["learnt", "random"] = "learnt"
    gate: NonNegativeFloat = 5.0  # heat of the market gate: higher is more even; 0: no gate
    film: bool = True  # whether the market conditions the pooled stocks
    chained: bool = True  # whether a head sees the state of the one before
    straight: bool = True  # whether a linear opinion whose weights the market moves votes beside the heads
    dropout: Share = 0.1

    # its training
    epochs: PositiveInt = 6
    patience: PositiveInt = 2  # epochs without a better validation RankIC
    batch: PositiveInt = 2  # sessions of a step
    rate: PositiveFloat = 2e-3
    warmup: Share = 0.1  # share of the steps
    decay: NonNegativeFloat = 0.05
    clip: PositiveFloat = 1.0  # largest norm of a gradient
    average: Share = 0.99  # memory of the averaged weights, those that are kept
    keep: PositiveInt = 5  # best epochs whose mean is the result, if validation finds it no worse than the best
    balance: NonNegativeFloat = 0.005  # step of the routing bias against the load
    concordance: NonNegativeFloat = 0.6  # weights of the three losses
    squares: NonNegativeFloat = 0.2
    pairs: NonNegativeFloat = 0.2
    style: NonNegativeFloat = 0.0  # weight of the squared correlation with styles
    styles: Names = None  # factors that are styles; None: the library's that the dataset holds
    # Small steps leave a second thread little to do, and where another process wants its core they wait for it: two to three times slower.
    threads: PositiveInt = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: a GPU where there is one
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # of products; auto: bfloat16 on a GPU.  Weights and losses stay in float32
    capture: bool = False  # whether a step on a GPU is one CUDA graph; on a CPU and under torchrun steps are as they are

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.time_heads:
            raise ValueError(f"width {self.width} isn't a multiple of time_heads {self.time_heads}")
        if self.width % self.cross_heads:
            raise ValueError(f"width {self.width} isn't a multiple of cross_head {self.cross_head}")
        if self.experts and self.active > self.experts:
            raise ValueError(f"{self.active} active experts are more than the {self.experts} there are")
        if not self.concordance + self.squares + self.pairs > 0:
            raise ValueError("give concordance, squares or pairs a weight")
        return self

    @property
    def cross_heads(self) -> int:
        """Heads over the stocks."""
        return max(self.width // self.cross_head, 1)

    @property
    def points(self) -> int:
        """Inducing points; undecided counts as none."""
        return self.inducing or 0

    @property
    def learns_routes(self) -> bool:
        """Whether the router learns, or stays as chance made it."""
        return self.router == "learnt"
