"""The tables of the lake: columns, types, units, keys.  Rows are sorted by their keys, `date` first where there is one.

`date` is the session at whose close a row is known.  Prices are CNY as traded, volume is shares, amount is CNY; a lake whose
vendor sells only multiplicatively adjusted prices says so once (`price_basis`, see data/lake.py) and keeps `adj` at 1.
A column marked `nullable` may be absent in a source; a lake without it lists what it can't compute, and computes the rest.
"""

import dataframely as dy

from data.events import NAMES

SCHEMA_VERSION = 4


class Calendar(dy.Schema):
    """Sessions of the exchange, years ahead."""

    date = dy.Date(primary_key=True)
    session = dy.Int32()


class Securities(dy.Schema):
    """Every stock that was ever listed, delisted ones too."""

    symbol = dy.String(primary_key=True, regex=r"^\d{6}\.(SH|SZ|BJ)$")
    name = dy.String(nullable=True)
    board = dy.String()
    list_date = dy.Date(nullable=True)
    delist_date = dy.Date(nullable=True)


class Bars(dy.Schema):
    """One stock, one session.  A suspended stock keeps its row: is_trading false, volume 0, prices at the last close."""

    date = dy.Date(primary_key=True)
    symbol = dy.String(primary_key=True)
    open = dy.Float64()
    high = dy.Float64()
    low = dy.Float64()
    close = dy.Float64()
    pre_close = dy.Float64()  # on ex-dates the ex-rights reference price
    volume = dy.Float64()  # shares
    amount = dy.Float64()  # CNY
    adj = dy.Float64()  # cumulative factor: close * adj is a total-return price, 1 at listing
    limit_up = dy.Float64(nullable=True)  # null: no limit that day
    limit_down = dy.Float64(nullable=True)
    raw_close = dy.Float64(nullable=True)  # as traded; equals close where the lake's prices are raw
    is_st = dy.Bool()
    is_trading = dy.Bool()


class MinuteBars(dy.Schema):
    """One stock, one minute of trading, 240 a session; a stock that doesn't trade that session has none.  Prices are CNY as traded.

    Consistent with the session's bar: the first open, the last close, the extremes, and the sums of volume and amount are the bar's.
    """

    time = dy.Datetime(time_unit="us", time_zone="Asia/Shanghai", primary_key=True)  # the end of the minute
    symbol = dy.String(primary_key=True)
    open = dy.Float64()
    high = dy.Float64()
    low = dy.Float64()
    close = dy.Float64()
    volume = dy.Float64()  # shares
    amount = dy.Float64()  # CNY


class Caps(dy.Schema):
    """Shares and the vendor's ratios at the close; where prices are adjusted, shares are scaled so that close * shares is CNY."""

    date = dy.Date(primary_key=True)
    symbol = dy.String(primary_key=True)
    total_shares = dy.Float64(nullable=True)
    float_shares = dy.Float64(nullable=True)
    pe_ttm = dy.Float64(nullable=True)
    pb = dy.Float64(nullable=True)
    ps_ttm = dy.Float64(nullable=True)
    pcf_ttm = dy.Float64(nullable=True)


class Names(dy.Schema):
    """What a stock is called from a date on; `former` is the code it traded under until then, where that changed too."""

    symbol = dy.String(primary_key=True)
    start = dy.Date(primary_key=True)
    name = dy.String()
    former = dy.String(nullable=True)


class Reports(dy.Schema):
    """Periodic reports, cumulative within the fiscal year as filed; a restatement is an extra row.  Known the session after."""

    symbol = dy.String(primary_key=True)
    period_end = dy.Date(primary_key=True)
    announced_on = dy.Date(primary_key=True)
    revision = dy.Int32(primary_key=True)  # 0 as first filed, then 1, 2, ...: two filings of a day have an order
    revenue = dy.Float64(nullable=True)  # CNY
    net_profit = dy.Float64(nullable=True)
    equity = dy.Float64(nullable=True)
    operating_cash_flow = dy.Float64(nullable=True)
    gross_profit = dy.Float64(nullable=True)  # revenue less operating cost
    total_assets = dy.Float64(nullable=True)
    cash = dy.Float64(nullable=True)  # monetary funds
    debt = dy.Float64(nullable=True)  # bears interest: loans, bonds, and what of them is due within a year


