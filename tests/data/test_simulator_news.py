"""The tone of simulated news: a list of words doesn't find it, a linear model that learns from titles does."""

from datetime import date
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from data.simulator import SimulationSettings
from data.simulator.simulation import span
from data.simulator.streams import streams
from data.simulator.titles import TEMPLATES, titles
from data.simulator.universe import universe
from data.simulator.wire import Wire, wire

# exchange_calendars still reads Series.values of a zoned index, which pandas 3.1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning an ndarray")

Floats = NDArray[np.float64]

# what a reader of Chinese company news would put down first
GOOD = [
    "增长", "大增", "增幅", "盈利", "扭亏", "上调", "回升", "转正", "好于", "中标", "签署", "合作", "达成", "投产", "获批", "增持", "回购",
    "解除", "派现", "分红", "胜诉", "获赔", "通过", "和解", "注入", "收购",
]  # fmt: skip
BAD = [
    "下降", "降幅", "亏损", "下修", "低于", "新低", "转亏", "减值", "未能", "终止", "延期", "减持", "质押", "冻结", "不进行", "立案", "调查",
    "警示", "处罚", "败诉", "被判", "召回", "不合格", "风险", "纠纷", "诉讼",
]  # fmt: skip
BUCKETS = 1024
TONED = 0.1  # pieces with less tone have no sign to speak of


@pytest.fixture(scope="module")
def pieces() -> tuple[Wire, list[str]]:
    """Some thousand pieces of news in the sequence of their publication, and their titles."""
    settings = SimulationSettings(stocks=150, members=80, years=2, end=date(2023, 12, 29), news=0.06)
    parts = streams(settings.seed)
    _, days = span(settings)
    stocks = universe(settings, days, parts["universe"])
    found = wire(settings, stocks, days, parts["wire"])
    names, codes = (np.array(column, dtype=object) for column in (stocks.names, [symbol[:6] for symbol in stocks.symbols]))
    about, second = found.stock, found.second
    text = titles(found.template, found.intensity, names[about].tolist(), codes[about].tolist(), names[second].tolist(), parts["titles"])
    return found, text


def lexicon(text: list[str]) -> Floats:
    """Good words less bad words of each title."""
    return np.array([sum(word in title for word in GOOD) - sum(word in title for word in BAD) for title in text], dtype=float)


def ngrams(text: list[str]) -> Floats:
    """Which characters, pairs and triples a title has, hashed, each title of length 1.  [P, BUCKETS]"""
    counts = np.zeros((len(text), BUCKETS))
    for place, title in enumerate(text):
        parts = {title[start : start + size] for size in (1, 2, 3) for start in range(len(title) - size + 1)}
        np.add.at(counts[place], [crc32(part.encode()) % BUCKETS for part in parts], 1.0)
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def learned(text: list[str], tone: Floats, unseen: list[str]) -> Floats:
    """The tone of unseen titles by ridge regression on n-grams."""
    x, mean = ngrams(text), tone.mean()
    weights = np.linalg.solve(x.T @ x + np.eye(BUCKETS), x.T @ (tone - mean))
    return ngrams(unseen) @ weights + mean


def right(score: Floats, tone: Floats) -> float:
    """Share of the toned pieces whose sign the score has; a score of 0 is right half of the time."""
    toned = np.abs(tone) >= TONED
    return float(np.where(score == 0, 0.5, np.sign(score) == np.sign(tone))[toned].mean())


def test_a_lexicon_is_misled_and_a_linear_model_of_ngrams_is_not(pieces: tuple[Wire, list[str]]) -> None:
    found, text = pieces
    first = len(text) * 4 // 5  # the last fifth by time is unseen
    tone = found.tone[first:]
    by_words, by_ngrams = lexicon(text[first:]), learned(text[:first], found.tone[:first], text[first:])
    print(f"{len(tone)} titles; lexicon {right(by_words, tone):.3f}, correlation {np.corrcoef(by_words, tone)[0, 1]:.3f}; "
          f"n-grams {right(by_ngrams, tone):.3f}, correlation {np.corrcoef(by_ngrams, tone)[0, 1]:.3f}")  # fmt: skip
    assert 0.6 < right(by_words, tone) < 0.8
    assert right(by_ngrams, tone) > 0.97
    assert np.corrcoef(by_words, tone)[0, 1] < 0.7 < 0.9 < np.corrcoef(by_ngrams, tone)[0, 1]


def test_words_do_not_carry_over_to_templates_never_seen(pieces: tuple[Wire, list[str]]) -> None:
    """Most templates have a twin of nearly the same words and the opposite sense: who knows one of them guesses the other wrong."""
    found, text = pieces
    unseen = (found.template % 4 == 0).tolist()
    known, rest = ([title for title, new in zip(text, unseen, strict=True) if new is which] for which in (False, True))
    score, tone = learned(known, found.tone[np.invert(unseen)], rest), found.tone[unseen]
    print(f"{len(rest)} titles of unseen templates; n-grams {right(score, tone):.3f}, correlation {np.corrcoef(score, tone)[0, 1]:.3f}")
    assert right(score, tone) < 0.6


def test_titles_seldom_repeat(pieces: tuple[Wire, list[str]]) -> None:
    found, text = pieces
    assert len(set(text)) > 0.9 * len(text)
    assert len(set(found.template.tolist())) == len(TEMPLATES)
    share = np.array([(found.tone > TONED).mean(), (found.tone < -TONED).mean()])
    assert (share > 0.25).all()
