"""A market-neutral account as settings."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Neutral(BaseModel):
    """Any long book against a short in index futures.

    The account's equity is split between stocks and margin cash.  `stocks` is the most that stocks get; less, where the margin of a
    full hedge and its buffer need more cash.  Where the split is off by more than `split_band`, the difference is transferred.
    hedge "value": contracts against the value of the stocks held; "beta": times their beta of the last `window` sessions.
    contract: "dominant" has the largest open interest, "cheapest" the highest annualised basis (the least discount for a short),
    "quarter" is the nearest of March, June, September and December.  It is chosen at the opening and at every roll.
    roll "days": `roll_days` sessions before the expiry; "open_interest": once a later contract has more, at the latest then.
    account "hedging" pays the hedgers' margin and knows no opening cap; "other" pays what everyone pays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["neutral"] = "neutral"
    product: str = "IC"
    index: str = "000905.SH"

    stocks: float = Field(default=0.7, gt=0, lt=1)  # of equity
    split_band: float = Field(default=0.05, ge=0, le=1)  # of equity
    transfer_cost: float = Field(default=0.0015, ge=0, le=0.02)  # of what the long book sells or buys for a transfer

    hedge: Literal["value", "beta"] = "value"
    window: int = Field(default=60, ge=10)
    band: float = Field(default=0.03, ge=0, le=1)  # of the contracts wanted: a smaller difference is left alone

    contract: Literal["dominant", "cheapest", "quarter"] = "dominant"
    roll: Literal["days", "open_interest"] = "days"
    roll_days: int = Field(default=3, ge=1)
    deal: Literal["open", "close"] = "open"  # when futures trade; the long book's own, so that both legs move together

    account: Literal["hedging", "other"] = "hedging"
    margin_above: float = Field(default=0.0, ge=0, le=0.5)  # the broker's margin beside the exchange's
    buffer: float = Field(default=0.25, ge=0)  # cash beside the margin before contracts are opened, as a part of it
    commission: float = Field(default=0.0, ge=0, le=0.001)  # the broker's fee beside the exchange's
    slippage: float = Field(default=0.0001, ge=0, le=0.01)  # 0.6 points at 6,000

    interest_cash: float = Field(default=0.0, ge=0, le=0.2)  # a year, on cash beside the margin
    interest_margin: float = Field(default=0.0, ge=0, le=0.2)  # a year, on margin
