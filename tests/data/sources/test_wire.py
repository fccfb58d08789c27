"""The vendors' real packages against a server on this machine; skipped where they aren't installed (the extra `sources`)."""

import json
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from data.sources.baostock import QUOTES, Baostock
from data.sources.source import Busy, Span, quietly
from data.sources.tushare import Tushare

SPAN = Span(date(2010, 1, 1), date(2024, 5, 6))
END = b"<![CDATA[]]>\n"
CANARY = "canary0123456789"


class BaostockServer(threading.Thread):
    """Answers a login, then bars: `rows` of them, or a few bytes and no more."""

    def __init__(self, split: str, rows: int | None) -> None:
        super().__init__(daemon=True)
        self.split, self.rows = split, rows
        self.server = socket.create_server(("127.0.0.1", 0))

    def run(self) -> None:
        with self.server:
            connection, _ = self.server.accept()
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                if b"login" in line:
                    connection.sendall(self._packed("01", ["0", "success", "login", "anonymous", ""]))
                elif self.rows is None:
                    connection.sendall(b"00.9.40")
                    return
                else:
                    connection.sendall(self._packed("96", self._bars(self.rows), squeeze=True))
                    self.rows = None if self.rows == 2000 else self.rows

    def _bars(self, count: int) -> list[str]:
        rows = [
            [str(SPAN.start + timedelta(days=n)), "sh.600000", *["8.0"] * 5, "1000", "8000", "3", "0.1", "1", "0", "12", "1", "", "", "0"]
            for n in range(count)
        ]
        page = json.dumps({"record": rows})
        return ["0", "success", "query", "anonymous", "1", "2000", page, "sh.600000", QUOTES, "2010-01-01", "2024-05-06", "d", "3", ""]

    def _packed(self, kind: str, body: list[str], *, squeeze: bool = False) -> bytes:
        text = self.split.join(body).encode()
        packed = zlib.compress(text) if squeeze else text
        return self.split.join(["00.9.40", kind, f"{len(packed):010d}"]).encode() + packed + END


def baostock_bars(monkeypatch: pytest.MonkeyPatch, rows: int | None) -> Any:
    with quietly():
        constants = pytest.importorskip("baostock.common.contants")
    server = BaostockServer(constants.MESSAGE_SPLIT, rows)
    host, port = server.server.getsockname()
    monkeypatch.setattr(constants, "BAOSTOCK_SERVER_IP", host)
    monkeypatch.setattr(constants, "BAOSTOCK_SERVER_PORT", port)
    server.start()
    with closing(Baostock()) as source:
        return source.bars("600000.SH", SPAN)


def test_baostock_reads_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    assert baostock_bars(monkeypatch, 3).select("symbol", "close", "volume", "float_shares").rows() == [("600000.SH", 8.0, 1000.0, 1e6)] * 3


@pytest.mark.parametrize("rows", [None, 2000])
def test_baostock_says_when_the_connection_is_cut(monkeypatch: pytest.MonkeyPatch, rows: int | None) -> None:
    with pytest.raises(Busy, match="cut short"):  # the package alone would wait for ever, or take the first page for all
        baostock_bars(monkeypatch, rows)


@pytest.fixture
def tushare_says(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A server of Tushare's whose next status and answer a test writes."""
    with quietly():
        client = pytest.importorskip("tushare.pro.client")
    said: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said["asked"] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(said["status"])
            self.end_headers()
            self.wfile.write(json.dumps(said["body"]).encode())

        def log_message(self, *words: Any) -> None:
            del words

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(client.DataApi, "_DataApi__http_url", f"http://127.0.0.1:{server.server_port}/dataapi")
        monkeypatch.setenv("TUSHARE_TOKEN", CANARY)
        yield said
        server.shutdown()


def test_tushare_sends_what_it_should_and_reads_the_answer(tushare_says: dict[str, Any]) -> None:
    items = [["600000.SH", "20240531", 0.5]]
    tushare_says.update(status=200, body={"code": 0, "msg": "", "data": {"fields": ["con_code", "trade_date", "weight"], "items": items}})
    assert Tushare().members("000905.SH", SPAN._replace(end=date(2024, 5, 31)))["weight"].to_list() == [0.005]
    assert tushare_says["asked"]["token"] == CANARY
    assert tushare_says["asked"]["params"].items() >= {"index_code": "000905.SH", "start_date": "20100101", "end_date": "20240531"}.items()


def test_tushare_clears_its_errors_of_the_token(tushare_says: dict[str, Any]) -> None:
    tushare_says.update(status=200, body={"code": 40203, "msg": f"token {CANARY} 每分钟最多访问该接口200次", "data": None})
    with pytest.raises(Busy, match=r"token \*\*\*") as error:
        Tushare().securities()
    assert error.value.after == 60.0


def test_tushare_takes_an_http_error_for_none(tushare_says: dict[str, Any]) -> None:
    tushare_says.update(status=502, body={})
    with pytest.raises(Busy, match="the server answered with an error"):
        Tushare().securities()
