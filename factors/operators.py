"""The operators factors are written with: elementwise, over a stock's sessions (ts_*), over the stocks of a session (cs_*).

A window of n counts sessions of the calendar, the current one included.  Null (NaN) sessions inside it are skipped; the result is
null where fewer than half of the n sessions (or than `least`) hold a value.  Ties get the mean of their ranks.  No operator sees a later session.
"""

from data.errors import KestrelError
from factors.expressions import Expr, Scale, column, constant

open_ = column("open")
high = column("high")
low = column("low")
close = column("close")
last = column("last")
vwap = column("vwap")
volume = column("volume")
amount = column("amount")
index_close = column("index_close")

# -- elementwise


def log(x: Expr) -> Expr:
    """Natural logarithm; null at or below 0."""
    scale = None if x.scale is None or x.scale.shift else Scale(shift=x.scale.power)
    return Expr("log", (x,), scale=scale)


def absolute(x: Expr) -> Expr:
    """|x|."""
    return Expr("abs", (x,), scale=x.scale if x.scale is None or not x.scale.shift else None)


def sign(x: Expr) -> Expr:
    """-1, 0 or 1."""
    return Expr("sign", (x,), scale=_only_scaled(x))


def root(x: Expr) -> Expr:
    """Square root; null below 0."""
    return Expr("sqrt", (x,), scale=Scale(power=x.scale.power / 2) if x.scale is not None and not x.scale.shift else None)


def maximum(x: Expr, y: Expr) -> Expr:
    """The larger of two; null where either is."""
    return Expr("maximum", (x, y), scale=x.scale if x.scale == y.scale else None)


def minimum(x: Expr, y: Expr) -> Expr:
    """The smaller of two; null where either is."""
    return Expr("minimum", (x, y), scale=x.scale if x.scale == y.scale else None)


def ratio(x: Expr, y: Expr) -> Expr:
    """X / y; 0 where y is 0 (a share of nothing), null where either is null."""
    return Expr("ratio", (x, y), scale=(x / y).scale)


def where(condition: Expr, then: Expr) -> Expr:
    """`then` where the condition is true, null elsewhere."""
    unmoved = condition.scale is not None and condition.scale.invariant
    return Expr("where", (condition, then), scale=then.scale if unmoved else None)


def select(condition: Expr, then: Expr | float, other: Expr | float) -> Expr:
    """`then` where the condition is true, `other` where it isn't; null where any of the three is."""
    one, two = (value if isinstance(value, Expr) else constant(value) for value in (then, other))
    unmoved = condition.scale is not None and condition.scale.invariant and one.scale == two.scale
    return Expr("select", (condition, one, two), scale=one.scale if unmoved else None)


def power(x: Expr, exponent: Expr | float) -> Expr:
    """X to a power; null where that is no real number."""
    return _power("power", x, exponent)


def signed_power(x: Expr, exponent: Expr | float) -> Expr:
    """|x| to a power, with the sign of x."""
    return _power("signed_power", x, exponent)


def _power(op: str, x: Expr, exponent: Expr | float) -> Expr:
    y = exponent if isinstance(exponent, Expr) else constant(exponent)
    if x.scale is None or x.scale.shift or y.scale is None:
        scale = None
    elif y.op == "constant":
        scale = Scale(power=x.scale.power * float(y.params[0]))
    else:
        scale = Scale() if x.scale.invariant and y.scale.invariant else None
    return Expr(op, (x, y), scale=scale)


def fill(x: Expr, value: float) -> Expr:
    """X with nulls replaced by a number that means 'none'; for counts, never for prices."""
    unmoved = x.scale is not None and (x.scale.invariant or (value == 0 and not x.scale.shift))
    return Expr("fill", (x,), (float(value),), scale=x.scale if unmoved else None)


# -- over the sessions of each stock


def delay(x: Expr, n: int) -> Expr:
    """The value n sessions ago."""
    _refuse(n < 0, f"delay by {n} sessions would look ahead")
    return Expr("delay", (x,), (n,), scale=x.scale, reach=n)


def delta(x: Expr, n: int) -> Expr:
    """X less its value n sessions ago."""
    return x - delay(x, n)


def ts_mean(x: Expr, n: int, *, least: int | None = None) -> Expr:
    """Mean of the last n sessions."""
    return _window("ts_mean", x, n, scale=x.scale, least=least)


def ts_sum(x: Expr, n: int, *, least: int | None = None) -> Expr:
    """Sum of the last n sessions."""
    return _window("ts_sum", x, n, scale=x.scale if x.scale is None or not x.scale.shift else None, least=least)


def ts_product(x: Expr, n: int, *, least: int | None = None) -> Expr:
    """Product of the last n sessions."""
    return _window("ts_product", x, n, scale=_level(x), least=least)


