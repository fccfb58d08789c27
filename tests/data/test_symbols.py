import polars as pl
import pytest

from data.errors import KestrelError
from data.symbols import BOARDS, board, board_expr, symbol


@pytest.mark.parametrize(
    "text",
    ["600000.SH", "600000.sh", "sh.600000", "SH600000", "sh600000", "600000.XSHG", "600000.SS", "SSE600000", "600000", " 600000 ", "600000_SH"],
)
def test_every_vendors_spelling_is_one_symbol(text: str) -> None:
    assert symbol(text) == "600000.SH"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sz.000001", "000001.SZ"),
        ("000001.XSHE", "000001.SZ"),
        ("SZ300750", "300750.SZ"),
        ("bj.430047", "430047.BJ"),
        ("920819.BSE", "920819.BJ"),
        ("835185.XBSE", "835185.BJ"),
        ("000905.SH", "000905.SH"),
    ],
)
def test_a_named_exchange_is_taken_at_its_word(text: str, expected: str) -> None:
    assert symbol(text) == expected


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("600519", "SH"),
        ("601318", "SH"),
        ("603259", "SH"),
        ("605499", "SH"),
        ("688981", "SH"),
        ("689009", "SH"),
        ("510500", "SH"),
        ("900901", "SH"),
        ("000001", "SZ"),
        ("001979", "SZ"),
        ("002594", "SZ"),
        ("003816", "SZ"),
        ("200002", "SZ"),
        ("300750", "SZ"),
        ("301236", "SZ"),
        ("430047", "BJ"),
        ("835185", "BJ"),
        ("838030", "BJ"),
        ("871981", "BJ"),
        ("889999", "BJ"),
        ("920819", "BJ"),
    ],
)
def test_bare_digits_go_to_the_exchange_of_their_prefix(digits: str, expected: str) -> None:
    assert symbol(digits) == f"{digits}.{expected}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "60000",
        "6000000",
        "AAPL",
        "600000.XX",
        "600000.HK",
        "SH600000.SH",
        "600000 000001",
        "600000,000001",
        "600000-01",
        "１２３４５６",
        "1.600000",
    ],
)
def test_what_is_no_a_share_code_is_refused_with_the_spellings_that_work(text: str) -> None:
    with pytest.raises(KestrelError, match=r"is not an A-share code\. Use 600000\.SH, sh\.600000"):
        symbol(text)


BOARD_OF = {
    "600000.SH": "main",
    "000001.SZ": "main",
    "002594.SZ": "main",
    "300750.SZ": "chinext",
    "301236.SZ": "chinext",
    "302132.SZ": "chinext",
    "688981.SH": "star",
    "689009.SH": "star",
    "430047.BJ": "bse",
    "920819.BJ": "bse",
}


def test_the_board_follows_from_the_symbol() -> None:
    assert {text: board(text) for text in BOARD_OF} == BOARD_OF
    assert set(BOARD_OF.values()) == set(BOARDS)


def test_boards_over_a_column_equal_boards_one_by_one() -> None:
    frame = pl.DataFrame({"symbol": list(BOARD_OF)})
    assert frame.select(board_expr()).to_series().to_list() == list(BOARD_OF.values())