class Dividends(dy.Schema):
    """What one share got on its ex-date: cash (CNY, before tax), bonus and transfer (shares)."""

    symbol = dy.String(primary_key=True)
    ex_date = dy.Date(primary_key=True)
    cash = dy.Float64()
    bonus = dy.Float64()
    transfer = dy.Float64()
    announced_on = dy.Date(nullable=True)
    record_date = dy.Date(nullable=True)
    pay_date = dy.Date(nullable=True)


class Members(dy.Schema):
    """Index members at the close, on the dates a source gives them; between two dates the earlier one holds."""

    date = dy.Date(primary_key=True)
    index = dy.String(primary_key=True)
    symbol = dy.String(primary_key=True)
    weight = dy.Float64(nullable=True)  # fraction; the members of a date sum to 1


class Industries(dy.Schema):
    """Industry from a date on.  `hindsight` marks a later snapshot laid over the past: never a model's input."""

    symbol = dy.String(primary_key=True)
    start = dy.Date(primary_key=True)
    code = dy.String()
    name = dy.String(nullable=True)
    hindsight = dy.Bool()


class IndexBars(dy.Schema):
    """An index as price (open high low close) and as total return (close_tr)."""

    date = dy.Date(primary_key=True)
    index = dy.String(primary_key=True)
    open = dy.Float64(nullable=True)
    high = dy.Float64(nullable=True)
    low = dy.Float64(nullable=True)
    close = dy.Float64()
    close_tr = dy.Float64(nullable=True)


class FuturesBars(dy.Schema):
    """Index futures by contract; settle and expiry are null where a source gives the dominant contract alone."""

    date = dy.Date(primary_key=True)
    contract = dy.String(primary_key=True)
    product = dy.String()
    open = dy.Float64()
    high = dy.Float64()
    low = dy.Float64()
    close = dy.Float64()
    settle = dy.Float64(nullable=True)
    volume = dy.Float64()  # contracts
    open_interest = dy.Float64(nullable=True)
    expiry = dy.Date(nullable=True)
    multiplier = dy.Float64()  # CNY a point


class News(dy.Schema):
    """News as published, Asia/Shanghai.  A source that gives a date without a time is stored at that day's last second."""

    id = dy.String(primary_key=True)
    published_at = dy.Datetime(time_unit="us", time_zone="Asia/Shanghai")
    symbols = dy.List(dy.String())
    title = dy.String()
    body = dy.String(nullable=True)
    source = dy.String(nullable=True)
    first_seen = dy.Datetime(time_unit="us", time_zone="Asia/Shanghai", nullable=True)  # where a feed says when it came


class NewsScores(dy.Schema):
    """What a scorer read in a piece of news about a stock: probabilities, their balance in [-1, 1], and the type of event (data/events.py)."""

    id = dy.String(primary_key=True)
    symbol = dy.String(primary_key=True)
    scorer = dy.String(primary_key=True)
    p_negative = dy.Float64(nullable=True)
    p_neutral = dy.Float64(nullable=True)
    p_positive = dy.Float64(nullable=True)
    score = dy.Float64()
    tokens = dy.Int64(nullable=True)
    cost = dy.Float64(nullable=True)  # CNY
    event = dy.String(nullable=True, check=lambda event: event.is_in(NAMES))  # null: the scorer tells no events


class Scores(dy.Schema):
    """A model's opinion of a stock at the close of `date`: higher is better, rank 1 is best."""

    date = dy.Date(primary_key=True)
    symbol = dy.String(primary_key=True)
    model = dy.String(primary_key=True)
    score = dy.Float64()
    rank = dy.Int32()


TABLES: dict[str, type[dy.Schema]] = {
    "calendar": Calendar,
    "securities": Securities,
    "bars": Bars,
    "minute_bars": MinuteBars,
    "caps": Caps,
    "reports": Reports,
    "dividends": Dividends,
    "members": Members,
    "industries": Industries,
    "names": Names,
    "index_bars": IndexBars,
    "futures_bars": FuturesBars,
    "news": News,
    "news_scores": NewsScores,
    "scores": Scores,
}

# One column a factor, so their schema is their own: only the keys are fixed.
OPEN_TABLES = {"factors": ["date", "symbol"]}