def ts_std(x: Expr, n: int, *, least: int | None = None) -> Expr:
    """Sample standard deviation of the last n sessions."""
    return _window("ts_std", x, n, scale=_spread(x), least=least)


def ts_skew(x: Expr, n: int) -> Expr:
    """Skewness (population) of the last n sessions; null without spread."""
    return _window("ts_skew", x, n, scale=_only_moved(x))


def ts_kurt(x: Expr, n: int) -> Expr:
    """Excess kurtosis (population) of the last n sessions; null without spread."""
    return _window("ts_kurt", x, n, scale=_only_moved(x))


def ts_max(x: Expr, n: int, *, least: int | None = None) -> Expr:
    """Largest of the last n sessions."""
    return _window("ts_max", x, n, scale=x.scale, least=least)


def ts_min(x: Expr, n: int, *, least: int | None = None) -> Expr:
    """Smallest of the last n sessions."""
    return _window("ts_min", x, n, scale=x.scale, least=least)


def ts_argmax(x: Expr, n: int, *, earliest: bool = False, least: int | None = None) -> Expr:
    """Sessions since the largest of the last n; the latest of equals, or the earliest."""
    return _window("ts_first_argmax" if earliest else "ts_argmax", x, n, scale=_only_moved(x), least=least)


def ts_argmin(x: Expr, n: int, *, earliest: bool = False, least: int | None = None) -> Expr:
    """Sessions since the smallest of the last n; the latest of equals, or the earliest."""
    return _window("ts_first_argmin" if earliest else "ts_argmin", x, n, scale=_only_moved(x), least=least)


def ts_rank(x: Expr, n: int, *, least: int | None = None) -> Expr:
    """Rank of the current value among the last n sessions, in (0, 1]; null where the current value is."""
    return _window("ts_rank", x, n, scale=_only_moved(x), least=least)


def ts_quantile(x: Expr, n: int, share: float, *, least: int | None = None) -> Expr:
    """The value below which a share of the last n sessions lies; linear between the two values beside it."""
    _refuse(not 0 <= share <= 1, f"ts_quantile has a share of {share}; it lies from 0 to 1")
    return _window("ts_quantile", x, n, scale=x.scale, least=least, more=(float(share),))


def ts_corr(x: Expr, y: Expr, n: int, *, least: int | None = None) -> Expr:
    """Pearson correlation over the sessions of the last n that have both; null without spread in either; 1 within 1e-12 of it."""
    return _window("ts_corr", x, n, other=y, scale=_only_moved(x) and _only_moved(y), least=_three(n, least))


def ts_cov(x: Expr, y: Expr, n: int, *, least: int | None = None) -> Expr:
    """Sample covariance over the sessions of the last n that have both."""
    a, b = _spread(x), _spread(y)
    scale = None if a is None or b is None else Scale(power=a.power + b.power)
    return _window("ts_cov", x, n, other=y, scale=scale, least=_three(n, least))


def ts_beta(y: Expr, x: Expr, n: int, *, least: int | None = None) -> Expr:
    """Slope of y on x over the sessions of the last n that have both; null without spread in x."""
    a, b = _spread(y), _spread(x)
    scale = None if a is None or b is None else Scale(power=a.power - b.power)
    return _window("ts_beta", y, n, other=x, scale=scale, least=_three(n, least))


def ts_slope(x: Expr, n: int, *, least: int | None = None) -> Expr:
    """Least-squares slope of x per session over the last n."""
    return _window("ts_slope", x, n, scale=_spread(x), least=_three(n, least))


def ts_rsquare(x: Expr, n: int, *, least: int | None = None) -> Expr:
    """Share of the variance of x that a straight line over the last n sessions explains."""
    return _window("ts_rsquare", x, n, scale=_only_moved(x), least=_three(n, least))


def ts_residual(x: Expr, n: int, *, least: int | None = None) -> Expr:
    """X less the end of a straight line through its last n sessions; null where x is."""
    return _window("ts_residual", x, n, scale=_spread(x), least=_three(n, least))


def ema(x: Expr, span: int) -> Expr:
    """Exponential mean with weight 2 / (span + 1), over the last 4 * span sessions so that its reach is exact (99.97 % of the weight)."""
    _refuse(span < 1, f"ema has a span of {span} sessions; it needs 1 at least")
    return Expr("ema", (x,), (4 * span, span), scale=x.scale, reach=4 * span - 1)


def decay(x: Expr, n: int, *, least: int | None = None) -> Expr:
    """Linearly decaying mean of the last n sessions, the latest weighing n."""
    return _window("decay", x, n, scale=x.scale, least=least)


