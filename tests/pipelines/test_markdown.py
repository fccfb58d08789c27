"""What scripts write into documents goes between its marks and nowhere else."""

from pathlib import Path

import pytest

from data.errors import KestrelError
from pipelines.markdown import insert, interval, signed, spread, table


def test_a_table_has_a_column_for_every_title() -> None:
    assert table([{"a": "1"}, {"a": "2", "b": "3"}]) == "| a | b |\n| --- | --- |\n| 1 |  |\n| 2 | 3 |"


def test_numbers_get_real_minus_signs_and_words_keep_their_hyphens() -> None:
    assert signed("-1 | -0.5 (-2 … +3) ± -4, 5-session 2017-01 a-b --- -x") == "−1 | −0.5 (−2 … +3) ± −4, 5-session 2017-01 a-b --- -x"


def test_a_figure_stands_with_its_seeds_and_a_difference_with_its_interval() -> None:
    row = {"ic": 0.05, "ic_seeds": 0.041, "ic_sd": 0.002, "days": 3}
    assert spread(row, {"ic": ("IC", ".3f"), "days": ("days", "d")}) == {"IC": "0.050 (0.041 ± 0.002)", "days": "3"}
    assert interval({"rank_ic": 0.01, "low": -0.002, "high": 0.02}) == "+0.0100 (-0.0020 … +0.0200)"
    assert interval(None) == ""


def test_text_goes_between_its_marks_whatever_was_there(tmp_path: Path) -> None:
    document = tmp_path / "doc.md"
    document.write_text("one\n<!-- a: begin -->\nold\n<!-- a: end -->\ntwo\n<!-- b: begin -->\n<!-- b: end -->\n")
    for text in ("new", "newer"):
        insert(document, "a", text)
        assert document.read_text() == f"one\n<!-- a: begin -->\n{text}\n<!-- a: end -->\ntwo\n<!-- b: begin -->\n<!-- b: end -->\n"
    with pytest.raises(KestrelError, match=r"lacks the lines <!-- c: begin -->"):
        insert(document, "c", "x")
