"""One request to an OpenAI-compatible server, and everything that can be wrong with its answer."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from models.sentiment.line import Broken, Line, Response, Unreachable
from models.sentiment.prices import Usage
from models.sentiment.prompts import CLOSE, OPEN

PATHS = {"completions": "completions", "chat": "chat/completions"}
Api = Literal["completions", "chat"]
REFUSED = (400, 401, 402, 403, 404, 405, 413, 422)  # asking again would be answered the same
UNWELCOME = (401, 402, 403)
UNBILLED = (429, 503)  # turned away before any work


class Fault(Exception):
    """A call without a usable answer.  billed: it may have cost something.  again: trying again may help, after `after` seconds if told.

    lost: the server is to blame and not what it was asked, so nothing else would be answered either.
    """

    def __init__(
        self, reason: str, *, billed: bool, again: bool = True, lost: bool = False, after: float | None = None, usage: Usage | None = None
    ) -> None:
        super().__init__(reason)
        self.billed, self.again, self.lost, self.after, self.usage = billed, again, lost, after, usage


class NoSuchPath(Fault):
    """The server doesn't have this endpoint."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote.  thought: apart from the text where a server splits it.  top: the likeliest first tokens with log-probabilities.

    cost: what the call was billed, in 1e-6 CNY.
    """

    text: str
    stopped: bool  # by itself, not at the limit
    usage: Usage
    thought: str = ""
    top: dict[str, float] = field(default_factory=dict)
    cost: int = 0

    def dump(self) -> str:
        """As JSON, for the cache."""
        usage = {"hit": self.usage.hit, "miss": self.usage.miss, "output": self.usage.output}
        parts = {"text": self.text, "stopped": self.stopped, "usage": usage, "thought": self.thought, "top": self.top, "cost": self.cost}
        return json.dumps(parts, ensure_ascii=False)

    @classmethod
    def load(cls, body: str) -> "Reply":
        """From the cache."""
        found = json.loads(body)
        return cls(**(found | {"usage": Usage(**found["usage"])}))


async def ask(line: Line, api: Api, body: dict[str, Any]) -> Reply:
    """The server's reply to one request; raises Fault for everything else."""
    try:
        response = await line.post(PATHS[api], json.dumps(body, ensure_ascii=False).encode())
    except Unreachable as error:
        raise Fault(f"can't connect: {error}", billed=False, lost=True) from None
    except TimeoutError:
        raise Fault("timed out", billed=True) from None
    except Broken as error:
        raise Fault(f"broke off: {error}", billed=True) from None
    if response.status != 200:
        raise _refusal(response)
    try:
        found = json.loads(response.content)
    except ValueError:
        raise Fault("the answer is no JSON", billed=True) from None
    if not isinstance(found, dict):
        raise Fault("the answer is no JSON object", billed=True)
    return _reply(api, found)


def _refusal(response: Response) -> Fault:
    """The fault that an HTTP status means."""
    status = response.status
    told = response.headers.get(b"retry-after", b"").decode("latin-1")
    after = float(told) if told.replace(".", "", 1).isdigit() else None
    reason = f"HTTP {status}"
    if status in (404, 405):
        return NoSuchPath(reason, billed=False, again=False, lost=True)
    billed = status >= 500 and status not in UNBILLED
    return Fault(reason, billed=billed, again=status not in REFUSED, lost=status in UNWELCOME, after=after)


def _reply(api: Api, found: dict[str, Any]) -> Reply:
    """The parts of a JSON answer that count, whatever the server calls them."""
    usage = _usage(found.get("usage"))
    choices = found.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Fault("the answer has no choices", billed=True, usage=usage)
    choice = choices[0]
    if usage is None:
        raise Fault("the answer has no usage", billed=True)
    stopped = choice.get("finish_reason") != "length"
    if api == "completions":
        text = choice.get("text")
        if not isinstance(text, str):
            raise Fault("the answer has no text", billed=True, usage=usage)
        return Reply(text, stopped, usage, top=_top_completion(choice.get("logprobs")))
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(content, str | None):
        raise Fault("the answer has no message", billed=True, usage=usage)
    # vLLM and DeepSeek say reasoning_content, newer vLLM and others reasoning.
    thought = message.get("reasoning_content") or message.get("reasoning") or ""
    text, inline = _split(content or "", bool(thought), usage)
    return Reply(text, stopped, usage, thought=str(thought or inline), top=_top_chat(choice.get("logprobs")))


def _split(content: str, apart: bool, usage: Usage) -> tuple[str, str]:
    """(answer, thought) of a content in which the thought may stand too, closed exactly once."""
    closes = content.count(CLOSE)
    if closes > 1 or (apart and closes):
        raise Fault(f"the answer closes its thought {closes + apart} times", billed=True, usage=usage)
    if closes == 0:
        if OPEN in content:
            raise Fault("the answer never closes its thought", billed=True, usage=usage)
        return content, ""
    thought, _, text = content.partition(CLOSE)
    return text, thought.replace(OPEN, "")


def _usage(found: Any) -> Usage | None:
    """Tokens by price, or None where the server doesn't say."""
    try:
        given, written = int(found["prompt_tokens"]), int(found["completion_tokens"])
        details = found.get("prompt_tokens_details") or {}
        hit = int(found.get("prompt_cache_hit_tokens") or details.get("cached_tokens") or 0)
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
    return Usage(hit, given - hit, written) if 0 <= hit <= given and written >= 0 else None


def _top_completion(found: Any) -> dict[str, float]:
    """The likeliest first tokens, as /v1/completions lists them, or as newer servers do everywhere."""
    if isinstance(found, dict) and isinstance(found.get("top_logprobs"), list) and found["top_logprobs"]:
        first = found["top_logprobs"][0]
        return {str(token): float(log) for token, log in first.items()} if isinstance(first, dict) else {}
    return _top_chat(found)


def _top_chat(found: Any) -> dict[str, float]:
    """The same from a chat's list of tokens: those of the first token that is a label."""
    if not isinstance(found, dict) or not isinstance(found.get("content"), list):
        return {}
    for token in found["content"]:
        if isinstance(token, dict) and str(token.get("token", "")).strip() in ("1", "2", "3", "4", "5"):
            return {str(other["token"]): float(other["logprob"]) for other in token.get("top_logprobs", ())}
    return {}