def _window(
    op: str, x: Expr, n: int, *, scale: Scale | None, other: Expr | None = None, least: int | None = None, more: tuple[float, ...] = ()
) -> Expr:
    """A windowed operator: null where fewer than `least` of the n sessions hold a value, by default half of them."""
    _refuse(n < 1, f"{op} has a window of {n} sessions; it needs 1 at least")
    args = (x,) if other is None else (x, other)
    return Expr(op, args, (n, (n + 1) // 2 if least is None else least, *more), scale=scale, reach=n - 1)


def _refuse(wrong: bool, why: str) -> None:
    if wrong:
        raise KestrelError(f"{why}.")


def _refuse_group(group: Expr) -> None:
    _refuse(group != column("industry"), f"Groups are numbered from 0, as the column industry is, not by {group}")


def _three(n: int, least: int | None) -> int:
    """Half of the sessions, three at least: two points are always on a line."""
    return max((n + 1) // 2, 3) if least is None else least


# -- over the stocks of each session


def cs_rank(x: Expr) -> Expr:
    """Rank among the stocks of the session, in (0, 1]."""
    return Expr("cs_rank", (x,), scale=_level(x))


def cs_z_score(x: Expr) -> Expr:
    """Distance from the session's mean in standard deviations."""
    return Expr("cs_z_score", (x,), scale=_level(x))


def cs_scale(x: Expr, total: float = 1) -> Expr:
    """X so that its magnitudes add up to `total` over the session; null where all are 0."""
    return Expr("cs_scale", (x,), (float(total),), scale=_level(x))


def cs_mean(x: Expr) -> Expr:
    """Mean over the stocks of the session: one number for the market."""
    return Expr("cs_mean", (x,), scale=_level(x))


def cs_std(x: Expr) -> Expr:
    """Standard deviation over the stocks of the session: one number for the market."""
    return Expr("cs_std", (x,), scale=_level(x))


def cs_residual(y: Expr, x: Expr) -> Expr:
    """What a straight line in x over the stocks of the session leaves of y; null where either is, y less its mean where x has no spread."""
    return Expr("cs_residual", (y, x), scale=_level(x) and _level(y))


def first_component(*series: Expr, window: int) -> Expr:
    """First principal component of market-wide series, standardised over the last `window` sessions, which end with the current one.

    Its sign makes the loading of the first series positive.  (Baker and Wurgler 2006, on past data only)
    """
    _refuse(window < 1 or not series, "first_component needs one series at least, and a window of 1 session at least")
    stocks = [str(one) for one in series if not one.market]
    _refuse(bool(stocks), f"first_component is of series of the whole market, such as cs_mean(returns), not of {', '.join(stocks)}")
    return Expr("first_component", tuple(series), (window,), scale=Scale() if all(_level(x) for x in series) else None, reach=window - 1)


# -- over the stocks of each session that share a group, a column of numbers; null where the stock's group is


def cs_group_mean(x: Expr, group: Expr) -> Expr:
    """Mean over the stocks of the group in the session, given to each of them, whether it has a value itself or not."""
    _refuse_group(group)
    return Expr("cs_group_mean", (x, group), scale=_level(x) and _level(group))


def cs_group_rank(x: Expr, group: Expr) -> Expr:
    """Rank among the stocks of the group in the session, in (0, 1]; 1 for a group of one."""
    _refuse_group(group)
    return Expr("cs_group_rank", (x, group), scale=_level(x) and _level(group))


# -- what many factors start from


def returns(n: int = 1) -> Expr:
    """Return of the last n sessions, closes carried through suspensions."""
    return last / delay(last, n) - 1


def traded_returns() -> Expr:
    """Return of a session in which the stock traded; null otherwise."""
    return close / delay(last, 1) - 1


def turnover() -> Expr:
    """Shares traded over shares in float."""
    return volume / column("float_shares")


def float_cap() -> Expr:
    """Market value of the float, CNY."""
    return last * column("float_shares")


def total_cap() -> Expr:
    """Market value of all shares, CNY."""
    return last * column("total_shares")


# -- scales


def _only_scaled(x: Expr) -> Scale | None:
    """Unmoved by a positive factor, but not by a shift."""
    return Scale() if x.scale is not None and not x.scale.shift else None


def _only_moved(x: Expr) -> Scale | None:
    """Unmoved by a positive factor or a shift of one stock's history."""
    return Scale() if x.scale is not None else None


def _spread(x: Expr) -> Scale | None:
    """A measure of spread: shifts vanish, factors stay."""
    return None if x.scale is None else Scale(power=x.scale.power)


def _level(x: Expr) -> Scale | None:
    """Across stocks, levels that move with a stock's own constant can't be compared."""
    return Scale() if x.scale is not None and x.scale.invariant else None
