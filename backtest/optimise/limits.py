"""What a book must keep to, beside being long only and within its equity."""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from data.panel import Floats

Group = Literal["turnover", "styles", "industries", "names", "members", "tracking_error", "cash"]
GROUPS: tuple[Group, ...] = ("turnover", "styles", "industries", "names", "members", "tracking_error", "cash")


class Limits(BaseModel):
    """Limits against the index, as fractions of the equity; the defaults are those of a CSI 500 enhancement fund.

    style: deviations of the index's members, for every style that `styles` doesn't name.  turnover: half of what is bought and sold in
    one rebalance; it doesn't bind where nothing is held.  ladder: what gives way, and in which order, where no book meets all limits;
    what it doesn't name never does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tracking_error: float | None = Field(default=0.05, gt=0, le=1)  # a year, as forecast; null: none
    name: float = Field(default=0.008, gt=0, le=1)  # active weight of one stock
    industry: float = Field(default=0.02, gt=0, le=1)  # active weight
    style: float = Field(default=0.3, gt=0)
    styles: dict[str, float] = Field(default_factory=lambda: {"Size": 0.15})
    members: float = Field(default=0.8, ge=0, le=1)  # of what is invested
    turnover: float = Field(default=0.15, gt=0, le=1)
    cash: float = Field(default=0.01, ge=0, lt=1)  # at least
    cash_most: float = Field(default=0.02, ge=0, le=1)
    ladder: Annotated[tuple[Group, ...], Field(strict=False)] = GROUPS

    @model_validator(mode="after")
    def _room_for_cash(self) -> Self:
        if self.cash_most < self.cash:
            raise ValueError(f"cash_most is {self.cash_most} and cash is {self.cash}: the most is at least the least")
        if len(set(self.ladder)) < len(self.ladder):
            raise ValueError("ladder names a group twice")
        return self


class Band(NamedTuple):
    """low <= row_N @ weights <= high.  unit: what a breach is measured in, so that breaches of different limits compare."""

    group: Group
    name: str
    row_N: Floats
    low: float
    high: float
    unit: float


class Relaxation(NamedTuple):
    """A limit that had to give way: what was wanted of it, what was given."""

    constraint: str
    wanted: float
    given: float
