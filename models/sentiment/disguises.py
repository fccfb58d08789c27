"""News without what gives its company and its time away, under another company's name, or with nothing but name and date.

A model that was trained later may remember what became of a company.  What it says of masked news can't come from that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from models.sentiment.answers import News

COMPANY, PERSON, TIME, AMOUNT, CODE = "某公司", "某人", "某时", "若干", "某代码"
_CODES = re.compile(r"(?<!\d)(?:(?:sh|sz|bj)\.?)?[03689]\d{5}(?:\.(?:SH|SZ|BJ|XSHG|XSHE))?(?!\d)", re.IGNORECASE)
_TIMES = re.compile(
    r"(?:19|20)\d{2}\s*(?:年度?|[-/.]\d{1,2}(?:[-/.]\d{1,2})?)(?:\s*\d{1,2}\s*月)?(?:\s*\d{1,2}\s*日)?|\d{1,2}\s*月\s*\d{1,2}\s*日|\d{1,2}月份?|(?<!\d)\d{1,2}日"
)
_AMOUNTS = re.compile(
    r"(?:约|近|逾|超|超过|不超过?|不低于)?(?<![\d.])\d[\d,]*(?:\.\d+)?\s*(?:[万亿千百]+)?\s*(?:人民币|美元|港元|欧元|元|股|吨|台|套|辆|平方米|亩|户|人|张|[万亿])(?![%％])"
)
_OFFICES = "董事长|总经理|总裁|董秘|董事会秘书|财务总监|首席执行官|实际控制人|实控人|副总经理|副总裁|独立董事|董事|监事|创始人|股东"
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜"
    "崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_AFTER_OFFICE = "|".join(f"(?<={office})" for office in _OFFICES.split("|"))
# A surname and one or two characters after an office, up to a verb or a sign: 董事长王某某辞职.
_PEOPLE = re.compile(rf"(?:{_AFTER_OFFICE})[{_SURNAMES}][\u4e00-\u9fff]{{1,2}}(?=[^\u4e00-\u9fff]|[辞离被增减涉拟将因等和]|$)")


@dataclass(frozen=True)
class Names:
    """Short names of companies as of the news, longest first, in one pattern."""

    pattern: re.Pattern[str]

    @classmethod
    def of(cls, names: Sequence[str]) -> "Names":
        """A pattern for these names; those of one character would be found everywhere and are left out."""
        known = sorted({name for name in names if len(name) > 1}, key=lambda name: (-len(name), name))
        return cls(re.compile("|".join(map(re.escape, known)) or r"(?!)"))


def masked(piece: News, names: Names) -> News:
    """The piece without names of companies and people, codes, dates and absolute amounts; percentages stay, since they are what is new."""

    def mask(text: str) -> str:
        text = text.replace(piece.name, COMPANY) if piece.name else text
        text = names.pattern.sub(COMPANY, text)
        text = _CODES.sub(CODE, text)
        text = _TIMES.sub(TIME, text)
        text = _AMOUNTS.sub(AMOUNT, text)
        return _PEOPLE.sub(PERSON, text)

    return replace(piece, name=COMPANY, symbol="", title=mask(piece.title), body=mask(piece.body))


def swapped(piece: News, other: News) -> News:
    """The piece as if it were about the company of another one."""
    pairs = [(piece.name, other.name), (piece.symbol[:6], other.symbol[:6])]

    def swap(text: str) -> str:
        for ours, theirs in pairs:
            text = text.replace(ours, theirs) if ours and theirs else text
        return text

    return replace(piece, name=other.name, symbol=other.symbol, title=swap(piece.title), body=swap(piece.body))


def bare(piece: News, day: date) -> News:
    """Name and date, no news: who knows anything from that knows the future."""
    return replace(piece, title=f"{piece.name} {day.isoformat()}", body="")
