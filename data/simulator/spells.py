"""What happens to stocks for a while or for good: suspension, special treatment (ST), delisting."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

LONG = 0.1  # share of suspensions that last weeks (a restructuring), not days
MEAN_LENGTH = (1 - LONG) * 3 + LONG * 25
LOSSES_ST, LOSSES_DELISTED = 2, 4  # annual losses in a row
NOTICE = 30  # sessions from the last annual loss to the last session
PAR = 100  # cents: a close below it for PATIENCE sessions in a row ends a listing
PATIENCE = 20


class Spells:
    """The running state, [N] each."""

    def __init__(self, suspended: float, stocks: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.chance = suspended / (1 - suspended) / MEAN_LENGTH
        self.left = np.zeros(stocks, dtype=np.int64)  # sessions still suspended
        self.st = np.zeros(stocks, dtype=bool)
        self.notice = np.full(stocks, -1)  # sessions until the last one, -1 for none
        self.below = np.zeros(stocks, dtype=np.int64)
        self.gone = np.zeros(stocks, dtype=bool)
        self.ended = np.full(stocks, -1)

    def judge(self, annual: Ints, losses: Ints, listed: Flags) -> None:
        """Put stocks under special treatment, or lift it, when an annual report becomes known.  losses: [N] in a row."""
        self.st[annual] = losses[annual] >= LOSSES_ST
        ends = annual[(losses[annual] >= LOSSES_DELISTED) & listed[annual] & (self.notice[annual] < 0)]
        self.notice[ends] = NOTICE

    def suspend(self, may: Flags) -> Flags:
        """Which stocks trade this session.  may: those that can newly be suspended."""
        start, length, weeks = self.rng.random((3, len(may)))
        days = 1 + np.floor(np.log1p(-length) / np.log(2 / 3)).astype(np.int64)
        days = np.where(weeks < LONG, 5 + np.floor(-20 * np.log1p(-length)).astype(np.int64), days)
        self.left = np.maximum(self.left - 1, 0)
        begins = may & (self.left == 0) & (start < self.chance)
        self.left = np.where(begins, days, self.left)
        return self.left == 0

    def close(self, session: int, listed: Flags, cents: Ints) -> None:
        """End the listings whose notice is over or whose price stayed below par."""
        self.below = np.where(listed & (cents < PAR), self.below + 1, 0)
        self.notice = np.maximum(self.notice - 1, -1)
        over = listed & ((self.below >= PATIENCE) | (self.notice == 0))
        self.gone |= over
        self.ended[over] = session

    def last_session(self, sessions: int) -> Ints:
        """The last session of each delisted stock, `sessions` for those still listed."""
        return np.where(self.ended >= 0, self.ended, sessions)
