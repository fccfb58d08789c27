"""A CSI 500 enhancement fund: the best book against the index's members and weights of the evening, within limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from backtest.costs import BUY, RATE_UNIT, SELL, CostSettings, rates
from backtest.exposures import standardised
from backtest.market import Market
from backtest.metrics import SESSIONS
from backtest.optimise.ladder import decide
from backtest.optimise.limits import Limits, Relaxation
from backtest.optimise.lots import Lots, whole
from backtest.optimise.problem import EMPTY, Problem, problem
from backtest.risk.model import Risk, RiskModel
from backtest.risk.statistical import StatisticalRisk, StatisticalRiskSettings
from backtest.risk.styles import StyleRisk, StyleRiskSettings
from backtest.simulation import lots_DB
from backtest.targets import Evening
from data.panel import Floats
from data.rules import Rules, exchange_rules

# D sessions, N stocks
RELAXATIONS = {"date": pl.Date, "constraint": pl.String, "wanted": pl.Float64, "given": pl.Float64}
FORECASTS = {"date": pl.Date, "tracking_error": pl.Float64, "turnover": pl.Float64, "names": pl.Int64, "solves": pl.Int64}


class Enhancement(BaseModel):
    """Scores against an index within limits.

    A score's expected excess return over `horizon` sessions is its z-score among the members x ic x the stock's own volatility over
    them (Grinold 1994); costs of a trade are thought to be paid once in that time.  Looked at every `every` sessions of the calendar,
    and whenever nothing is held.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["enhancement"] = "enhancement"
    every: int = Field(default=5, ge=1)
    horizon: int = Field(default=10, ge=1)
    ic: float = Field(default=0.03, gt=0, le=1)  # what the scores are trusted for
    aversion: float = Field(default=5.0, gt=0)  # to variance; the limit on the tracking error makes it larger where it binds
    patience: float = Field(default=1.0, ge=0)  # times the costs that a trade has to earn
    lots: bool = True  # aim at whole lots that keep the limits
    limits: Limits = Limits()
    risk: Literal["styles", "statistical"] = "styles"
    style_risk: StyleRiskSettings = StyleRiskSettings()
    statistical_risk: StatisticalRiskSettings = StatisticalRiskSettings()


@dataclass(frozen=True)
class Outlook:
    """What is known of the stocks at each close, [D, N] over the market's axes.

    scores_DN: higher is better, NaN = none.  index_DN: weights of the index at the close, 0 outside it.  styles: raw values.
    groups_DN numbers the names in `groups`, -1 = unknown.  remarks: what a reader must know, as sentences.
    """

    scores_DN: Floats
    index_DN: Floats
    styles: Mapping[str, Floats] = field(default_factory=dict)
    groups_DN: NDArray[np.int64] | None = None
    groups: Sequence[str] = ()
    remarks: Sequence[str] = ()


def risk_model(settings: Enhancement, outlook: Outlook, returns_DN: Floats, cap_DN: Floats, present_DN: NDArray[np.bool_]) -> RiskModel:
    """The risk model that the settings name.  returns_DN: NaN where a stock didn't trade; present_DN: the stocks that make the factors."""
    if settings.risk == "statistical":
        return StatisticalRisk(returns_DN, settings=settings.statistical_risk)
    return StyleRisk(
        returns_DN,
        outlook.styles,
        cap_DN,
        present_DN,
        groups_DN=outlook.groups_DN,
        groups=outlook.groups,
        settings=settings.style_risk,
        remarks=outlook.remarks,
    )


