"""Everything a simulated session needs of the market, as dense arrays [session, stock] over one pair of axes."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.impact import depth
from data.errors import KestrelError
from data.limits import with_limits
from data.panel import Axes, Floats, to_panels
from data.rules import Rules
from data.symbols import BOARDS, board

# D sessions, N stocks
Deal = Literal["open", "close", "vwap"]
EXCHANGES = ("SH", "SZ", "BJ")
COLUMNS = ["open", "high", "low", "close", "pre_close", "volume", "amount", "limit_up", "limit_down", "is_trading", "is_st", "raw_close"]


@dataclass(frozen=True)
class Market:
    """The market over `axes`.  Prices are CNY, volume is shares, amount CNY; NaN = no row, or no limit that day.

    last_DN is what a share is worth at the close: the close, or while suspended the last one less the rights detached since.
    reference_DN is the price a limit is measured from, known before the open.  cash_DN and ratio_DN are what a share gets
    on its ex-date, in CNY before tax and in new shares; taxable_DN what of it the dividend tax is measured by: the cash, and bonus
    shares at their par of 1 CNY, but not transfers from reserves; all three zero where the prices are adjusted.  scale_DN is raw
    over quoted price: 1 where prices are raw or the raw price is unknown.  delisted_N is the first session without the stock.
    """

    axes: Axes
    price_basis: str
    open_DN: Floats
    high_DN: Floats
    low_DN: Floats
    close_DN: Floats
    reference_DN: Floats
    last_DN: Floats
    limit_up_DN: Floats
    limit_down_DN: Floats
    volume_DN: Floats
    amount_DN: Floats
    scale_DN: Floats
    cash_DN: Floats
    ratio_DN: Floats
    taxable_DN: Floats
    trading_DN: NDArray[np.bool_]
    st_DN: NDArray[np.bool_]
    board_N: NDArray[np.int64]  # position in data.symbols.BOARDS
    exchange_N: NDArray[np.int64]  # position in EXCHANGES
    listed_N: NDArray[np.int64]  # session of the listing; -1 before the panel or unknown
    delisted_N: NDArray[np.int64]  # len(dates) where it isn't delisted
    first_session: int  # calendar number of dates[0]: strategies that rebalance every n sessions count from it

    def until(self, stop: int) -> "Market":
        """Its first `stop` sessions, so that nothing later can be known."""
        if stop == len(self.axes.dates):
            return self
        parts = {field.name: getattr(self, field.name)[:stop] for field in fields(self) if field.name.endswith("_DN")}
        listed_N = np.where(self.listed_N >= stop, -1, self.listed_N)
        axes = Axes(self.axes.dates[:stop], self.axes.symbols)
        return replace(self, axes=axes, listed_N=listed_N, delisted_N=np.minimum(self.delisted_N, stop), **parts)

    @classmethod
    def of(
        cls,
        bars: pl.DataFrame,
        securities: pl.DataFrame,
        dividends: pl.DataFrame,
        axes: Axes,
        *,
        price_basis: str,
        first_session: int = 0,
        rules: Rules | None = None,
    ) -> "Market":
        """The market of these tables over `axes`.  Limit prices that the bars lack are computed from pre_close and the rules.

        Raises KestrelError for an unknown price basis or where no bar lies on the axes.
        """
        if price_basis not in ("raw", "adjusted"):
            raise KestrelError(f"price_basis is '{price_basis}'. Use 'raw' (prices as traded) or 'adjusted' (multiplicatively adjusted).")
        listed_N, delisted_N = _life(securities, axes)
        if "raw_close" not in bars.columns:
            bars = bars.with_columns(raw_close=pl.col("close") if price_basis == "raw" else pl.lit(None, dtype=pl.Float64))
        if "limit_up" not in bars.columns or "limit_down" not in bars.columns:
            bars = with_limits(bars, _age(bars, listed_N, axes), price_basis=price_basis, rules=rules)
        panels = to_panels(bars, COLUMNS, axes)
        if not np.isfinite(panels["close"]).any():
            raise KestrelError(f"No bar of the {axes.shape[1]} stocks lies in {axes.dates[0]}..{axes.dates[-1]}. See: kestrel data show bars")
        trading_DN = (panels["is_trading"] == 1) & (panels["close"] > 0)
        cash_DN, ratio_DN, taxable_DN = _rights(dividends if price_basis == "raw" else dividends.clear(), axes)
        reference_DN, last_DN = _carried(panels["pre_close"], panels["close"], trading_DN, cash_DN, ratio_DN)
        return cls(
            axes=axes,
            price_basis=price_basis,
            open_DN=panels["open"],
            high_DN=panels["high"],
            low_DN=panels["low"],
            close_DN=panels["close"],
            reference_DN=reference_DN,
            last_DN=last_DN,
            limit_up_DN=panels["limit_up"],
            limit_down_DN=panels["limit_down"],
            volume_DN=panels["volume"],
            amount_DN=panels["amount"],
            scale_DN=_scale(panels["raw_close"], panels["close"]) if price_basis == "adjusted" else np.ones(axes.shape),
            cash_DN=cash_DN,
            ratio_DN=ratio_DN,
            taxable_DN=taxable_DN,
            trading_DN=trading_DN,
            st_DN=panels["is_st"] == 1,
            board_N=np.array([BOARDS.index(board(name)) for name in axes.symbols], dtype=np.int64),
            exchange_N=np.array([EXCHANGES.index(name[-2:]) for name in axes.symbols], dtype=np.int64),
            listed_N=listed_N,
            delisted_N=delisted_N,
            first_session=first_session,
        )

    def deal_DN(self, deal: Deal) -> Floats:
        """The price orders are filled at, [D, N]: the open, the close, or the day's average price within [low, high].

        Adjusted prices can't be mixed with raw volume and amount, so there the average is (high + low + 2 close) / 4.
        """
        if deal == "vwap":
            return self.vwap_DN
        if deal not in ("open", "close"):
            raise KestrelError(f"deal is '{deal}'. Use one of: open, close, vwap.")
        return self.open_DN if deal == "open" else self.close_DN

    @cached_property
    def vwap_DN(self) -> Floats:
        """The day's average price within [low, high], CNY [D, N]; (high + low + 2 close) / 4 where prices are adjusted."""
        if self.price_basis == "adjusted":
            return (self.high_DN + self.low_DN + 2 * self.close_DN) / 4
        average = np.full(self.axes.shape, np.nan)
        np.divide(self.amount_DN, self.volume_DN, out=average, where=self.volume_DN > 0)
        return np.asarray(np.clip(average, self.low_DN, self.high_DN))

    @cached_property
    def traded_DN(self) -> Floats:
        """Shares traded, [D, N], in quoted shares: where prices are adjusted, the amount over the day's average price."""
        return self.volume_DN if self.price_basis == "raw" else np.asarray(self.amount_DN / self.vwap_DN)

    @cached_property
    def depth_DN(self) -> Floats:
        """Volatility over the square root of the volume, both of the sessions before [D, N]: see impact.py."""
        return depth(self.close_DN, self.reference_DN, self.traded_DN)

    @cached_property
    def rights(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(start_D, stock_R): the stocks whose ex-date is session d are stock_R[start_D[d] : start_D[d + 1]], in the order of the axes."""
        sessions, stock_R = np.nonzero((self.cash_DN != 0) | (self.ratio_DN != 0))
        return np.searchsorted(sessions, np.arange(len(self.axes.dates) + 1)), stock_R


def _life(securities: pl.DataFrame, axes: Axes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(listed_N, delisted_N): sessions of listing and delisting; -1 and D where they lie outside the panel or are unknown."""
    known = pl.DataFrame({"symbol": axes.symbols}, schema={"symbol": pl.String}).join(securities, on="symbol", how="left", maintain_order="left")
    listed = [axes.index(day) if day is not None and day >= axes.dates[0] else -1 for day in known["list_date"]]
    delisted = [axes.index(day) if day is not None else len(axes.dates) for day in known["delist_date"]]
    return np.array(listed, dtype=np.int64), np.array(delisted, dtype=np.int64)


def _age(bars: pl.DataFrame, listed_N: NDArray[np.int64], axes: Axes) -> pl.Series:
    """Sessions since the listing for each bar; null where the listing lies before the panel or is unknown."""
    rows, columns, on_axis = axes.positions(bars)
    listed = np.where(on_axis, listed_N[columns], -1)
    age = pl.Series(np.maximum(rows - listed, 0))
    return pl.select(pl.when(pl.Series(listed >= 0)).then(age)).to_series()


def _rights(dividends: pl.DataFrame, axes: Axes) -> tuple[Floats, Floats, Floats]:
    """(cash_DN, ratio_DN, taxable_DN) per share; an ex-date that is no session counts on the next one."""
    cash_DN, ratio_DN, taxable_DN = np.zeros(axes.shape), np.zeros(axes.shape), np.zeros(axes.shape)
    if dividends.is_empty():
        return cash_DN, ratio_DN, taxable_DN
    inside = dividends.filter(pl.col("ex_date").is_between(axes.dates[0], axes.dates[-1]))
    rows = np.searchsorted(axes.days, inside["ex_date"].to_numpy().astype("datetime64[D]"))
    dated = inside.with_columns(pl.Series("date", axes.days[rows]).cast(pl.Date))
    rows, columns, on_axis = axes.positions(dated)
    cash, bonus, transfer = (dated[name].fill_null(0).to_numpy()[on_axis] for name in ("cash", "bonus", "transfer"))
    at = rows[on_axis], columns[on_axis]
    np.add.at(cash_DN, at, cash)
    np.add.at(ratio_DN, at, bonus + transfer)
    np.add.at(taxable_DN, at, cash + bonus)
    return cash_DN, ratio_DN, taxable_DN


def _carried(pre_close: Floats, close: Floats, trading: NDArray[np.bool_], cash: Floats, ratio: Floats) -> tuple[Floats, Floats]:
    """(reference_DN, last_DN): as quoted on traded sessions, else the last close less the rights detached since."""
    reference, last = np.empty_like(close), np.empty_like(close)
    carried = np.full(close.shape[1], np.nan)
    for d in range(len(close)):
        detached = (carried - cash[d]) / (1 + ratio[d])
        reference[d] = np.where(trading[d] & (pre_close[d] > 0), pre_close[d], detached)
        carried = np.where(trading[d] | np.isnan(detached), close[d], detached)
        last[d] = carried
    return reference, last


def _scale(raw_close: Floats, close: Floats) -> Floats:
    """Raw over quoted price, the last known one carried forward; 1 before the first."""
    scale = raw_close / close
    known = np.where(np.isfinite(scale) & (scale > 0), np.arange(len(scale))[:, None], -1)
    latest = np.maximum.accumulate(known, axis=0)
    return np.where(latest >= 0, np.take_along_axis(scale, np.maximum(latest, 0), axis=0), 1.0)
