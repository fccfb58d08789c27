"""The 158 names, in Qlib's order."""

WINDOWS = (5, 10, 20, 30, 60)  # each a part of the next, so that one pass over the longest serves all
LOOKBACK = 60  # earlier sessions that a value reads: 59 of the longest window, and one more for its first change

CANDLE = ("KMID", "KLEN", "KMID2", "KUP", "KUP2", "KLOW", "KLOW2", "KSFT", "KSFT2", "OPEN0", "HIGH0", "LOW0", "VWAP0")
ROLLING = (
    *("ROC", "MA", "STD", "BETA", "RSQR", "RESI", "MAX", "MIN", "QTLU", "QTLD", "RANK", "RSV", "IMAX", "IMIN", "IMXD"),
    *("CORR", "CORD", "CNTP", "CNTN", "CNTD", "SUMP", "SUMN", "SUMD", "VMA", "VSTD", "WVMA", "VSUMP", "VSUMN", "VSUMD"),
)
NAMES = CANDLE + tuple(f"{family}{n}" for family in ROLLING for n in WINDOWS)


def places(*families: str) -> tuple[int, ...]:
    """Where the first window of each family stands among the names; its other windows follow."""
    return tuple(NAMES.index(f"{family}{WINDOWS[0]}") for family in families)
