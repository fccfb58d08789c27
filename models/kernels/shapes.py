"""The shapes that the kernels are built, compiled and measured for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """One training step of the ranker."""

    name: str
    sessions: int
    stocks: int  # of a session
    lookback: int
    width: int
    time_heads: int
    inner: int  # of the feed-forwards and of an expert
    layers: int = 2  # over time
    cross_layers: int = 1
    experts: int = 8
    active: int = 2
    factors: int = 158
    flags: int = 2  # families with a missing flag: 160 inputs, which 16 bytes divide evenly
    gauges: int = 32
    horizons: int = 5

    @property
    def inputs(self) -> int:
        """Factors and flags of a row."""
        return self.factors + self.flags

    @property
    def cross_heads(self) -> int:
        """Heads over the stocks, of 64 each where the width has as many."""
        return max(self.width // 64, 1)


SMALL = Shape("S", sessions=4, stocks=500, lookback=8, width=128, time_heads=4, inner=128)
MIDDLE = Shape("M", sessions=4, stocks=2000, lookback=16, width=256, time_heads=4, inner=256)
LARGE = Shape("L", sessions=8, stocks=5000, lookback=32, width=256, time_heads=4, inner=256)
LONG = Shape("long", sessions=4, stocks=2000, lookback=60, width=256, time_heads=4, inner=256)  # the longest histories that a tile holds
TINY = Shape("tiny", sessions=2, stocks=24, lookback=5, width=64, time_heads=2, inner=32, factors=14)  # for a CPU
SHAPES = {shape.name: shape for shape in (SMALL, MIDDLE, LARGE, LONG, TINY)}
