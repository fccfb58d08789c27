"""A connection to a server that is used again for every request: HTTP/1.1 by h11 over asyncio's streams.

A client with a pool, redirects, cookies and models of its own costs more a request than all else that scoring a piece needs here.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from data.errors import KestrelError

if TYPE_CHECKING:
    import h11

BLOCK = 1 << 16  # bytes of a read
Headers = list[tuple[bytes, bytes]]


class Unreachable(Exception):
    """There is nobody to send a request to."""


class Broken(Exception):
    """The connection ended, or what came is no HTTP, after a request was begun."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response; names of headers are in lower case."""

    status: int
    headers: dict[bytes, bytes]
    content: bytes


class Line:
    """One connection, opened by the first request and again whenever it was closed.  One request at a time."""

    def __init__(self, url: str, *, key: str = "", timeout: float) -> None:
        """timeout: seconds that a whole request may take.  Raises KestrelError for an address that is none."""
        parts = urlsplit(url.rstrip("/"))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise KestrelError(f"'{url}' is no server's address. It looks like http://127.0.0.1:8000/v1: --set sentiment.server.url=URL")
        self._secure = parts.scheme == "https"
        self._host, self._port, self._path = parts.hostname, parts.port or (443 if self._secure else 80), parts.path
        host = parts.netloc.rpartition("@")[2].encode()
        self._headers: Headers = [(b"host", host), (b"content-type", b"application/json"), (b"accept", b"application/json")]
        self._headers += [(b"authorization", f"Bearer {key}".encode())] if key else []
        self._timeout = timeout
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter, h11.Connection] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def post(self, path: str, content: bytes) -> Response:
        """The whole response to a request.  Raises Unreachable, Broken and TimeoutError; after each of them the next request connects anew."""
        import h11

        whole = False
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer, state = self._open or await self._connect()
                headers = [*self._headers, (b"content-length", str(len(content)).encode())]
                head = state.send(h11.Request(method=b"POST", target=f"{self._path}/{path}".encode(), headers=headers))
                writer.write((head or b"") + (state.send(h11.Data(content)) or b""))
                state.send(h11.EndOfMessage())
                response = await _received(reader, state)
            whole = True
        except TimeoutError:
            if self._open is None:
                raise Unreachable("TimeoutError") from None
            raise
        except (OSError, EOFError, h11.ProtocolError) as error:
            raise Broken(type(error).__name__) from None
        finally:
            if not whole or state.our_state is not h11.DONE or reader.at_eof():
                await self._close()
            else:
                state.start_next_cycle()
        return response

    async def _connect(self) -> "tuple[asyncio.StreamReader, asyncio.StreamWriter, h11.Connection]":
        import h11

        secure = _certificates() if self._secure else None
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port, ssl=secure)
        except OSError as error:
            raise Unreachable(type(error).__name__) from None
        self._open = reader, writer, h11.Connection(h11.CLIENT)
        return self._open

    async def _close(self) -> None:
        if self._open is not None:
            writer, self._open = self._open[1], None
            writer.transport.abort()  # nothing is under way that a slow farewell could save
            with suppress(OSError):
                await writer.wait_closed()


async def _received(reader: asyncio.StreamReader, state: "h11.Connection") -> Response:
    """The response that comes next.  Raises EOFError where it ends before its end, and what h11 raises for no HTTP."""
    import h11

    head, parts = None, []
    while True:
        event = state.next_event()
        if event is h11.NEED_DATA:
            state.receive_data(await reader.read(BLOCK))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return Response(head.status_code, dict(head.headers), b"".join(parts))
        elif isinstance(event, h11.ConnectionClosed):
            raise EOFError


@cache
def _certificates() -> ssl.SSLContext:
    """Whom to believe: what the system does."""
    return ssl.create_default_context()
