"""An audit catches a scorer that knows the future by name, and passes an honest one."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest

from models.sentiment.answers import Answer, Failure, News
from models.sentiment.audit import Verdict, audit, rank_correlation
from models.sentiment.disguises import Names, bare, masked, swapped
from models.sentiment.lexicon import Lexicon, spread

COUNT = 400
NAMES = [f"{one}{two}股份" for one in "东西南北上下前后左右" for two in "江海山河"]
RNG = np.random.default_rng(3)
TONES = RNG.choice([-1.0, 1.0], COUNT)
RETURNS = 0.01 * RNG.standard_normal(COUNT) + 0.004 * TONES  # news moves prices
DAYS = [date(2024, 1, 1) + timedelta(days=place // 4) for place in range(COUNT)]
NEWS = [
    News(str(place), f"6000{place % 40:02d}.SH", NAMES[place % 40], f"{NAMES[place % 40]}：净利润同比{'增长' if tone > 0 else '下降'}")
    for place, tone in enumerate(TONES)
]


class Prophet:
    """Honest where it can't tell the company; where it can, half of what it says is what will come."""

    name = "prophet"

    def score(self, news: Sequence[News]) -> list[Answer | Failure]:
        known = {piece.id: (piece.name, RETURNS[place]) for place, piece in enumerate(NEWS)}
        honest = Lexicon().score([News(piece.id, "", "", piece.title) for piece in news])
        found: list[Answer | Failure] = []
        for piece, answer in zip(news, honest, strict=True):
            name, later = known[piece.id]
            assert isinstance(answer, Answer)
            found.append(Answer(spread(0.5 * answer.score + 0.5 * float(np.tanh(100 * later)))) if name in piece.title else answer)
        return found


def verdict(scorer: object, cutoff: date | None = None) -> Verdict:
    return audit(scorer, NEWS, DAYS, RETURNS, names=Names.of(NAMES), cutoff=cutoff)  # type: ignore[arg-type]


def test_an_honest_scorer_passes_and_keeps_its_ic_behind_every_mask() -> None:
    found = verdict(Lexicon(), date(2024, 2, 15))
    rows = {row.what: row for row in found.rows}
    assert found.breaches == []
    assert rows["raw"].ic == rows["mask"].ic == rows["swap"].ic
    assert rows["raw"].low is not None
    assert rows["raw"].low > 0.1
    assert rows["probe"].ic == 0.0
    assert rows["raw less mask"].ic == 0.0
    assert rows["raw up to 2024-02-15"].n + rows["raw after 2024-02-15"].n == COUNT


def test_a_scorer_that_knows_the_future_by_name_is_caught_twice() -> None:
    found = verdict(Prophet())
    assert len(found.breaches) == 2
    assert "Names and dates alone" in found.breaches[0]
    assert "Masking takes" in found.breaches[1]
    assert verdict(Prophet()) == found


def test_too_few_pieces_have_no_ic() -> None:
    found = audit(Lexicon(), NEWS[:20], DAYS[:20], RETURNS[:20], names=Names.of(NAMES))
    assert all(row.ic is None for row in found.rows)
    assert found.breaches == []


def test_rank_correlation_shares_ranks_between_ties() -> None:
    assert rank_correlation(np.array([1.0, 2.0, 2.0, 3.0]), np.array([10.0, 20.0, 20.0, 30.0])) == pytest.approx(1.0)
    assert rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1.0)
    assert rank_correlation(np.zeros(3), np.array([3.0, 2.0, 1.0])) == 0.0


def test_a_mask_hides_names_people_codes_times_and_amounts_and_keeps_percentages() -> None:
    piece = News("a", "600000.SH", "浦发银行", "浦发银行（600000）2023年净利增长12.5%至367亿元，董事长王某某辞职，平安银行5月3日跟进")
    found = masked(piece, Names.of(["浦发银行", "平安银行"]))
    assert found.title == "某公司（某代码）某时净利增长12.5%至若干，董事长某人辞职，某公司某时跟进"
    assert (found.name, found.symbol, found.id) == ("某公司", "", "a")


def test_a_swap_tells_the_same_of_another_company_and_a_bare_piece_tells_nothing() -> None:
    piece, other = News("a", "600000.SH", "浦发银行", "浦发银行(600000)预亏"), News("b", "000001.SZ", "平安银行", "")
    assert swapped(piece, other) == News("a", "000001.SZ", "平安银行", "平安银行(000001)预亏")
    assert bare(piece, date(2024, 1, 2)) == News("a", "600000.SH", "浦发银行", "浦发银行 2024-01-02")
