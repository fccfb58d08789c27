"""Every word of a report in English and Chinese: the English text is the key."""

from typing import Literal

Lang = Literal["en", "zh"]
ZH = {
    # the page
    "{first} to {last} · {sessions} sessions · against {name}": "{first} 至 {last} · {sessions} 个交易日 · 对比 {name}",
    "Returns are simulated, after all costs listed. A simulation is no promise and this page no investment advice.": (
        "收益为模拟结果，已扣除所列全部费用。模拟不构成承诺，本页不构成投资建议。"
    ),
    # tiles
    "Excess a year": "年化超额",
    "Information ratio": "信息比率",
    "Tracking error": "跟踪误差",
    "Worst excess drawdown": "超额最大回撤",
    "Months ahead": "月度胜率",
    "Best, worst month": "最好、最差月",
    "Return a year": "年化收益",
    "Benchmark a year": "基准年化",
    "Sharpe ratio": "夏普比率",
    "Turnover a year": "年换手",
    "Costs a year": "年费用",
    "Order value filled": "委托成交率",
    # performance
    "Net asset value": "净值",
    "what 1 became after costs, log scale": "扣费后 1 元的变化，对数坐标",
    "Account": "账户",
    "Price index, without dividends": "价格指数（不含分红）",
    "Excess": "超额",
    "account over benchmark, compounded": "账户相对基准，复利",
    "Excess, geometric": "几何超额",
    "Drawdown of the excess": "超额回撤",
    "Tracking": "跟踪",
    "over the last {window} sessions, a year": "近 {window} 个交易日滚动，年化",
    "Target {target}": "目标 {target}",
    "Excess by month": "月度超额",
    "geometric, the year at the right": "几何，右侧为全年",
    "Year": "年份",
    "By year": "分年",
    "returns of the year's sessions; costs of mean equity": "为当年各交易日的收益；费用相对平均权益",
    "Return": "收益",
    "Benchmark": "基准",
    "Excess drawdown": "超额回撤",
    "Turnover": "换手",
    "Costs": "费用",
    "Worst excess drawdowns": "最大的几次超额回撤",
    "of account over benchmark, compounded": "账户相对基准，复利",
    "The excess never fell below its high.": "超额从未低于前高。",
    "Depth": "幅度",
    "Start": "开始",
    "Trough": "谷底",
    "Recovered": "恢复",
    "not yet": "尚未",
    "Sessions below": "水下交易日",
    "Stress windows": "压力区间",
    "as far as the account covers them; returns of the window's sessions, not a year": "以账户覆盖的部分为限；为区间收益，未年化",
    "Window": "区间",
    "Sessions": "交易日",
    "Worst day's excess": "最差单日超额",
    "2015 crash": "2015 年股灾",
    "2016 circuit breaker": "2016 年熔断",
    "2017 large caps lead": "2017 年大盘股行情",
    "2018 bear market": "2018 年熊市",
    "2020 epidemic": "2020 年疫情",
    # where it came from
    "Where the excess came from": "超额从哪里来",
    "parts of the geometric excess of the whole account, linked over its sessions after Carino": "账户全期几何超额的各部分，按 Carino 方法跨期连接",
    "Where it came from, through time": "超额来源的累积",
    "the same parts, added up session by session": "同上，逐日累加",
    "Where it came from, by period": "分期超额来源",
    "each row linked over its own sessions, so that it adds up to its excess": "每行在自身区间内连接，合计等于该区间超额",
    "Industries and styles": "行业与风格",
    "what the largest of them made of the whole excess": "贡献最大的行业与风格",
    "About the parts": "关于归因",
    "Period": "区间",
    "Whole": "全期",
    "selection": "选股",
    "industry": "行业",
    "style": "风格",
    "timing": "成交时点",
    "unfilled": "未成交",
    "cash": "现金",
    "dividends": "分红",
    "index gap": "指数复制差",
    "cost": "费用",
    "excess": "超额",
    "Every session's parts are whole cents and add up to its excess of P&L over the benchmark's on the same equity: CNY {excess} in all.": (
        "每个交易日的各部分均为整分，合计等于当日损益减去同等权益下基准的损益：全期共 {excess} 元。"
    ),
    "The book is looked at as if its orders had been filled whole at the close before; timing is what the deal price made of that instead.": (
        "组合按委托在前一收盘全部成交来看；“成交时点”为实际成交价带来的差异。"
    ),
    "From the deal price to the close of their day the fills made CNY {after}, which lies inside the other parts.": (
        "成交价至当日收盘，当日成交共盈亏 {after} 元，已包含在其他部分之内。"
    ),
    "Dividends are inside the adjusted prices, so their part is zero.": "复权价格已包含分红，故分红部分为零。",
    "The index's members are unknown on {unknown} sessions; there, selection is all that the stocks made.": (
        "有 {unknown} 个交易日不知道指数成分，这些日子股票的全部贡献计入选股。"
    ),
    # scores
    "Rank IC": "Rank IC",
    "of each session's scores with the returns of the next {horizon} sessions: mean {mean}, ICIR {icir}, above zero in {share}": (
        "当日得分与其后 {horizon} 个交易日收益：均值 {mean}，ICIR {icir}，{share} 大于零"
    ),
    "IC": "IC",
    "Mean of {window} sessions": "{window} 日均值",
    "Sum, at the right": "累计（右轴）",
    "Decay": "衰减",
    "mean rank IC by horizon": "各持有期的平均 Rank IC",
    "sessions ahead": "向前交易日",
    "Quantiles": "分组收益",
    "mean excess return a year, before costs": "年化平均超额，未扣费",
    "quantile of the score, worst to best": "得分分组，由差到好",
    # exposures
    "Style exposures": "风格暴露",
    "of the book beyond the index, in deviations of its members; cash counts as the index": "组合相对指数，以成分股标准差计；现金视同指数",
    "{name}: unknown": "{name}：未知",
    "{name} {last}, mean {mean}": "{name} {last}，均值 {mean}",
    " · {coverage} of the book covered": " · 覆盖组合的 {coverage}",
    "Industries": "行业",
    "active weight at the last close, ◆ mean": "最后收盘的主动权重，◆ 为均值",
    "; active share {last}, mean {mean}": "；主动份额 {last}，均值 {mean}",
    "Industries through time": "行业暴露的变化",
    "active weight at each month's last close: red above, blue below the index": "各月末主动权重：红为超配，蓝为低配",
    "About the exposures": "关于暴露",
    "The index stands at its latest published weights, moved by prices since.": "指数采用最近公布的权重，并随价格漂移。",
    "Industries are hindsight: a later snapshot laid over the past. They describe; Kestrel's models never read them.": (
        "行业为事后快照，套用于过去，仅作描述；Kestrel 的模型从不读取。"
    ),
    "active": "主动",
    "last close": "最后收盘",
    "mean": "均值",
    "unknown": "未知",
    "Size": "市值",
    "Value": "价值",
    "Momentum": "动量",
    "Volatility": "波动",
    "Beta": "贝塔",
    # trading
    "by month, one way": "按月，单边",
    "by month and kind, of equity": "按月与种类，占权益",
    "commission": "佣金",
    "stamp duty": "印花税",
    "transfer fee": "过户费",
    "slippage": "滑点",
    "impact": "冲击成本",
    "dividend tax": "红利税",
    "Book": "持仓",
    "names held, and cash as part of equity": "持有只数，以及现金占权益之比",
    "Names held": "持有只数",
    "Cash": "现金",
    "Not filled": "未成交",
    "part of the value ordered in the quarter, by reason": "占当季委托金额之比，按原因",
    "Fills and rejections": "成交与拒绝",
    "CNY, shares at the close of their session; what is left unfilled is of the value ordered on that side": (
        "单位元，股数按当日收盘价计；未成交部分相对同方向委托金额"
    ),
    "Side": "方向",
    "What became of it": "结果",
    "Orders": "委托数",
    "Ordered": "委托金额",
    "Filled": "成交金额",
    "Left unfilled": "未成交",
    "Nothing was ordered.": "没有委托。",
    "sell": "卖出",
    "buy": "买入",
    "filled": "全部成交",
    "suspended": "停牌",
    "limit up": "涨停",
    "limit down": "跌停",
    "no cash": "现金不足",
    "below lot": "不足一手",
    "t+1": "T+1 不可卖",
    "volume": "成交量不足",
    "Capacity": "容量",
    "net excess a year by what the account starts with, the same scores and rules": "不同起始资金下的年化净超额，得分与规则相同",
    "Size costs nothing here beyond lots and minimum fees: no market impact was simulated.": "未模拟市场冲击，规模除整手与最低佣金外不产生成本。",
    "Excess a year, net": "年化净超额",
    "Cash not invested": "未投出的现金",
    "CNY": "元",
    # next session and small print
    "Orders for {session}": "{session} 的委托",
    "Orders of the next session": "下一交易日的委托",
    "The strategy leaves the book as it is.": "策略不调整持仓。",
    "{sells} sells of CNY {sold}, {buys} buys of CNY {bought}: {turnover} turnover.": (
        "卖出 {sells} 笔共 {sold} 元，买入 {buys} 笔共 {bought} 元：换手 {turnover}。"
    ),
    "{stock}, if trading resumes": "{stock}（若复牌）",
    "Stock": "股票",
    "Shares": "股数",
    "Reference price": "参考价",
    "Amount": "金额",
    "Of equity": "占权益",
    "Left out": "未下单",
    "wanted, and why it isn't ordered": "想买卖而未下单的原因",
    "Reason": "原因",
    "Largest holdings on {day}": "{day} 最大持仓",
    "{count} names in all": "共 {count} 只",
    "Price": "价格",
    "Weight": "权重",
    "Nothing is held.": "没有持仓。",
    "All figures": "全部指标",
    "fractions, CNY, a year where it applies": "小数、元，可年化者已年化",
    "What was assumed": "假设",
    "signal": "信号",
    "limits": "涨跌停",
    "lots": "整手",
    "delisted": "退市",
    "costs": "费用",
    "run": "运行",
    "model": "模型",
    "scores": "得分",
    "prices": "价格",
    # a sweep
    "{count} configurations over {sessions} sessions, {first} to {last}": "{first} 至 {last}，{sessions} 个交易日，共 {count} 组参数",
    "A configuration that won a sweep is the luckiest of its kind until other dates confirm it.": (
        "在扫描中胜出的参数，在其他日期得到证实之前，只是同类中最幸运的一组。"
    ),
    "Best information ratio": "最高信息比率",
    "Its excess a year": "其年化超额",
    "Deflated Sharpe ratio": "紧缩夏普比率",
    "Chance that it is overfitted": "过拟合概率",
    "Independent tries": "等效独立尝试",
    "Median information ratio": "信息比率中位数",
    "How much of the best is luck": "最优有多少是运气",
    "Mean over all else that was tried": "对其余参数取平均",
    "{measure}: {y} × {x}": "{measure}：{y} × {x}",
    "Best ten": "前十组",
    "by information ratio, after costs": "按信息比率，扣费后",
    "Rank of the best in the other half": "最优者在另一半样本中的名次",
    "logit of its relative rank over {splits} splits; at or below 0 it is in the worse half": (
        "{splits} 次划分的相对名次 logit；不大于 0 即落在较差的一半"
    ),
    "Splits": "划分数",
    "The best of {count} configurations, worth {trials} independent tries, has a deflated Sharpe ratio of {deflated}: {verdict}": (
        "{count} 组参数（约合 {trials} 次独立尝试）中最优者的紧缩夏普为 {deflated}：{verdict}"
    ),
    "above .95, what luck alone would hardly give.": "高于 0.95，仅凭运气难以得到。",
    "below .95, so luck alone may have given it.": "低于 0.95，可能只是运气。",
    "Chosen on one half of the sessions, the best is in the worse half of all on the other in {probability} of {splits} splits.": (
        "用一半样本选出的最优者，在另一半样本中有 {probability} 的划分（共 {splits} 次）落入较差的一半。"
    ),
    "names held": "持有只数",
    "buffer, × names": "缓冲倍数",
    "sessions between looks": "调仓间隔（日）",
    "costs, × the desk's": "费用倍数",
    "capital, CNY": "资金（元）",
}


class Words:
    """The labels of one language."""

    def __init__(self, lang: Lang = "en") -> None:
        self.lang = lang

    def __call__(self, text: str, **values: object) -> str:
        """A label of this package; raises KeyError where the dictionary lacks it."""
        chosen = text if self.lang == "en" else ZH[text]
        return chosen.format(**values) if values else chosen

    def known(self, text: str) -> str:
        """A text from elsewhere: translated where the dictionary has it, else as it is."""
        return ZH.get(text, text) if self.lang == "zh" else text

    def months(self) -> tuple[str, ...]:
        """The months' names."""
        english = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
        return english if self.lang == "en" else tuple(f"{month}月" for month in range(1, 13))


ENGLISH = Words("en")
