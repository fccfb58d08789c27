"""A stub of an OpenAI-compatible server on loopback, with every fault by script and a bill of its own.

As a program it serves until it is ended: python tests/models/sentiment/stub.py [--faults SHARE]; its first line is its port.
"""

import argparse
import asyncio
import hashlib
import json
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

PRICES = {"hit": 1, "miss": 4, "output": 16}  # 1e-6 CNY a token: R1 at launch
FAULTS = ("429", "500", "503", "cut", "hang up", "no json", "no usage", "no choices", "slow")
Script = Callable[[dict[str, Any], int], str]  # (body, how often it was asked before) -> a fault, or ""


def no_fault(body: dict[str, Any], before: int) -> str:
    return ""


def random_faults(share: float) -> Script:
    """A share of all first tries fails, each in its own way, and a part of them twice."""

    def script(body: dict[str, Any], before: int) -> str:
        drawn = zlib.crc32(json.dumps(body, sort_keys=True).encode() + bytes([min(before, 255)])) / 2**32
        return FAULTS[int(drawn / share * len(FAULTS))] if before < 3 and drawn < share else ""

    return script


class Stub:
    """The server in a thread.  bill: 1e-6 CNY for every call that it worked on, answered or not; answers: full answers by request."""

    def __init__(self, script: Script = no_fault, *, delay: float = 0.0, completions: bool = True, logprobs: bool = True) -> None:
        self.script, self.delay, self.completions, self.logprobs = script, delay, completions, logprobs
        self.bill, self.requests, self.peak, self.busy = 0, 0, 0, 0
        self.asked: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keep_bodies = False
        self.headers: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.serve())

    async def serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.get_running_loop().create_server(lambda: Connection(self), "127.0.0.1", 0, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    # -- what is answered

    def fault(self, path: str, body: dict[str, Any]) -> tuple[str, str]:
        """(the request's own name, the fault that the script has for it)."""
        name = hashlib.sha256(path.encode() + json.dumps(body, sort_keys=True).encode()).hexdigest()
        self.requests += 1
        before = self.asked[name]
        self.asked[name] += 1
        if self.keep_bodies:
            self.bodies.append(body)
        if path.endswith("/v1/completions") and not self.completions:
            return name, "404"
        if path.endswith("chat/completions") and not self.logprobs and body.get("logprobs"):
            return name, "400"
        return name, self.script(body, before)

    def reply(self, path: str, body: dict[str, Any], name: str, fault: str) -> dict[str, Any]:
        """A full answer; how long a thought is and which label follows depend on the request alone."""
        drawn = zlib.crc32(name.encode())
        limit = int(body["max_tokens"])
        text = str(body.get("prompt") or body["messages"][0]["content"])
        wanted = drawn % 40 + 1
        written = min(limit, wanted)
        stopped = wanted <= limit
        usage: dict[str, Any] = {
            "prompt_tokens": len(text) + 5,
            "completion_tokens": written,
            "prompt_tokens_details": {"cached_tokens": len(text) // 2},
        }
        self.bill += (len(text) // 2) * PRICES["hit"] + (len(text) + 5 - len(text) // 2) * PRICES["miss"] + written * PRICES["output"]
        finish = "stop" if stopped else "length"
        if path.endswith("chat/completions"):
            choice: dict[str, Any] = {"finish_reason": "stop", "message": chat_message(drawn, fault, " B" if "字母" in text else "")}
            if body.get("logprobs"):
                listed = [{"token": token, "logprob": log} for token, log in logs(drawn).items()]
                choice["logprobs"] = {"content": [{"token": str(drawn % 5 + 1), "logprob": -0.1, "top_logprobs": listed}]}
        elif "stop" in body:
            thought = {"closes twice": "a</think>b</think>", "closes": "a</think>"}.get(fault, "想" * written)
            choice = {"finish_reason": finish, "text": thought}
        elif text.endswith("事件："):
            usage["completion_tokens"] = 1
            choice = {"finish_reason": "length", "text": "ABCDEFGHIJKLM"[drawn % 13]}
            if self.logprobs:
                choice["logprobs"] = {"top_logprobs": [{choice["text"]: -1.5, f" {choice['text']}": -1.5, "好": -1.0, "M": -2.0}]}
        else:
            usage["completion_tokens"] = 1 if fault != "overrun" else 5
            choice = {"finish_reason": "length", "text": "大" if fault == "no label" else str(drawn % 5 + 1)}
            if self.logprobs:
                choice["logprobs"] = {"top_logprobs": [{"大": -0.1, "小": -3.0} if fault == "no label" else logs(drawn)]}
        answer = {"choices": [choice], "usage": usage}
        if fault == "no choices":
            answer["choices"] = []
        if fault == "no usage":
            del answer["usage"]
        if not fault or fault.startswith("closes"):
            self.answers[name] += 1
        return answer


def chat_message(drawn: int, fault: str, event: str) -> dict[str, Any]:
    """A chat's answer with its thought apart, by either name; the letter of an event after the label where one is asked for."""
    label = f"{drawn % 5 + 1}{event}"
    if fault == "inline":
        return {"content": f"<think>想</think>\n\n{label}"}
    if fault == "closes twice":
        return {"content": f"<think>想</think></think>{label}"}
    if fault == "never closes":
        return {"content": "<think>想"}
    if fault == "no label":
        return {"content": "这很难说", "reasoning": "想"}
    return {"content": f"**{label}**", "reasoning_content" if drawn % 2 else "reasoning": "想"}


def logs(drawn: int) -> dict[str, float]:
    """Log-probabilities of the labels and of two other tokens."""
    import math

    weights = {str(label): 1.0 + (drawn >> (3 * label)) % 8 for label in range(1, 6)} | {" 3": 0.5, "好": 0.5}
    total = sum(weights.values())
    return {token: math.log(weight / total) for token, weight in weights.items()}


class Connection(asyncio.Protocol):
    """Just enough HTTP/1.1 to be fast."""

    def __init__(self, stub: Stub) -> None:
        self.stub, self.buffer = stub, b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        lines = head.decode().split("\r\n")
        headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
        self.stub.headers.add(headers.get("authorization", ""))
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        path = lines[0].split(" ")[1]
        if path.endswith("/bill"):
            self.send(200, json.dumps({"bill": self.stub.bill, "requests": self.stub.requests, "peak": self.stub.peak}).encode())
            return
        self.stub.busy += 1
        self.stub.peak = max(self.stub.peak, self.stub.busy)
        asyncio.get_running_loop().call_later(self.stub.delay, self.answer, path, json.loads(rest[:length]))

    def answer(self, path: str, body: dict[str, Any]) -> None:
        self.stub.busy -= 1
        name, fault = self.stub.fault(path, body)
        if fault in ("400", "404", "401", "429", "500", "503"):
            self.send(int(fault), b'{"error": "no"}', "retry-after: 0\r\n" if fault == "429" else "")
            return
        found = json.dumps(self.stub.reply(path, body, name, fault), ensure_ascii=False).encode()
        if fault == "hang up":
            self.transport.abort()
        elif fault == "slow":
            asyncio.get_running_loop().call_later(3600, lambda: None)
        elif fault == "cut":
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(found) + 10) + found)
            self.transport.close()
        else:
            self.send(200, found[:-3] if fault == "no json" else found)

    def send(self, status: int, body: bytes, more: str = "") -> None:
        self.transport.write(f"HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\n{more}content-length: {len(body)}\r\n\r\n".encode() + body)


async def _main(stub: Stub) -> None:
    serving = asyncio.ensure_future(stub.serve())
    while not hasattr(stub, "port"):
        await asyncio.sleep(0.01)
    print(stub.port, flush=True)
    await serving


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--faults", type=float, default=0.0)
    options.add_argument("--delay", type=float, default=0.0)
    given = options.parse_args()
    asyncio.run(_main(Stub(random_faults(given.faults) if given.faults else no_fault, delay=given.delay)))
