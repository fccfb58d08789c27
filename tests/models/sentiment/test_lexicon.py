"""Words with negation, and pieces that say the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sentiment.answers import Answer, News
from models.sentiment.duplicates import leaders
from models.sentiment.lexicon import Lexicon, spread


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("净利润同比增长20%", 1),
        ("净利润同比下降20%", -1),
        ("公司否认被调查", 1),
        ("未获批准", -1),
        ("亏损收窄", 1),
        ("增长放缓", -1),
        ("召开股东大会", 0),
        ("撤销退市风险警示", 1),
    ],
)
def test_words_count_and_negations_and_turns_reverse_them(text: str, sign: int) -> None:
    tone = Lexicon().tone(text)
    assert (tone > 0) - (tone < 0) == sign


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("预计全年预亏3亿元", "earnings_decline"),
        ("否认财务造假", "other"),
        ("收到警示函：未及时披露关联交易", "disclosure_breach"),
        ("终止重大资产重组，董事长辞职", "restructuring_failed"),
        ("召开股东大会", "other"),
    ],
)
def test_the_first_event_that_isn_t_denied_is_told(text: str, event: str) -> None:
    assert Lexicon().event(text) == event
    answer = Lexicon().score([News("a", "600000.SH", "公司", text)])[0]
    assert isinstance(answer, Answer)
    assert answer.event == event


@given(st.floats(-1, 1))
def test_a_score_is_spread_over_its_two_neighbours_without_changing_it(score: float) -> None:
    answer = Answer(spread(score))
    assert answer.score == pytest.approx(score, abs=1e-12)
    assert sum(answer.probabilities) == pytest.approx(1)
    assert sum(p > 0 for p in answer.probabilities) <= 2


def news(*texts: str, symbol: str = "600000.SH") -> list[News]:
    return [News(str(place), symbol, "公司", text) for place, text in enumerate(texts)]


LONG = "公司公告称其全资子公司与当地政府签署投资协议，计划在未来三年内建设高端装备制造基地并配套建设研发中心"


def test_a_piece_printed_again_with_other_signs_joins_the_first() -> None:
    assert leaders(news(LONG, "召开股东大会", LONG.replace("，", " ") + "。"), 0.9) == [0, 1, 0]


def test_pieces_that_differ_in_a_number_a_word_or_the_company_stay_apart() -> None:
    assert leaders(news(LONG + "，投资3亿元", LONG + "，投资8亿元"), 0.5) == [0, 1]
    assert leaders(news(LONG + "，大股东增持", LONG + "，大股东减持"), 0.5) == [0, 1]
    assert leaders([*news(LONG), *news(LONG, symbol="600001.SH")], 0.5) == [0, 1]


def test_a_threshold_of_one_wants_the_same_grams() -> None:
    assert leaders(news(LONG, LONG + "等"), 1.0) == [0, 1]
    assert leaders(news(LONG, LONG + "等"), 0.9) == [0, 0]


@given(st.lists(st.sampled_from([LONG, LONG + "等", LONG[:-4], "净利增长2%", "净利增长3%", ""]), max_size=8), st.text(max_size=20))
def test_later_news_changes_no_earlier_group(texts: list[str], later: str) -> None:
    before = leaders(news(*texts), 0.9)
    assert leaders(news(*texts, later), 0.9)[: len(texts)] == before
    assert all(before[leader] == leader <= place for place, leader in enumerate(before))
