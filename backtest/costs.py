"""What trading costs, by kind, side, exchange and date."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from backtest.market import EXCHANGES
from data.panel import Floats
from data.rules import Rules, exchange_rules

# D sessions, S sides (sell, buy), E exchanges (SH, SZ, BJ)
SELL, BUY = 0, 1
RATE_UNIT = 10_000_000  # rates are whole multiples of 1e-7 of the amount, so that every fee is integer arithmetic in cents


class CostSettings(BaseModel):
    """Costs of a desk.  Rates are fractions of the amount; money is CNY.

    levies "dated" adds the stamp duty and the transfer fee that the exchange charged on the day; "none" leaves them out.
    Where sell_commission is null, both sides pay `commission`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    commission: float = Field(default=0.0002, ge=0, le=0.01)
    sell_commission: float | None = Field(default=None, ge=0, le=0.01)
    minimum: float = Field(default=5.0, ge=0, le=1000)
    slippage: float = Field(default=0.0005, ge=0, le=0.02)
    levies: Literal["dated", "none"] = "dated"


QLIB_COSTS = CostSettings(commission=0.0005, sell_commission=0.0015, minimum=5.0, slippage=0.0, levies="none")
FREE = CostSettings(commission=0.0, minimum=0.0, slippage=0.0, levies="none")


class Rates(NamedTuple):
    """CostSettings by session, in multiples of 1 / RATE_UNIT: integers that a compiled loop reads."""

    commission_S: NDArray[np.int64]
    minimum: int  # cents an order
    slippage: int
    stamp_DS: NDArray[np.int64]
    transfer_DE: NDArray[np.int64]
    per_share_DE: NDArray[np.int64]  # cents a share; at least 1 CNY an order where it applies


def rates(costs: CostSettings, days: NDArray[np.datetime64], rules: Rules | None = None) -> Rates:
    """The rates in force on each of `days` [D]."""
    sell = costs.commission if costs.sell_commission is None else costs.sell_commission
    commission_S = _units(np.array([sell, costs.commission]))
    minimum, slippage = round(costs.minimum * 100), round(costs.slippage * RATE_UNIT)
    if costs.levies == "none":
        none_DE = np.zeros((len(days), len(EXCHANGES)), dtype=np.int64)
        return Rates(commission_S, minimum, slippage, np.zeros((len(days), 2), dtype=np.int64), none_DE, none_DE)
    rules = rules or exchange_rules()
    stamp_DS = np.stack([rules.over("stamp_duty", side, days) for side in ("sell", "buy")], axis=1)
    transfer_DE = np.stack([rules.over("transfer_fee", exchange, days) for exchange in EXCHANGES], axis=1)
    per_share_DE = np.zeros((len(days), len(EXCHANGES)))
    per_share_DE[:, EXCHANGES.index("SH")] = rules.over("transfer_fee_per_share", "SH", days) * 100
    return Rates(commission_S, minimum, slippage, _units(stamp_DS), _units(transfer_DE), _units(per_share_DE))


def _units(fractions: Floats) -> NDArray[np.int64]:
    """Fractions as whole multiples of 1 / RATE_UNIT; a rule that didn't exist yet costs nothing."""
    return np.rint(np.nan_to_num(fractions) * RATE_UNIT).astype(np.int64)
