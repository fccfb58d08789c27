"""The wheel, built and installed into a clean environment, runs from an empty folder with all the files it needs."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


CLEAN = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with nothing of the project in it but the wheel; the dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, env=CLEAN)
    wheel, home = next(folder.glob("kestrel-*.whl")), folder / "env"
    venv.create(home, with_pip=True)
    install = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True, env=CLEAN)
    (site(home) / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return home


def site(home: Path) -> Path:
    """Where an environment's packages lie."""
    return Path(sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)})["purelib"])


def run(home: Path, folder: Path, *words: str) -> str:
    """What `kestrel …` of the environment says in a folder."""
    return subprocess.run([home / "bin" / "kestrel", *words], check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=CLEAN).stdout


@pytest.mark.slow
def test_the_wheel_runs_in_a_clean_environment(home: Path, tmp_path: Path) -> None:
    asked = [home / "bin" / "python", "-c", "import data; print(data.__file__)"]
    assert subprocess.run(asked, check=True, capture_output=True, text=True, cwd=tmp_path, env=CLEAN).stdout.startswith(str(home))
    assert "kestrel" in run(home, tmp_path, "--version")
    assert "bars" in run(home, tmp_path, "data", "simulate", "--stocks", "60", "--years", "1")
    assert "reversal_20" in run(home, tmp_path, "factors", "list")
    assert (site(home) / "data" / "rules.toml").is_file()
    assert (site(home) / "backtest" / "report" / "report.css").is_file()


@pytest.mark.slow
def test_the_wheel_runs_the_demo_from_an_empty_folder(home: Path, tmp_path: Path) -> None:
    assert "information ratio" in run(home, tmp_path, "demo", "--stocks", "100")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo"]
    for pattern in ("signals/*/orders.csv", "runs/backtest-*/*/report.html", "runs/mlflow.db"):
        assert list((tmp_path / "demo").glob(pattern)), pattern
