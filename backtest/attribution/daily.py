"""Every session's excess, split to the cent.

The excess is the account's P&L less what the benchmark would have made of the equity at the close before.  The book is looked at as if
its orders had been filled whole at the close before, where the scores were known, and what came in between is told apart:

    selection   what is left of the stocks' returns once industries and styles have had their part, sub-cent fractions included
    industry    active weight of each industry times its return beyond the index
    style       active exposure to each style times its return
    timing      fills at the deal price instead of the close before, less rights; sells and buys
    unfilled    what was ordered and not filled would have made beyond the index, with the opposite sign, until orders are next written
    cash        what is not in stocks makes nothing, so it loses what the index makes
    dividends   those received less those of the index; 0 where prices are adjusted, since they are inside them
    index_gap   the members at their weights beyond the index as published
    cost        each kind of cost
"""

import numpy as np
from numpy.typing import NDArray

from backtest.attribution.backdrop import Backdrop
from backtest.attribution.ledgers import Flows, flows
from backtest.attribution.parts import Attribution
from backtest.attribution.section import section
from backtest.exposures import UNKNOWN
from backtest.result import COSTS, Result
from data.panel import Floats

# D sessions, N stocks, G groups (the last one is unknown), K styles, P parts


def attribute(result: Result, backdrop: Backdrop) -> Attribution:
    """The parts of the account's excess over the benchmark, in whole cents a session.

    Every part is rounded down and the cents that then lack go to the parts with the largest remainders, the earlier one where they are
    alike; costs are whole cents as they stand.  Raises KestrelError for panels of another shape.
    """
    backdrop.check(result)
    flow = flows(result, backdrop.reference_DN, backdrop.returns_DN)
    excess_D = flow.change_D - np.floor(flow.nav_before_D * backdrop.b_D + 0.5).astype(np.int64)
    stocks_DQ, unknown = _stocks(flow, backdrop)
    invested_D = flow.held_DN.sum(axis=1)
    others = {
        ("timing", "sell"): flow.timing_2D[0],
        ("timing", "buy"): flow.timing_2D[1],
        ("cash", ""): -(flow.nav_before_D - invested_D) * backdrop.price_b_D,
        ("dividends", ""): flow.dividends_D - flow.nav_before_D * (backdrop.b_D - backdrop.price_b_D),
    }
    names = [*(("industry", name) for name in _groups(backdrop)), *(("style", name) for name in backdrop.styles), ("unfilled", ""), ("index_gap", "")]
    floats_DP = np.column_stack([stocks_DQ, *others.values()])
    paid_D = flow.costs_KD.sum(axis=0)
    selection_D = (excess_D + paid_D) - floats_DP.sum(axis=1)
    cents_DP = whole_cents(np.column_stack([selection_D, floats_DP]), excess_D + paid_D)
    parts = (("selection", ""), *names, *others, *(("cost", name) for name in COSTS))
    cents_DP = np.column_stack([cents_DP, -flow.costs_KD.T])
    after_D = np.rint(flow.after_D).astype(np.int64)
    return Attribution(result.dates, parts, cents_DP, flow.nav_before_D, flow.change_D, excess_D, after_D, unknown)


def whole_cents(parts_DP: Floats, total_D: NDArray[np.int64]) -> NDArray[np.int64]:
    """The parts in whole cents that add up to the totals: rounded down, then a cent more for the largest remainders, earlier ones first.

    The parts must add up to the totals but for floating point.
    """
    down_DP = np.floor(parts_DP)
    lacking_D = total_D - down_DP.sum(axis=1).astype(np.int64)
    assert np.all((lacking_D >= 0) & (lacking_D <= parts_DP.shape[1])), "the parts don't add up to their total"
    place_DP = np.argsort(np.argsort(down_DP - parts_DP, axis=1, kind="stable"), axis=1, kind="stable")
    return down_DP.astype(np.int64) + (place_DP < lacking_D[:, None])


def _groups(backdrop: Backdrop) -> tuple[str, ...]:
    return () if backdrop.groups_DN is None else (*backdrop.groups, UNKNOWN)


def _stocks(flow: Flows, backdrop: Backdrop) -> tuple[Floats, int]:
    """(industries, styles, unfilled and index gap by session in cents [D, G + K + 2], sessions without known members)."""
    sessions, stocks = flow.held_DN.shape
    count, styles = max(len(_groups(backdrop)), 1), list(backdrop.styles.values())
    found_DQ = np.zeros((sessions, len(_groups(backdrop)) + len(styles) + 2))
    unknown = 0
    for d in range(sessions):
        r_N, weights_N = backdrop.returns_DN[d], backdrop.weights_DN[d]
        b_N = np.where(np.isfinite(r_N) & (weights_N > 0), weights_N, 0.0)
        r_N, missed_N, index = np.nan_to_num(r_N), flow.missed_DN[d], backdrop.price_b_D[d]
        found_DQ[d, -2] = -(missed_N @ (r_N - index))
        if not b_N.any():
            unknown += 1
            continue
        b_N = b_N / b_N.sum()
        groups_N = np.zeros(stocks, np.int64) if backdrop.groups_DN is None else backdrop.groups_DN[d] % count  # -1 is the last group
        z_KN = np.nan_to_num(np.array([z_DN[d] for z_DN in styles]).reshape(len(styles), stocks))
        one = section(r_N, b_N, groups_N, count, z_KN)
        ordered_N = flow.held_DN[d] + missed_N
        active_N = ordered_N - ordered_N.sum() * b_N
        industry_G = np.bincount(groups_N, active_N, count) * one.group_G
        found_DQ[d, :-2] = np.concatenate([industry_G[: len(_groups(backdrop))], z_KN @ active_N * one.style_K])
        found_DQ[d, -1] = ordered_N.sum() * (one.market - index)
    return found_DQ, unknown
