"""One random generator per part of the market, so that changing what one part draws changes no other part."""

import numpy as np

# A part's place is its seed: append new parts, never reorder.
PARTS = (
    "universe", "statements", "market", "industries", "styles", "idiosyncratic",
    "suspensions", "actions", "quotes", "turnover", "wire", "scores", "index", "futures", "minutes", "jumps", "titles",
)  # fmt: skip

Streams = dict[str, np.random.Generator]


def streams(seed: int) -> Streams:
    """{part: generator}, each from its own child of the seed."""
    return {part: np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(place,))) for place, part in enumerate(PARTS)}
