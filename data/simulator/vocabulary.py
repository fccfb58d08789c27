"""Names of simulated companies and industries: a lunar mansion, a heavenly stem and a trade, so that no real company is meant."""

import numpy as np

MANSIONS = "角亢氐房心尾箕斗牛女虚危室壁奎娄胃昴毕觜参井鬼柳星张翼轸"
STEMS = "甲乙丙丁戊己庚辛壬癸"

# name, share of stocks (unnormalised), words in company names
INDUSTRIES: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("石油石化", 1.0, ("石化", "油服")),
    ("煤炭", 0.8, ("煤业", "能源")),
    ("有色金属", 2.5, ("铜业", "锂业", "稀土")),
    ("电力及公用事业", 3.5, ("电力", "水务", "燃气")),
    ("钢铁", 1.0, ("钢铁", "特钢")),
    ("基础化工", 8.0, ("化工", "化学", "新材")),
    ("建筑", 3.0, ("建工", "路桥")),
    ("建材", 2.0, ("水泥", "建材")),
    ("轻工制造", 3.5, ("纸业", "家居")),
    ("机械", 11.0, ("重工", "机械", "机床", "装备")),
    ("电力设备", 6.0, ("电气", "储能", "电缆")),
    ("国防军工", 2.0, ("航空", "航天")),
    ("汽车", 5.0, ("汽车", "汽配", "轮胎")),
    ("商贸零售", 2.5, ("百货", "商贸")),
    ("消费者服务", 1.2, ("旅游", "酒店")),
    ("家电", 1.8, ("电器", "厨电")),
    ("纺织服装", 2.3, ("纺织", "服饰")),
    ("医药", 9.5, ("医药", "制药", "生物", "医疗")),
    ("食品饮料", 2.8, ("食品", "酒业", "乳业")),
    ("农林牧渔", 2.0, ("农业", "种业", "牧业")),
    ("银行", 0.9, ("银行",)),
    ("非银金融", 1.6, ("证券", "信托")),
    ("房地产", 2.4, ("地产", "置业")),
    ("交通运输", 2.6, ("港口", "物流", "高速")),
    ("电子", 9.5, ("电子", "光电", "半导体")),
    ("通信", 2.6, ("通信", "光缆")),
    ("计算机", 6.5, ("软件", "信息", "智能")),
    ("传媒", 2.8, ("传媒", "影视", "游戏")),
    ("综合", 0.8, ("控股", "实业")),
)


def industry_shares() -> np.ndarray:
    """Fraction of all stocks in each industry, [I]."""
    weights = np.array([share for _, share, _ in INDUSTRIES])
    return weights / weights.sum()


def company_names(industries: np.ndarray, rng: np.random.Generator) -> list[str]:
    """A different name for each stock.  industries: [N] place in INDUSTRIES."""
    prefixes = [mansion + stem for mansion in MANSIONS for stem in STEMS]
    names = [""] * len(industries)
    for industry, (_, _, words) in enumerate(INDUSTRIES):
        stocks = np.flatnonzero(industries == industry)
        choices = rng.permutation(len(prefixes) * len(words))
        for stock, choice in zip(stocks, choices, strict=False):
            names[stock] = prefixes[choice // len(words)] + words[choice % len(words)]
    return names
