"""The wheel, built and installed into a clean environment, runs from an empty folder with all the files it needs."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_wheel_runs_in_a_clean_environment(tmp_path: Path) -> None:
    clean_env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, env=clean_env)
    wheel = next(tmp_path.glob("kestrel-*.whl"))
    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True, capture_output=True, env=clean_env)
    # The dependencies are those of this environment: only the project itself comes out of the wheel.
    site = Path(sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)})["purelib"])
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*words: str) -> str:
        command = [str(home / "bin" / "kestrel"), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd=empty, env=clean_env).stdout

    where = subprocess.run([python, "-c", "import data; print(data.__file__)"], check=True, capture_output=True, text=True, cwd=empty, env=clean_env)
    assert where.stdout.startswith(str(home))
    assert "kestrel" in run("--version")
    assert "bars" in run("data", "simulate", "--stocks", "60", "--years", "1")
    assert "reversal_20" in run("factors", "list")
    assert (site / "data" / "rules.toml").is_file()
    assert (site / "backtest" / "report" / "report.css").is_file()
