import ast
import re
from pathlib import Path

import pytest

import backtest.report.labels as labels
from backtest.report.labels import ZH, Words

FOLDER = Path(labels.__file__).parent
HOLES = re.compile(r"{(\w+)}")


def said() -> set[str]:
    """Every text that the code of the report, and of the page of two runs, hands to `say`."""
    found = set()
    for path in [*FOLDER.glob("*.py"), FOLDER.parents[1] / "pipelines" / "facing.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    found.add(first.value)
    return found


def test_every_label_that_the_code_says_is_in_the_dictionary():
    assert len(said()) > 100
    assert said() - set(ZH) == set()


def test_every_label_is_somewhere_in_the_code():
    code = "\n".join(path.read_text(encoding="utf-8") for path in FOLDER.parent.rglob("*.py") if path.name != "labels.py")
    elsewhere = ("active", "run", "model", "scores", "prices", "costs", "impact", "dividend tax", "volume")  # of facts, and of costs to come
    words = (FOLDER.parents[1] / "pipelines" / "explain.py").read_text(encoding="utf-8") + code.replace("_", " ") + code
    pages = "".join((FOLDER.parents[1] / "pipelines" / f"{name}.py").read_text(encoding="utf-8") for name in ("prepare", "facing", "contrast"))
    known = words + pages
    assert [text for text in ZH if text not in known and text not in elsewhere] == []


def test_chinese_labels_have_the_blanks_of_the_english_ones():
    assert {text: chinese for text, chinese in ZH.items() if set(HOLES.findall(text)) != set(HOLES.findall(chinese))} == {}
    assert all(re.search("[一-鿿]", chinese) for text, chinese in ZH.items() if text not in ("Rank IC", "IC", "{measure}: {y} × {x}"))


def test_unknown_label_is_an_error_in_chinese_and_a_text_from_elsewhere_is_not():
    with pytest.raises(KeyError):
        Words("zh")("No such label")
    assert Words("zh").known("600519.SH") == "600519.SH"
    assert Words("zh").known("cash") == "现金"
    assert Words().known("cash") == "cash"
    assert Words("zh")("Target {target}", target="5%") == "目标 5%"
