"""What a chain of commands leaves behind, those that fail too: no secret of its environment, and nothing pickled."""

import base64
import json
import os
import pickletools
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import pytest

from data.lake import Lake
from data.tables import TABLES
from pipelines.batch.notice import tell
from pipelines.batch.settings import NoticeSettings
from pipelines.simulate import SIMULATED

ROOT = Path(__file__).parents[2]
SECRETS = {
    "TUSHARE_TOKEN": "canary-tushare-5f1c",
    "KESTREL_LLM_KEY": "canary-llm-77ab",
    "AWS_ACCESS_KEY_ID": "canary-s3-key-91d2",
    "AWS_SECRET_ACCESS_KEY": "canary-s3-secret-c3e0",
    "AWS_SESSION_TOKEN": "canary-s3-session-0b7d",
    "MLFLOW_TRACKING_USERNAME": "canary-mlflow-user-d2f1",
    "MLFLOW_TRACKING_PASSWORD": "canary-mlflow-password-e8a4",
    "MLFLOW_TRACKING_TOKEN": "canary-mlflow-token-42c6",
    "DESK_WEBHOOK": "canary-webhook-6b90",
}
SCRIPT = "<script>alert(1)</script>"  # the name of every stock
NOWHERE = "http://127.0.0.1:9"  # the port of `discard`, where nobody answers
QUICK = {"AWS_ENDPOINT_URL": NOWHERE, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1", "AWS_MAX_RETRIES": "0", "AWS_RETRY_TIMEOUT": "1s"}
QUICK |= {"HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
CONFIG = """
walk = {first = 2025-08-01, train_years = 1, valid_years = 1, refit_months = 6, every = 2}
factors = {names = ["earnings_yield", "book_to_price", "roe", "reversal_5", "reversal_20", "log_float_cap", "volatility_20"]}
train = {models = ["ridge", "lightgbm_rank", "blend"]}
model = {lightgbm_rank = {leaves = 8, rounds = 10, leaf_rows = 50, threads = 1}, blend = {members = ["ridge", "lightgbm_rank"]}}
backtest = {strategy = {kind = "topk_buffer", k = 10, buffer = 20}}
batch = {notice = {webhook = "http://127.0.0.1:9/${DESK_WEBHOOK}"}}
sentiment = {scorer = "openai", server = {url = "http://127.0.0.1:9/v1", tries = 1}}
"""
# In one process, since each start costs seconds; and nobody waits before asking a vendor again.
RUN = """
import json, sys, time, traceback
from pipelines.cli import main
time.sleep = lambda seconds: None
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as end:
        print("exit", end.code, words, flush=True)
    except BaseException:
        traceback.print_exc()
"""
GOOD = ["factors build", "train", "backtest", "signal", "report latest", "compare", "status", "config", "data show", "data check", "fits"]
BAD = [
    "--lake s3://desk/lake train",
    "--set tracking='http://127.0.0.1:9' compare",
    "data fetch bars --source tushare --symbols 600000",
    "sentiment score --limit 2",
    "--set train.models=['no'] train",
    "--set walk.every=0 train",
    "report ../x",
    "backtest --scores no.csv",
    "nonsense",
]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Path:
    """A folder in which the chain has run; what was said is in the files stdout and stderr."""
    folder = tmp_path_factory.mktemp("left")
    shutil.copytree(prepared / "lake", folder / "lake")
    lake = Lake(folder / "lake")
    lake.state({SIMULATED: "a small one"})  # so that its last session is today
    lake.write("securities", lake.read("securities").with_columns(pl.lit(SCRIPT).alias("name")))
    (folder / "kestrel.toml").write_text(CONFIG)
    home = folder / "home"
    home.mkdir()
    commands = [line.split() for line in (*GOOD, *BAD)]
    environment = {**os.environ, **SECRETS, **QUICK, "PYTHONPATH": str(ROOT), "HOME": str(home), "TMPDIR": str(home)}
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
        subprocess.run([sys.executable, "-P", "-c", RUN, json.dumps(commands)], cwd=folder, env=environment, stdout=out, stderr=err, check=True)
    return folder


def holding(folder: Path, texts: Iterator[str]) -> list[str]:
    """Files below the folder whose bytes, or whose rows where they are Parquet, hold one of the texts, plain or as URLs and headers write them."""
    wanted = [form.encode() for text in texts for form in {text, quote(text), base64.b64encode(text.encode()).decode().rstrip("=")}]
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes() + str(file.relative_to(folder)).encode()
        if content.startswith(b"PAR1"):
            content += b"".join(str(part).encode() for part in pl.read_parquet(file).select(pl.col(pl.String).unique().implode()).rows())
            content += json.dumps(pl.read_parquet_metadata(file)).encode()
        found += [f"{file.name}: {text.decode()}" for text in wanted if text in content]
    return found


@pytest.mark.slow
def test_the_commands_did_what_they_were_to_do(left: Path) -> None:
    said = (left / "stdout").read_text()
    codes = {words: int(code) for code, words in (line[5:].split(" ", 1) for line in said.splitlines() if line.startswith("exit "))}
    assert {line: codes.get(str(line.split())) for line in GOOD} == dict.fromkeys(GOOD, 0), (left / "stderr").read_text()[-3000:]
    assert all(codes.get(str(line.split()), 1) > 0 for line in BAD)
    assert list(left.glob("runs/mlflow.db"))
    assert list(left.glob("signals/*/orders.csv"))


@pytest.mark.slow
def test_no_secret_of_the_environment_is_in_anything_that_is_written_or_said(left: Path) -> None:
    assert holding(left, iter(SECRETS.values())) == []


def test_the_search_finds_what_is_planted(tmp_path: Path) -> None:
    secret = "canary/1?"
    (tmp_path / "log").write_text(f"https://example.org/{quote(secret)}")
    (tmp_path / "header").write_bytes(base64.b64encode(secret.encode()))
    pl.DataFrame({"note": [secret] * 1000, "n": range(1000)}).write_parquet(tmp_path / "rows.parquet", compression="zstd")
    (tmp_path / "canary").write_text("clean")
    assert {line.partition(":")[0] for line in holding(tmp_path, iter([secret]))} == {"log", "header", "rows.parquet"}


@pytest.mark.slow
def test_names_that_are_scripts_are_shown_in_pages_and_not_obeyed(left: Path) -> None:
    pages = {file.name: file.read_text(encoding="utf-8") for file in left.rglob("*.html")}
    assert "report.html" in pages
    assert not [name for name, page in pages.items() if "alert(1)</script>" in page]
    assert "&lt;script&gt;alert(1)" in pages["report.html"]


def pickled(file: Path) -> bool:
    """Whether the file is a pickle, an archive with one inside, or an array of pickled objects."""
    content = file.read_bytes()
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return any(_stream(archive.read(name)) for name in archive.namelist())
    if content.startswith(b"\x93NUMPY"):
        return bool(np.lib.format.read_magic(BytesIO(content)) and b"'|O'" in content[:256])
    return _stream(content)


def _stream(content: bytes) -> bool:
    """Protocol 2 and later begin with their number; earlier ones are known by being readable to the end."""
    if content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return True
    try:
        return len(content) > 1 and sum(1 for _ in pickletools.genops(content)) > 1
    except Exception:  # whatever it is, it is no pickle
        return False


@pytest.mark.slow
def test_no_file_that_the_chain_leaves_is_pickled(left: Path) -> None:
    files = [path for path in left.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert [str(file) for file in files if pickled(file)] == []


@pytest.mark.parametrize("name", ["new", "old", "zip", "array"])
def test_each_kind_of_pickle_is_known(tmp_path: Path, name: str) -> None:
    file, content = tmp_path / name, b"\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00]\x94."
    if name == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", content)
    elif name == "array":
        file.write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(128) + content)
    else:
        file.write_bytes(content if name == "new" else b"(lp0\nI1\na.")
    assert pickled(file)


# -- servers


def listening(process: int) -> set[str]:
    """The addresses, in hexadecimal as the kernel writes them, on which the process and its children accept connections."""
    line = {process}
    for place in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        line |= {int(place.name)} if parent in line else set()
    sockets = set()
    for one in line:
        try:
            sockets |= {os.readlink(handle)[8:-1] for handle in Path(f"/proc/{one}/fd").iterdir() if "socket:" in os.readlink(handle)}
        except OSError:
            continue
    tables = [path for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if path.is_file()]
    rows = [row.split() for path in tables for row in path.read_text().splitlines()]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[9] in sockets}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").is_file(), reason="this system doesn't tell who listens where")
def test_the_pages_of_mlflow_listen_on_this_machine_alone(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-P", "-c", "from pipelines.cli import main; main()", "--set", f"runs='{tmp_path}'", "ui", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True) as server:
        try:
            for _ in range(3000):  # of .2 s: it is slow where others work
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
                    break
                except OSError:
                    time.sleep(0.2)
            assert listening(server.pid) == {"0100007F"}
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def test_the_names_of_tables_are_words() -> None:
    """They are put into SQL and paths as they are."""
    assert all(name.replace("_", "").isalpha() for name in TABLES)


def test_the_address_of_a_webhook_is_filled_in_where_it_is_posted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        notice = NoticeSettings(webhook=f"http://127.0.0.1:{server.server_port}/${{DESK_WEBHOOK}}")
        monkeypatch.delenv("DESK_WEBHOOK", raising=False)
        assert "environment lacks" in tell(notice, [])[0]
        monkeypatch.setenv("DESK_WEBHOOK", "a-secret")
        assert tell(notice, []) == []
        server.handle_request()
    assert asked == ["/a-secret"]
