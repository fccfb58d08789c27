"""Pictures of MLflow's pages over the desk in the working folder, and of a comparison, by headless Chromium: python -P screens.py FOLDER."""

import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

from websocket import create_connection

from pipelines.config import load
from pipelines.contrast import contrast
from pipelines.experiments import Experiments
from pipelines.facing import page
from pipelines.views import save_view

PORT, WIDTH = 5057, 1500
PATIENCE = 180.0  # seconds for the server to start
SETTLED = 22  # seconds until a page is drawn


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
    """A picture of a page as a reader sees it, SETTLED after it was asked for; the panel at MLflow's right is left out."""
    look = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{height}"]
    with TemporaryDirectory() as profile:
        command = ["chromium", *look, f"--user-data-dir={profile}", f"--remote-debugging-port={PORT + 1}", "--remote-allow-origins=*", url]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
            wait(f"http://127.0.0.1:{PORT + 1}/json")
            time.sleep(SETTLED)
            with urlopen(f"http://127.0.0.1:{PORT + 1}/json") as answer:
                address = next(tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page")
            clip = {"x": 0, "y": 0, "width": WIDTH if url.startswith("file") else 1112, "height": height, "scale": 1}
            line = create_connection(address)
            line.send(json.dumps({"id": 1, "method": "Page.captureScreenshot", "params": {"format": "png", "clip": clip}}))
            file.write_bytes(base64.b64decode(json.loads(line.recv())["result"]["data"]))
            line.close()
            browser.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