class Enhancer:
    """A weigher (see backtest.targets) that remembers what gave way, and what it forecast."""

    def __init__(
        self, settings: Enhancement, outlook: Outlook, risk: RiskModel, market: Market, *, costs: CostSettings, rules: Rules | None = None
    ) -> None:
        self.settings, self.outlook, self.risk, self.market, self.costs = settings, outlook, risk, market, costs
        self.rules = rules or exchange_rules()
        self.remarks = tuple(dict.fromkeys((*outlook.remarks, *risk.remarks)))
        self._price = 0.0  # of risk, on the last evening
        self._relaxed: list[tuple[object, ...]] = []
        self._forecast: list[tuple[object, ...]] = []

    @property
    def relaxations(self) -> pl.DataFrame:
        """Every limit that gave way: date (of the evening), constraint, wanted, given; 'after lots' where whole lots broke it.

        'names' is by how much the limit of every name is widened; 'names:SYMBOL' is one that outgrew it and can't be traded.
        """
        return pl.DataFrame(self._relaxed, schema=RELAXATIONS, orient="row")

    @property
    def forecasts(self) -> pl.DataFrame:
        """What each evening's book was thought to do: tracking error a year, turnover of the rebalance, names, programs solved."""
        return pl.DataFrame(self._forecast, schema=FORECASTS, orient="row")

    def __call__(self, evening: Evening) -> Floats | None:
        """The weights to aim at; None where it isn't due, nobody knows the index's members, or no score tells stocks apart."""
        d = evening.session
        traded_next = self.market.first_session + d + 1
        if (traded_next % self.settings.every and evening.shares_N.any()) or not self.outlook.index_DN[d].any():
            return None
        posed, stuck = self.pose(evening)
        if not posed.alpha_N.any():
            return None
        decision = decide(posed, self.settings.limits.ladder, self._price)
        self._price = decision.price
        self._note(d, [*stuck, *decision.relaxed], "")
        weights_N, shares_N = decision.weights_N, evening.shares_N
        if self.settings.lots:
            shares_N, left = whole(decision.problem, weights_N, shares_N=shares_N, price_N=evening.price_N, equity=evening.equity, lots=self._lots(d))
            self._note(d, left, " after lots")
            weights_N = _held_in(shares_N, evening)
        names = int((weights_N > EMPTY).sum())
        row = (self.market.axes.dates[d], posed.deviation(weights_N), posed.traded(weights_N), names, decision.solves)
        self._forecast.append(row)
        return _aimed(weights_N, shares_N, evening) if self.settings.lots else weights_N

    def memory(self) -> dict[str, Any]:
        """What this evening leaves to the next, as plain values that JSON keeps to the last bit; see `recall`."""
        return {"price": self._price}

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Go on from another enhancer's memory."""
        self._price = float(memory["price"])

    def pose(self, evening: Evening) -> tuple[Problem, list[Relaxation]]:
        """(the evening's problem, in units of a year; limits that positions which can't be traded break already)."""
        d, settings = evening.session, self.settings
        index_N, score_N = self.outlook.index_DN[d], self.outlook.scores_DN[d]
        member_N, tradable_N = index_N > 0, self.market.trading_DN[d]
        daily = self.risk.at(d)
        risk = Risk(daily.factors, daily.X_NK, daily.F_KK * SESSIONS, daily.specific_N * SESSIONS)
        z_N = standardised(score_N[None], (member_N & np.isfinite(score_N))[None])[0]
        alpha_N = settings.ic * z_N * np.sqrt(risk.specific_N * settings.horizon / SESSIONS)
        times = SESSIONS / settings.horizon  # holding periods in a year
        buy_N, sell_N = self._costs(d)
        groups_DN = self.outlook.groups_DN
        return problem(
            alpha_N * times,
            risk,
            index_N,
            evening.weights_N,
            limits=settings.limits,
            costs=(settings.patience * times * buy_N, settings.patience * times * sell_N),
            tradable_N=tradable_N,
            buyable_N=tradable_N & (member_N | np.isfinite(score_N)) & (evening.price_N > 0),
            styles={name: standardised(x_DN[d][None], member_N[None])[0] for name, x_DN in self.outlook.styles.items()},
            group_N=None if groups_DN is None else groups_DN[d],
            groups=self.outlook.groups,
            aversion=settings.aversion,
            symbols=self.market.axes.symbols,
        )

    def _costs(self, d: int) -> tuple[Floats, Floats]:
        """(what buying costs, what selling costs) of the amount, [N] each, by the rules of the evening's date."""
        rate = rates(self.costs, self.market.axes.days[d : d + 1], self.rules)
        shared_N = rate.transfer_DE[0][self.market.exchange_N] + rate.slippage
        buy, sell = (shared_N + rate.commission_S[side] + rate.stamp_DS[0, side] for side in (BUY, SELL))
        return buy / RATE_UNIT, sell / RATE_UNIT

    def _lots(self, d: int) -> Lots:
        """Lots by board and date, in quoted shares: scaled where prices are adjusted, as the simulation scales them."""
        days, board_N, scale_N = self.market.axes.days[d : d + 1], self.market.board_N, self.market.scale_DN[d]
        minimum_N, step_N = (lots_DB(name, days, self.rules, True)[0][board_N] for name in ("lot_minimum", "lot_step"))
        minimum_N, step_N = (np.maximum(1, np.rint(count_N * scale_N)).astype(np.int64) for count_N in (minimum_N, step_N))
        return Lots(minimum_N, step_N)

    def _note(self, d: int, found: Sequence[Relaxation], when: str) -> None:
        self._relaxed += [(self.market.axes.dates[d], one.constraint + when, one.wanted, one.given) for one in found]


def _held_in(shares_N: NDArray[np.int64], evening: Evening) -> Floats:
    """Weights of shares; what isn't traded keeps the weight it has, to the last bit."""
    traded_N = shares_N != evening.shares_N
    return np.where(traded_N, shares_N * np.nan_to_num(evening.price_N) / evening.equity, evening.weights_N)


def _aimed(weights_N: Floats, shares_N: NDArray[np.int64], evening: Evening) -> Floats:
    """The weights half a share beyond those wanted: whoever rounds an order down to whole lots then comes to the lots that are meant."""
    half_N = 0.5 * np.sign(shares_N - evening.shares_N) * (shares_N > 0)
    return weights_N + half_N * np.nan_to_num(evening.price_N) / evening.equity
