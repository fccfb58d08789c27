"""The research pack, imported once a session where the machine has it: KESTREL_DATA_PACK names its folder."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from xdist.scheduler import LoadFileScheduling

from data.ingest import import_folder
from data.lake import Lake, open_lake

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


class Scheduling(LoadFileScheduling):
    """Of two workers one takes a file whole, and all of tests/backtest, so that what numba compiles for accounts is compiled once.

    A siege waits for processes most of its time, and is one of several at once.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/pipelines/test_siege.py"):
            return nodeid
        return "tests/backtest" if nodeid.startswith("tests/backtest/") else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def pack() -> Path:
    """The folder of the research pack; without it the test is skipped."""
    folder = Path(os.environ.get("KESTREL_DATA_PACK", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the research pack is not here: KESTREL_DATA_PACK names no folder")
    return folder


@pytest.fixture(scope="session")
def imported(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Lake]:
    """The pack imported by a mapping of examples/, once for all workers of a parallel run."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def lake(mapping: str) -> Lake:
        uri = root / f"lake-{mapping}"
        with FileLock(f"{uri}.lock"):
            import_folder(Lake(uri), pack, EXAMPLES / f"{mapping}.toml")
        return open_lake(uri)

    return lake


@pytest.fixture(scope="session")
def pack_lake(imported: Callable[[str], Lake]) -> Lake:
    return imported("pack")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of an S3 server of its own process, with an empty bucket 'desk'."""
    if find_spec("moto") is None or find_spec("flask") is None:
        pytest.skip("moto's server is not installed: make setup")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{address}/desk", method="PUT")).close()
                break
            except OSError:
                time.sleep(0.2)
        yield address
        process.terminate()


@pytest.fixture
def remote(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The URI of an empty lake on that server; all the rest comes from the environment."""
    settings = {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "REGION": "us-east-1", "ENDPOINT_URL": server, "ALLOW_HTTP": "true"}
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return f"s3://desk/{request.node.name}"
