"""What a piece of news may report of a company: a dozen types of event in four groups, and the names that labelled sets give them.

The types follow public Chinese sets of company events, most of which are bad news: what is good shows in a score.  The rare types
of those sets are joined with their nearest kin.
"""

from typing import NamedTuple


class Event(NamedTuple):
    """group: events whose news stay of interest about as long.  labels: what sets call the type, in Chinese; the first is its name in prompts."""

    group: str
    labels: tuple[str, ...]


EVENTS = {
    "earnings_decline": Event("results", ("业绩下滑",)),
    "rating_change": Event("results", ("评级调整",)),
    "ownership_change": Event("control", ("实控人股东变更",)),
    "executive_gone": Event("control", ("不能履职",)),
    "restructuring_failed": Event("control", ("重组失败",)),
    "disclosure_breach": Event("conduct", ("信批违规",)),
    "trading_breach": Event("conduct", ("交易违规",)),
    "accounting_fraud": Event("conduct", ("财务造假",)),
    "unlawful": Event("conduct", ("涉嫌违法", "涉嫌欺诈", "高管负面")),
    "illegal_fundraising": Event("distress", ("涉嫌非法集资", "涉嫌传销")),
    "funds_at_risk": Event("distress", ("资金账户风险", "资产负面", "提现困难", "失联跑路", "歇业停业")),
    "product_trouble": Event("distress", ("产品违规", "投诉维权")),
}
OTHER = "other"  # read, and none of the types
OTHERS = ("其他", "公司股市异常")  # what sets call that
NAMES = (*EVENTS, OTHER)
GROUPS = tuple(dict.fromkeys(event.group for event in EVENTS.values()))
TYPES = {label: name for name, event in EVENTS.items() for label in event.labels} | dict.fromkeys(OTHERS, OTHER) | {name: name for name in NAMES}
