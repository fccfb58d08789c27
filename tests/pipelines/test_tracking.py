"""MLflow on a server elsewhere: its URI is all that differs, files go through it, and the registry is its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from data.lake import open_lake
from pipelines.champion import CHAMPION, NAME, aliased
from pipelines.config import Config
from pipelines.contrast import contrast
from pipelines.diary import log_backtest, log_training
from pipelines.experiments import Experiments
from pipelines.promote import promote
from pipelines.runs import latest
from pipelines.trade import backtest, trained_scores
from pipelines.views import KEY, TAG, save_view

OfficeIn = Callable[..., Config]
PATIENCE = 120.0  # seconds that a server on a busy machine may take to start


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URI of an MLflow server on loopback that keeps everything in a folder of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path / "server"
    home.mkdir()
    where = ["--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}", "--serve-artifacts", "--artifacts-destination", str(home / "artifacts")]
    command = [sys.executable, "-m", "mlflow", "server", *where, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (
        (home / "log").open("w") as log,
        subprocess.Popen(command, cwd=home, stdout=log, stderr=log, env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}) as process,
    ):
        try:
            wait(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    pytest.fail("the server didn't start")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_server_keeps_runs_files_and_the_registry(office: Path, office_in: OfficeIn, server: str) -> None:
    lake, config = open_lake(office / "lake"), office_in(office, tracking=server)
    training, source = latest(office / "runs", "train"), trained_scores(office / "runs")
    log_training(training, config)
    accounts, _ = backtest(lake, config, source)
    log_backtest(accounts, config, source)
    assert not (office / "runs" / "mlflow.db").exists()
    store = Experiments(office / "runs", server)
    account = store.find("`kestrel.kind`", "account")[0]
    assert account.info.artifact_uri.startswith("mlflow-artifacts:")
    assert {file.path for file in store.client.list_artifacts(account.info.run_id)} == {"positions.json"}
    assert len(store.client.get_metric_history(account.info.run_id, "nav")) > 100
    found = contrast(config, account.info.run_id, f"{training.name}/five_factors")
    assert found.a.model == account.data.tags["kestrel.model"]
    promote(lake, config, "latest/ridge")
    assert aliased(config, CHAMPION)["model"] == "ridge"  # type: ignore[index]
    assert store.client.get_model_version_by_alias(NAME, CHAMPION).run_id == store.parent(training.name)
    assert save_view(store).endswith(f"viewStateShareKey={KEY}")
    assert TAG + KEY in store.client.get_experiment(store.experiment).tags
