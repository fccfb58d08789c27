"""Chinese news titles with a planted tone.

Words alone mislead on purpose: losses narrow, growth disappoints, bad rumours are denied, good plans are called off.  A
template's number runs with the piece's intensity, and so does its tone, so that reading the number helps too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.events import OTHER


class Template(NamedTuple):
    """A title, its tone at intensity 0 and 1, and its event (data/events.py).  {x} is a number from first to last, {other} another company."""

    text: str
    low: float
    high: float
    first: float = 0.0
    last: float = 0.0
    weight: float = 1.0
    event: str = OTHER

    @property
    def names_two(self) -> bool:
        """Does it name another company, which shares the tone?"""
        return "{other}" in self.text


PERIODS = ("一季度", "上半年", "前三季度", "全年", "三季度", "年度")
GOODS = ("新能源项目", "智能制造基地", "创新药", "芯片产线", "储能电站", "数据中心", "高端材料项目", "海外工厂")
BODIES = ("交易所", "证监局", "税务部门", "法院", "行业协会")
LEADS = ("{name}：", "{name}公告，", "{name}", "【{name}】", "快讯：{name}", "{name}（{code}）", "{name}晚间披露：", "据悉，{name}")
TAILS = ("", "", "", "", "", "，公司回应", "（更新）", "，详情见公告", "，市场关注", "！")
SOURCES = ("模拟财经", "模拟快讯", "模拟公告", "模拟证券报")

TEMPLATES = (
    # results: the plain ones
    Template("{period}净利润同比增长{x:.1f}%", 0.15, 0.95, 3, 240, 3.0),
    Template("{period}净利润同比下降{x:.1f}%", -0.15, -0.95, 3, 95, 3.0, event="earnings_decline"),
    Template("预计{period}盈利{x:.2f}亿元，同比扭亏为盈", 0.4, 0.9, 0.2, 9, 1.0),
    Template("预计{period}亏损{x:.2f}亿元", -0.5, -1.0, 0.2, 9, 1.5, event="earnings_decline"),
    Template("{period}营业收入{x:.2f}亿元，与上年基本持平", -0.05, 0.05, 3, 90, 1.5),
    Template("上调{period}业绩预告，净利增幅升至{x:.0f}%", 0.5, 1.0, 20, 200, 0.8),
    Template("下修{period}业绩预告，净利增幅降至{x:.0f}%", -0.9, -0.5, 1, 60, 0.8, event="earnings_decline"),
    # results: words against sense
    Template("{period}亏损收窄{x:.0f}%，主营毛利率回升", 0.2, 0.7, 10, 90, 1.0),
    Template("{period}净利降幅收窄至{x:.1f}%，好于此前预期", 0.5, 0.2, 1, 30, 1.0),
    Template("{period}净利增长{x:.1f}%，但低于市场预期，增速创三年新低", -0.4, -0.2, 1, 25, 1.0, event="earnings_decline"),
    Template("{period}营收大增{x:.0f}%，扣非净利润却由盈转亏", -0.5, -0.7, 20, 90, 0.8, event="earnings_decline"),
    Template("增长主要来自政府补助，{period}扣非后仍亏损{x:.2f}亿元", -0.4, -0.8, 0.1, 5, 0.7, event="earnings_decline"),
    Template("计提减值{x:.2f}亿元后轻装上阵，{period}现金流转正", 0.3, 0.1, 0.5, 9, 0.6),
    # orders and projects
    Template("中标{x:.2f}亿元{good}", 0.3, 0.9, 0.5, 40, 1.5),
    Template("未能中标{good}，影响收入约{x:.2f}亿元", -0.2, -0.6, 0.5, 10, 0.6),
    Template("签署{x:.1f}亿元{good}合作框架协议", 0.15, 0.5, 1, 80, 1.2),
    Template("与{other}终止{good}合作，涉及金额{x:.1f}亿元", -0.2, -0.7, 1, 30, 0.6),
    Template("与{other}就{good}达成战略合作，首期投入{x:.1f}亿元", 0.2, 0.6, 1, 30, 0.8),
    Template("与{other}的{good}合同纠纷达成和解，获赔{x:.2f}亿元", 0.2, 0.5, 0.1, 5, 0.4),
    Template("{good}投产，预计年新增产值{x:.1f}亿元", 0.2, 0.7, 1, 50, 1.0),
    Template("{good}延期{x:.0f}个月投产", -0.2, -0.6, 3, 24, 0.7),
    Template("{good}获批时间早于计划{x:.0f}个月", 0.3, 0.6, 1, 12, 0.5),
    # shareholders
    Template("控股股东拟增持公司股份不低于{x:.1f}%", 0.2, 0.7, 0.2, 3, 1.0),
    Template("股东拟减持不超过{x:.1f}%股份", -0.2, -0.7, 0.5, 6, 2.0),
    Template("股东提前终止减持计划，剩余{x:.1f}%不再减持", 0.2, 0.6, 0.3, 4, 0.8),
    Template("增持计划期限届满，实际增持仅为下限的{x:.0f}%", -0.7, -0.3, 1, 60, 0.6),
    Template("拟以{x:.1f}亿元回购股份并注销", 0.3, 0.8, 0.3, 20, 1.0),
    Template("终止股份回购，已回购金额不足计划的{x:.0f}%", -0.7, -0.3, 3, 60, 0.6),
    Template("控股股东解除质押，质押比例降至{x:.0f}%", 0.4, 0.1, 5, 70, 0.7),
    Template("控股股东新增质押，累计质押比例达{x:.0f}%", -0.1, -0.6, 40, 99, 0.9),
    Template("控股股东所持{x:.1f}%股份被司法冻结", -0.4, -0.9, 2, 40, 0.7, event="funds_at_risk"),
    Template("员工持股计划完成买入{x:.2f}%股份", 0.1, 0.4, 0.2, 3, 0.7),
    # dividends
    Template("拟每10股派现{x:.2f}元", 0.1, 0.6, 0.3, 20, 1.2),
    Template("分红方案低于往年，每10股仅派{x:.2f}元", -0.5, -0.2, 0.05, 1, 0.6),
    Template("尽管盈利，{period}拟不进行利润分配", -0.3, -0.3, 0, 0, 0.5),
    # supervision
    Template("收到{body}立案告知书", -0.8, -0.8, 0, 0, 0.8, event="unlawful"),
    Template("否认被{body}调查的传闻，称经营一切正常", 0.15, 0.15, 0, 0, 0.7),
    Template("{body}调查结案，未发现违规", 0.5, 0.5, 0, 0, 0.5),
    Template("因信息披露违规收到{body}警示函", -0.5, -0.5, 0, 0, 1.0, event="disclosure_breach"),
    Template("重大诉讼胜诉，免于赔偿{x:.2f}亿元", 0.2, 0.6, 0.1, 8, 0.5),
    Template("一审败诉，被判赔偿{x:.2f}亿元", -0.3, -0.8, 0.1, 8, 0.6),
    Template("申请撤销退市风险警示", 0.5, 0.5, 0, 0, 0.3),
    Template("产品抽检不合格的报道与事实不符", 0.05, 0.05, 0, 0, 0.4),
    Template("召回问题产品{x:.1f}万件", -0.3, -0.8, 0.1, 30, 0.4, event="product_trouble"),
    # mergers
    Template("筹划收购{other}部分资产，作价{x:.1f}亿元", 0.1, 0.4, 1, 50, 0.7),
    Template("终止重大资产重组", -0.6, -0.6, 0, 0, 0.7, event="restructuring_failed"),
    Template("终止高溢价收购，避免商誉风险约{x:.1f}亿元", 0.2, 0.5, 1, 20, 0.5),
    Template("重组方案获通过，拟注入资产{x:.1f}亿元", 0.4, 0.8, 2, 90, 0.5),
    # nothing
    Template("将于近期召开股东大会", 0.0, 0.0, 0, 0, 2.0),
    Template("接待{x:.0f}家机构调研", 0.0, 0.15, 3, 200, 1.5),
    Template("聘任新任董事会秘书", 0.0, 0.0, 0, 0, 1.0),
    Template("更正{period}报告部分文字，财务数据不变", 0.0, 0.0, 0, 0, 0.8),
    Template("股价异动，公司称无应披露未披露信息", 0.0, 0.0, 0, 0, 1.2),
    Template("与{other}同获纳入行业白名单", 0.1, 0.1, 0, 0, 0.4),
    Template("变更注册地址并完成工商登记", 0.0, 0.0, 0, 0, 0.8),
)


def titles(
    template: NDArray[np.int64],
    intensity: NDArray[np.float64],
    names: Sequence[str],
    codes: Sequence[str],
    others: Sequence[str],
    rng: np.random.Generator,
) -> list[str]:
    """Set the titles of the pieces, all arguments of equal length; wording beyond the template is drawn and means nothing."""
    count = len(template)
    sizes = (len(LEADS), len(TAILS), len(PERIODS), len(GOODS), len(BODIES))
    choices = (rng.random((count, len(sizes))) * np.array(sizes)).astype(np.int64).tolist()
    found = []
    for place, level, name, code, other, (lead, tail, period, good, body) in zip(
        template.tolist(), intensity.tolist(), names, codes, others, choices, strict=True
    ):
        kind = TEMPLATES[place]
        text = kind.text.format(
            x=kind.first + (kind.last - kind.first) * level, other=other, period=PERIODS[period], good=GOODS[good], body=BODIES[body]
        )
        found.append(LEADS[lead].format(name=name, code=code) + text + TAILS[tail])
    return found
