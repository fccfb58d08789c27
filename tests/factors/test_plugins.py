"""Users' own modules join the library, or fail with one message."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner

from data.errors import KestrelError
from factors import plugins, registry
from factors.plugins import extend
from factors.registry import library
from pipelines.cli import main

MINE = """
from factors.operators import cs_rank, returns
from factors.registry import factor

@factor("mine")
def weekly_reversal():
    \"\"\"Rank of the week's loss.\"\"\"
    return -cs_rank(returns(5))
"""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A working folder of its own, and a registry that forgets."""
    library()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    plugins._installed.cache_clear()
    yield
    plugins._installed.cache_clear()


def test_a_module_in_the_working_folder_joins_the_library(tmp_path: Path) -> None:
    (tmp_path / "my_factors_a.py").write_text(MINE)
    extend(["my_factors_a"])
    assert library()["weekly_reversal"].family == "mine"


def test_a_factor_of_the_configs_modules_is_shown(tmp_path: Path) -> None:
    (tmp_path / "my_factors_b.py").write_text(MINE.replace("weekly_reversal", "week_lost"))
    (tmp_path / "kestrel.toml").write_text('[factors]\nmodules = ["my_factors_b"]\n')
    shown = CliRunner().invoke(main, ["factors", "show", "week_lost"])
    assert shown.exit_code == 0, shown.output
    assert "Rank of the week's loss." in shown.output


def test_no_folder_here_hides_a_package_of_kestrel(tmp_path: Path) -> None:
    (tmp_path / "factors").mkdir()
    (tmp_path / "factors" / "momentum.py").write_text("raise RuntimeError('the wrong one')")
    extend(["factors.momentum"])
    assert "momentum_12_1" in library()


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(KestrelError, match="my_factors_nowhere can't be imported"):
        extend(["my_factors_nowhere"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import factors\nfactors.nothing()", "AttributeError.*line 2"),
        ("x = 1\ny = (", "isn't Python.*line 2"),
        ("import no_such_package", "no_such_package'\\.$"),
        ("import sys\nsys.exit(3)", "SystemExit: 3.*line 2"),
        (MINE.replace("-cs_rank(returns(5))", "column('close')").replace("cs_rank, returns", "column"), "price level"),
        (MINE.replace("weekly_reversal", "reversal_20"), "exists already"),
    ],
    ids=["a bug", "no Python", "a package missing", "an exit", "a look ahead", "a name taken"],
)
def test_a_module_that_fails_says_where(text: str, said: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    name = f"my_factors_{request.node.callspec.id.replace(' ', '_')}"
    (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(KestrelError, match=f"factors.modules: {name}.*{said}"):
        extend([name])


def test_an_installed_package_offers_its_factors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "offered_factors.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)  # as installed packages are
    monkeypatch.setattr(plugins, "entry_points", lambda group: [EntryPoint("offer", "offered_factors", group)])
    extend([])
    assert "weekly_reversal" in library()
