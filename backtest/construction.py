"""Every way to make a book of scores, as one setting, and what the making leaves behind beside the account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated

import polars as pl
from pydantic import Field

from backtest.enhancement import FORECASTS, RELAXATIONS, Enhancement, Enhancer
from backtest.netting import Netted
from backtest.strategies import TopkBuffer, TopkDropout
from backtest.weights import IndexItself, ScoreWeighted, VolatilityScaled

Ranked = TopkDropout | TopkBuffer  # decided inside the compiled loop
Weighed = Annotated[ScoreWeighted | VolatilityScaled | Enhancement | IndexItself, Field(discriminator="kind")]  # asked for weights every evening
Construction = Annotated[TopkDropout | TopkBuffer | ScoreWeighted | VolatilityScaled | Enhancement | IndexItself, Field(discriminator="kind")]


@dataclass(frozen=True)
class Trail:
    """What the making of a book leaves behind.

    relaxations and forecasts: of every enhancement in it (see Enhancer), the sleeve in front, null where there are no sleeves.  cuts:
    what the guard read and did each evening (see guard.told).  netted: the account split among its sleeves.  remarks: what a reader
    must know, as sentences.
    """

    relaxations: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"sleeve": pl.String, **RELAXATIONS}))
    forecasts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"sleeve": pl.String, **FORECASTS}))
    cuts: pl.DataFrame | None = None
    netted: Netted | None = None
    remarks: tuple[str, ...] = ()

    def tables(self, dates: Sequence[date]) -> dict[str, pl.DataFrame]:
        """What there is, by name, for files.  dates: the account's sessions.  sleeves: date, sleeve, pnl and costs (CNY)."""
        found = {"relaxations": self.relaxations, "forecasts": self.forecasts} if self.forecasts.height else {}
        if self.cuts is not None:
            found["cuts"] = self.cuts
        if self.netted is not None:
            pnl, costs = ((cents_SD / 100).ravel() for cents_SD in (self.netted.pnl_cents_SD, self.netted.costs_cents_SD))
            names = [name for name in self.netted.names for _ in dates]
            found["sleeves"] = pl.DataFrame({"date": [*dates] * len(self.netted.names), "sleeve": names, "pnl": pnl, "costs": costs})
        return found

    @classmethod
    def of(cls, enhancers: Mapping[str | None, Enhancer], cuts: pl.DataFrame | None, netted: Netted | None) -> "Trail":
        """The trail of weighers that have done their work; enhancers by sleeve."""
        if not enhancers:
            return cls(cuts=cuts, netted=netted)
        sleeves = [(pl.lit(name, dtype=pl.String).alias("sleeve"), one) for name, one in enhancers.items()]
        relaxations = pl.concat([one.relaxations.select(sleeve, pl.all()) for sleeve, one in sleeves])
        forecasts = pl.concat([one.forecasts.select(sleeve, pl.all()) for sleeve, one in sleeves])
        remarks = tuple(dict.fromkeys(text for one in enhancers.values() for text in one.remarks))
        return cls(relaxations, forecasts, cuts, netted, remarks)
