"""Pictures of MLflow's pages over the desk in the working folder, and of a comparison, by headless Chromium: python -P screens.py FOLDER."""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

from pipelines.config import load
from pipelines.contrast import contrast
from pipelines.experiments import Experiments
from pipelines.facing import page
from pipelines.views import save_view

PORT, WIDTH = 5057, 1500
PATIENCE = 180.0  # seconds for the server to start
SETTLED = 25_000  # milliseconds until a page is drawn


def main(folder: Path) -> None:
    """Write experiments-{runs,plots,files,compare}.png into the folder."""
    config = load()
    store = Experiments(Path(config.runs), config.tracking)
    found = store.client.search_runs([store.experiment], "tags.`kestrel.kind` = 'account'", order_by=["metrics.`information_ratio` DESC"])
    best, second = (run.info.run_id for run in found[:2])
    experiment, view = store.experiment, save_view(store)
    both = f"#/compare-runs?runs={json.dumps([best, second])}&experiments={json.dumps([experiment])}".replace('"', "%22").replace(" ", "")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.uri, "--host", "127.0.0.1", "--port", str(PORT), "--workers", "1"]
    with subprocess.Popen(command) as server, TemporaryDirectory() as there:
        try:
            wait(f"http://127.0.0.1:{PORT}/health")
            pages = {"runs": (view, 800), "both": (both, 1200), "plots": (f"#/experiments/{experiment}/runs/{best}/model-metrics", 1000)}
            pages["files"] = (f"#/experiments/{experiment}/runs/{best}/artifacts", 800)
            for name, (address, height) in pages.items():
                shoot(f"http://127.0.0.1:{PORT}/{address}", folder / f"experiments-{name}.png", height)
        finally:
            server.terminate()
        whole = Path(there) / "compare.html"
        whole.write_text(page(contrast(config, "latest/ridge", "latest/blend")), encoding="utf-8")
        shoot(whole.as_uri(), folder / "experiments-compare.png", 1750)


def wait(url: str) -> None:
    """Return once the server answers."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(1)
    raise SystemExit(f"{url} doesn't answer")


def shoot(url: str, file: Path, height: int) -> None:
    """A picture of a page as a reader sees it."""
    look = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{height}"]
    subprocess.run(["chromium", *look, f"--timeout={SETTLED}", f"--screenshot={file.resolve()}", url], check=True, capture_output=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
