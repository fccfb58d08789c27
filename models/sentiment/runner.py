"""Many calls at once: from the cache where it has them, else reserved, asked with patience, settled and kept."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from models.sentiment.cache import Cache, key_of
from models.sentiment.client import Api, Fault, Reply, ask
from models.sentiment.line import Line
from models.sentiment.prices import MICRO, Prices, Usage
from models.sentiment.settings import ServerSettings

OVERHEAD = 64  # tokens that a server's own template may add to a prompt


@dataclass
class Tally:
    """What a run has done so far; cost in 1e-6 CNY."""

    pieces: int = 0
    of: int = 0
    failures: int = 0
    calls: int = 0
    cached: int = 0
    retries: int = 0
    tokens: int = 0
    cost: int = 0


Report = Callable[[Tally], None]


def unreported(tally: Tally) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request.  phase: which part of an answer it is.  prompt: what stands in front of what the model writes, at most `limit` tokens."""

    api: Api
    phase: str
    body: dict[str, Any]
    prompt: str
    limit: int


class Runner:
    """Asks one model.  now: the clock in Shanghai; a month is a period of the cap (1e-6 CNY).  sleep: waits that many seconds."""

    def __init__(
        self,
        cache: Cache,
        settings: ServerSettings,
        prices: Prices,
        *,
        cap: int,
        now: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.cache, self.settings, self.prices, self.cap = cache, settings, prices, cap
        self.tally = Tally()
        self._now, self._sleep = now, sleep
        self._chance = random.Random(0)

    def key(self, call: Call) -> bytes:
        """What the answer depends on: model, weights, the exact prompt, sampling and budget, phase."""
        sampling = json.dumps({name: value for name, value in call.body.items() if name not in ("prompt", "messages")}, sort_keys=True)
        return key_of(self.settings.model, self.settings.weights, call.prompt, sampling, call.api, call.phase)

    async def reply(self, line: Line, call: Call) -> Reply:
        """The model's reply.  Raises Fault after the last try, CapReached where money runs out."""
        key = self.key(call)
        kept = self.cache.get(key)
        if kept is not None:
            self.tally.cached += 1
            return Reply.load(kept)
        wait = self.settings.patience
        for left in reversed(range(self.settings.tries)):
            try:
                return await self._once(line, call, key)
            except Fault as fault:
                if not left or not fault.again:
                    raise
                self.tally.retries += 1
                pause = min(wait * (1 + self._chance.random() / 2), self.settings.longest)
                await self._sleep(max(min(fault.after or 0.0, self.settings.longest), pause))
                wait *= 2
        raise AssertionError("unreachable")

    async def _once(self, line: Line, call: Call, key: bytes) -> Reply:
        """One try: reserve, ask, settle."""
        began = self._now()
        worst = self.prices.worst(began).cost(Usage(miss=prompt_bound(call.prompt), output=call.limit))
        ticket = self.cache.reserve(began.strftime("%Y-%m"), key, worst, self.cap)
        self.tally.calls += 1
        try:
            reply = await ask(line, call.api, call.body)
        except Fault as fault:
            cost = self._cost(fault.usage, began) if fault.usage else worst if fault.billed else 0
            self.cache.settle(ticket, cost, str(fault))
            self.tally.cost += cost
            raise
        cost = self._cost(reply.usage, began)
        if reply.usage.output > call.limit:
            self.cache.settle(ticket, cost, "overrun")
            self.tally.cost += cost
            raise Fault(f"the server wrote {reply.usage.output} tokens where {call.limit} were allowed", billed=True, again=False)
        reply = replace(reply, cost=cost)
        self.cache.settle(ticket, cost, "ok", key, reply.dump())
        self.tally.cost += cost
        self.tally.tokens += reply.usage.total
        return reply

    def _cost(self, usage: Usage, began: datetime) -> int:
        """1e-6 CNY at the dearer of the prices when the call began and ended: providers bill by either."""
        return max(self.prices.at(began).cost(usage), self.prices.at(self._now()).cost(usage))


def prompt_bound(prompt: str) -> int:
    """At most so many tokens has a prompt: tokenizers that work on bytes make no more of them than there are."""
    return len(prompt.encode()) + OVERHEAD


def micro(cny: float) -> int:
    """CNY as whole 1e-6 CNY."""
    return round(cny * MICRO)
