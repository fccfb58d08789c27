"""News: tone of a stock's news, how it surprises, how much it disagrees, how bad and how much of it there is, and what events it reports.

Half-lives were set beforehand and are fitted to nothing.  Sessions in which no stock has news are skipped: there the feed is silent.
"""

from factors.expressions import Expr, column, constant
from factors.operators import decay, delay, ema, fill, log, maximum, power, root, ts_argmax, ts_sum, where
from factors.registry import factor

PRIOR = 2.0  # neutral items that every stock is taken to have: one piece alone moves the level by a third of its score


def level(span: int) -> Expr:
    """Sum of w * score over PRIOR + sum of w, where w falls to 1 - 2 / (span + 1) from session to session."""
    newest = 2 / (span + 1)  # an exponential mean is the sum times this
    return ema(column("news_sum"), span) / (PRIOR * newest + ema(column("news_weight"), span))


def tone(n: int) -> Expr:
    """Mean score of the items of n sessions; null without any."""
    return ts_sum(column("news_sum"), n, least=1) / ts_sum(column("news_weight"), n, least=1)


def flag(group: str, half_life: int) -> Expr:
    """1 on the session of an event of the group, halved every half-life since the latest one, 0 after four; null where the feed is silent so long."""
    items, reach = column(f"news_{group}"), 4 * half_life
    age = ts_argmax(where(items > 0, constant(1.0)), reach, least=1)
    return where(ts_sum(items, reach, least=1) > -1, fill(power(constant(0.5), age / half_life), 0.0))


@factor("news")
def news_score() -> Expr:
    """Tone of the stock's news of the last 5 sessions, linearly decaying; null where no scored news names the stock.  (Tetlock 2007)"""
    return decay(column("news_tone"), 5, least=1)


@factor("news")
def news_level_1() -> Expr:
    """Tone shrunk towards neutral, half-life 1 session; 0 for a stock without news.  (Tetlock, Saar-Tsechansky and Macskassy 2008)"""
    return level(3)


@factor("news")
def news_level_3() -> Expr:
    """Tone shrunk towards neutral, half-life 3 sessions; 0 for a stock without news."""
    return level(9)


@factor("news")
def news_surprise() -> Expr:
    """Tone of the last 3 sessions less that of the stock's own 20 before; null where either has no scored news."""
    return tone(3) - delay(tone(20), 3)


@factor("news")
def news_dispersion() -> Expr:
    """Standard deviation of the scores of the last 5 sessions' items: how much they disagree; null without two of them."""
    items = ts_sum(column("news_weight"), 5, least=1)
    mean = ts_sum(column("news_sum"), 5, least=1) / items
    # the difference of two squares may miss 0 by its last bits
    variance = maximum(ts_sum(column("news_squares"), 5, least=1) / items - mean * mean, constant(0.0))
    return where(items > 1, root(variance))


@factor("news")
def news_negative() -> Expr:
    """Logarithm of 1 + the bad items of the last 5 sessions; 0 where the stock has none.  (Tetlock 2007)"""
    return log(1 + ts_sum(column("news_negative"), 5, least=1))


@factor("news")
def news_attention() -> Expr:
    """Logarithm of 1 + the news items of the last 5 sessions; 0 where none names the stock, null where the feed is silent.

    (Barber and Odean 2008)
    """
    return log(1 + ts_sum(column("news_count"), 5))


@factor("news")
def event_results() -> Expr:
    """Flag of news of worse results or another rating, half-life 3 sessions.  High earns less.  (Bernard and Thomas 1989)"""
    return flag("results", 3)


@factor("news")
def event_control() -> Expr:
    """Flag of news of another owner, a leader who is gone or a reorganisation that failed, half-life 5 sessions.

    High earns less.  (Warner, Watts and Wruck 1988)
    """
    return flag("control", 5)


@factor("news")
def event_conduct() -> Expr:
    """Flag of news of false disclosure, forbidden trades, false accounts or another offence, half-life 10 sessions.

    High earns less.  (Karpoff, Lee and Martin 2008)
    """
    return flag("conduct", 10)


@factor("news")
def event_distress() -> Expr:
    """Flag of news of money at risk, illegal fund-raising or a product in trouble, half-life 10 sessions.  High earns less.  (Tetlock 2007)"""
    return flag("distress", 10)
