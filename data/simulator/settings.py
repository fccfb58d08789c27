"""What a simulated market is made of: its size, span, seed and planted alpha."""

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Kind = Literal["linear", "nonlinear", "leadlag", "regime", "news"]
KINDS: tuple[Kind, ...] = ("linear", "nonlinear", "leadlag", "regime", "news")
EARLIEST = date(2010, 1, 1)  # the listing rules of rules.toml cover every open board from here on


class SimulationSettings(BaseModel):
    """A simulated market.  The same settings give the same bytes; a switched-off alpha leaves every random draw as it was."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seed: int = Field(default=7, ge=0)
    stocks: int = Field(default=800, ge=40, le=5500, description="stocks ever listed; about one in six lists on the way")
    members: int = Field(default=500, ge=10, description="members of 000905.SH")
    years: int = Field(default=6, ge=1, le=16)
    end: date = Field(default=date(2026, 7, 31), description="the last session, or the last one before it")
    alpha: tuple[Kind, ...] = Field(default=KINDS, description="planted kinds of alpha; 'none' plants nothing")
    news: float = Field(default=0.03, ge=0, le=1, description="pieces of news per stock and calendar day")
    minute_days: tuple[date, ...] = Field(default=(), description="sessions that get minute bars")
    suspended: float = Field(default=0.004, ge=0, le=0.2, description="share of stock-days without trading")

    @field_validator("alpha", mode="before")
    @classmethod
    def _kinds(cls, found: Any) -> Any:
        """Read 'none', 'all', one kind, or several in any sequence; kept in the order of KINDS."""
        named = {"none": (), "all": KINDS}.get(found, (found,)) if isinstance(found, str) else found
        kinds = tuple(named) if isinstance(named, list | tuple) else named
        return tuple(kind for kind in KINDS if kind in kinds) if isinstance(kinds, tuple) and set(kinds) <= set(KINDS) else kinds

    @model_validator(mode="after")
    def _possible(self) -> "SimulationSettings":
        """Refuse an index larger than its market and a span before the rules begin."""
        if self.members > 0.65 * self.stocks:
            raise ValueError(f"members = {self.members} needs at least {int(self.members / 0.65) + 1} stocks, not {self.stocks}")
        if self.start < EARLIEST:
            raise ValueError(f"{self.years} years up to {self.end} start before {EARLIEST}; take a later end or fewer years")
        return self

    @property
    def start(self) -> date:
        """The day from which sessions count: the day after the end's anniversary, `years` ago."""
        day = min(self.end.day, 28) if self.end.month == 2 else self.end.day
        return date.fromordinal(date(self.end.year - self.years, self.end.month, day).toordinal() + 1)

    @property
    def larger(self) -> int:
        """How many of the largest stocks the index leaves out: 300 in a full market, fewer in a small one."""
        return min(300, (self.stocks - self.members) // 6)
