"""What tokens cost: a dated table, and money in whole 1e-6 CNY."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, ValidationError

from data.errors import KestrelError

FILE = Path(__file__).with_name("prices.toml")
MICRO = 1_000_000  # of a CNY, and tokens that a price is for
ANY = "*"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a call as the provider counts them."""

    hit: int = 0
    miss: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.hit + self.miss + self.output


class Price(BaseModel):
    """One row of the table: CNY per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    provider: str
    model: str
    effective_from: date
    window: str = ""  # 00:30-08:30
    hit: NonNegativeFloat
    miss: NonNegativeFloat
    output: NonNegativeFloat

    def cost(self, usage: Usage) -> int:
        """What these tokens cost in 1e-6 CNY, rounded up."""
        parts = ((usage.hit, self.hit), (usage.miss, self.miss), (usage.output, self.output))
        return -(-sum(tokens * round(price * MICRO) for tokens, price in parts) // MICRO)

    def holds(self, moment: datetime) -> bool:
        """Whether the moment, in Shanghai, lies in the row's window."""
        if not self.window:
            return True
        start, end = (time.fromisoformat(part.strip()) for part in self.window.split("-"))
        now = moment.time()
        return start <= now < end if start <= end else now >= start or now < end


FREE = Price(provider=ANY, model=ANY, effective_from=date.min, hit=0.0, miss=0.0, output=0.0)


@dataclass(frozen=True)
class Prices:
    """The rows of one provider and model."""

    rows: tuple[Price, ...]

    def at(self, moment: datetime) -> Price:
        """The price at a moment in Shanghai."""
        return next(row for row in self._current(moment) if row.holds(moment))

    def worst(self, moment: datetime) -> Price:
        """The dearest price of that day, part by part: what must be reserved for a call that may end in another window."""
        rows = self._current(moment)
        dearest = {part: max(getattr(row, part) for row in rows) for part in ("hit", "miss", "output")}
        return rows[0].model_copy(update=dearest | {"window": ""})

    def _current(self, moment: datetime) -> list[Price]:
        """The newest row of each window that is in force, windows first."""
        rows = [row for row in self.rows if row.effective_from <= moment.date()]
        newest = {row.window: row for row in sorted(rows, key=lambda row: row.effective_from)}
        if "" not in newest:
            raise KestrelError(f"{self.rows[0].provider} has no price for {self.rows[0].model} on {moment.date()}. Add a row without a window.")
        return sorted(newest.values(), key=lambda row: row.window == "")


def prices(provider: str, model: str, *, file: Path | None = None, allow_unpriced: bool = False) -> Prices:
    """The price rows of a model.  Raises KestrelError for one without a price unless `allow_unpriced`, where it counts as free."""
    rows = [row for row in read(file or FILE) if row.provider == provider and row.model in (model, ANY)]
    exact = tuple(row for row in rows if row.model == model) or tuple(rows)
    if exact:
        return Prices(exact)
    if allow_unpriced:
        return Prices((FREE,))
    raise KestrelError(
        f"There is no price for {provider} {model}. Add one to a table of your own (sentiment.spending.prices), or say that it costs nothing: "
        "--set sentiment.spending.allow_unpriced=true"
    )


def read(file: Path) -> Sequence[Price]:
    """The rows of a table of prices."""
    try:
        return [Price.model_validate(row) for row in tomllib.loads(file.read_text(encoding="utf-8"))["price"]]
    except (OSError, tomllib.TOMLDecodeError, KeyError, ValidationError) as error:
        raise KestrelError(f"{file} is no table of prices: {error}. See models/sentiment/prices.toml.") from None


def yuan(micro: int) -> float:
    """1e-6 CNY as CNY."""
    return micro / MICRO
