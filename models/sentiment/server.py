"""A model behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, DeepSeek and others."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.errors import KestrelError
from models.sentiment.answers import Answer, Failure, News
from models.sentiment.cache import Cache, CapReached, key_of
from models.sentiment.client import Fault, NoSuchPath, Reply
from models.sentiment.defence import quarantine
from models.sentiment.labels import LABELS, Calibration, Five, Unlabelled, from_draws, from_top, read_both, read_label, told_event
from models.sentiment.line import Line
from models.sentiment.opinions import Opinion, averaged, most_told, settled_name
from models.sentiment.prices import prices
from models.sentiment.prompts import CLOSE, CLOSING, FOLDER, OPEN, prompt
from models.sentiment.runner import Call, Report, Runner, micro, unreported
from models.sentiment.settings import SentimentSettings
from models.sentiment.thinking import Budget, Overrun, Piece, Thought, thinking

if TYPE_CHECKING:
    from jinja2 import Template

TOP = 20  # log-probabilities asked for: the most that common servers give
ANSWER = 16  # tokens that a chat may write besides thinking
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True)
class Surroundings:
    """What a scorer that calls a server needs from outside: the key, the clock in Shanghai, someone to tell how far it is, and how to wait.

    retry: try again what failed before.
    """

    now: Callable[[], datetime]
    key: str = field(default="", repr=False)
    report: Report = unreported
    retry: bool = False
    sleep: Sleep = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer to a piece: the thought before it, the reply with the label, all replies that it took, the event if one was told."""

    thought: Thought
    answer: Reply
    calls: tuple[Reply, ...]
    event: str | None = None


class ServerScorer:
    """Thinks and answers over HTTP, many pieces at once.  `stopped` says why a run ended before its last piece, if it did."""

    def __init__(self, settings: SentimentSettings, answers: Cache, around: Surroundings) -> None:
        asked, spending = settings.server, settings.spending
        table = Path(spending.prices) if spending.prices else None
        rows = prices(asked.provider, asked.model, file=table, allow_unpriced=spending.allow_unpriced)
        self.settings, self.cache, self.around = settings, answers, around
        self.runner = Runner(answers, asked, rows, cap=micro(spending.cap), now=around.now, sleep=around.sleep)
        self.prompt = prompt(settings.prompt)
        self.template = read_template(asked.template)
        what = (asked.model, asked.weights, asked.api, self.template, self.prompt.digest)
        self.name = settled_name(asked.model, self.prompt, settings, *what)
        self.calibration = Calibration(temperature=settings.calibration.temperature)
        self.stopped: str | None = None

    def score(self, news: Sequence[News]) -> list[Answer | Failure]:
        """One answer or failure a piece, in order.  Equal questions are asked once."""
        return asyncio.run(self._score(news))

    async def _score(self, news: Sequence[News]) -> list[Answer | Failure]:
        self.stopped = None
        tally, asked = self.runner.tally, self.settings.server
        tally.of += len(news)
        questions: dict[str, list[int]] = {}
        found: list[Answer | Failure] = [Failure("not asked")] * len(news)
        for place, piece in enumerate(news):
            reason = quarantine((piece.title, piece.body))
            if reason:
                found[place] = Failure(reason)
                tally.pieces, tally.failures = tally.pieces + 1, tally.failures + 1
            else:
                questions.setdefault(self.prompt.render(piece), []).append(place)
        async with self._line() as line:
            await self._calibrate(line)
        waiting = iter(questions.items())
        await asyncio.gather(*(self._work(waiting, found) for _ in range(min(asked.concurrency, len(questions)))))
        return found

    def _line(self) -> Line:
        asked = self.settings.server
        return Line(asked.url, key=self.around.key, timeout=asked.timeout)

    async def _work(self, waiting: Iterator[tuple[str, list[int]]], found: list[Answer | Failure]) -> None:
        """Take the next question until none is left; the others that share it get its answer for nothing."""
        tally = self.runner.tally
        async with self._line() as line:
            for content, places in waiting:
                outcome = await self._outcome(line, content)
                for place in places:
                    found[place] = outcome
                    outcome = outcome.free if isinstance(outcome, Answer) else outcome
                tally.pieces += len(places)
                tally.failures += len(places) * isinstance(outcome, Failure)
                self.around.report(tally)

    async def _outcome(self, line: Line, content: str) -> Answer | Failure:
        """The answer to a question, or why there is none.  What is the server's or the purse's fault isn't held against the piece."""
        key = key_of("outcome", self.name, content)
        if self.around.retry:
            self.cache.forgive(key)
        elif reason := self.cache.failure(key):
            return Failure(reason)
        if self.stopped:
            return Failure(f"not asked: {self.stopped}")
        try:
            return self._judged(await self._opinion(line, content), key)
        except CapReached as error:
            self.stopped = str(error)
        except Fault as fault:
            if not fault.lost:
                return self._failed(key, str(fault))
            self.stopped = f"the server at {self.settings.server.url} gives no answer: {fault}"
        except (Unlabelled, Overrun) as error:
            return self._failed(key, str(error))
        return Failure(f"not asked: {self.stopped}")

    def _judged(self, opinion: Opinion, key: bytes) -> Answer:
        """The calibrated answer; what led to it is kept."""
        calibrated = opinion.calibrated(self.calibration)
        self.cache.put(key, json.dumps(calibrated.record(), ensure_ascii=False))
        return calibrated.answer

    def _failed(self, key: bytes, reason: str) -> Failure:
        self.cache.fail(key, reason)
        return Failure(reason)

    async def _calibrate(self, line: Line) -> None:
        """Ask about news without content.  Where draws are all there is, nothing is subtracted: their prior is Dirichlet's."""
        if not self.settings.calibration.contextual or self.stopped:
            return
        priors = []
        for piece in self.prompt.content_free():
            try:
                opinion = await self._opinion(line, self.prompt.render(piece))
            except CapReached as error:
                self.stopped = str(error)
                return
            except Fault as fault:
                self.stopped = f"the server at {self.settings.server.url} gives no answer to news without content: {fault}"
                return
            except (Unlabelled, Overrun):
                continue
            priors += [] if opinion.drawn else [opinion.probabilities]
        if priors:
            self.calibration = Calibration(averaged(priors), self.settings.calibration.temperature)

    # -- one opinion

    async def _opinion(self, line: Line, content: str) -> Opinion:
        """What the samples say together: mean probabilities, or counted draws where the server gives no log-probabilities."""
        chat = self.settings.server.api == "chat" or (self.settings.server.api == "auto" and self._known("chat"))
        parts = []
        for sample in range(self.settings.thinking.samples):
            if not chat:
                try:
                    parts.append(await self._completed(line, content, sample))
                    continue
                except NoSuchPath:
                    if self.settings.server.api != "auto" or parts:
                        raise
                    self._learn("chat")
                    chat = True
            parts.append(await self._chatted(line, content, sample))
        return self._together(parts)

    def _together(self, parts: Sequence[Sample]) -> Opinion:
        least = self.settings.calibration.least_mass
        listed: list[Five] = [from_top(part.answer.top, least_mass=least) for part in parts if part.answer.top]
        drawn = len(listed) < len(parts)
        labels = [self._read(part.answer)[0] for part in parts] if drawn else []
        samples = [from_draws([label]) for label in labels] if drawn else listed
        probabilities = from_draws(labels) if drawn else averaged(listed)
        calls = [reply for part in parts for reply in part.calls]
        return Opinion(
            probabilities,
            tuple(samples),
            drawn,
            thought=parts[0].thought.text,
            think_tokens=sum(part.thought.tokens for part in parts),
            tokens=sum(reply.usage.total for reply in calls),
            hit=sum(reply.usage.hit for reply in calls),
            miss=sum(reply.usage.miss for reply in calls),
            cost=sum(reply.cost for reply in calls),
            event=most_told([part.event for part in parts]),
        )

    def _read(self, answer: Reply) -> tuple[str, str | None]:
        """(label, letter of an event) as text; the letter is None where none is asked for."""
        return read_both(answer.text) if self.prompt.event else (read_label(answer.text), None)

    async def _completed(self, line: Line, content: str, sample: int) -> Sample:
        """Think within the budget, then answer in a call of its own, and in another one tell the event where the prompt asks for it."""
        budget, replies = self.settings.thinking, []
        text = start = opened(self.template, content)
        rules = thinking(Budget(budget.cap, budget.extensions), self.prompt.wait, len(self.prompt.wait.encode()))
        thought = Thought("", 0, 0)
        try:
            ask = next(rules)
            while True:
                text += ask.append
                reply = await self.runner.reply(line, self._call("think", text, ask.limit, sample))
                replies.append(reply)
                text += reply.text.partition(CLOSE)[0]
                ask = rules.send(Piece(reply.text, reply.usage.output, reply.stopped))
        except StopIteration as done:
            thought = done.value
        text = start + thought.text + CLOSING + self.prompt.answer
        answer = await self.runner.reply(line, self._call("answer", text, 1, sample))
        if not self.prompt.event:
            return Sample(thought, answer, (*replies, answer))
        least, letters = self.settings.calibration.least_mass, self.prompt.letters
        told = from_top(answer.top, least_mass=least) if answer.top else None
        text += (LABELS[int(np.argmax(told))] if told else read_label(answer.text)) + self.prompt.event
        more = await self.runner.reply(line, self._call("event", text, 1, sample))
        event = told_event(more.top, letters, least_mass=least) if more.top else letters.get(more.text.strip())
        return Sample(thought, answer, (*replies, answer, more), event)

    def _call(self, phase: str, text: str, limit: int, sample: int) -> Call:
        """A request to /v1/completions.  The answer is asked for at temperature 1, where log-probabilities are the model's own everywhere."""
        sampling = self.settings.thinking
        body: dict[str, Any] = {"model": self.settings.server.model, "prompt": text, "max_tokens": limit, "seed": sampling.seed + sample}
        if phase == "think":
            body |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "stop": [CLOSE]}
        else:
            body |= {"temperature": 1.0, "logprobs": TOP}
        return Call("completions", phase, body, text, limit)

    async def _chatted(self, line: Line, content: str, sample: int) -> Sample:
        """Think and answer in one call, where a server offers no other; its cap holds for both.  DeepSeek's reasoner refuses log-probabilities."""
        sampling, limit = self.settings.thinking, max(self.settings.thinking.cap, ANSWER)
        body: dict[str, Any] = {"model": self.settings.server.model, "messages": [{"role": "user", "content": content}], "max_tokens": limit}
        body |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": sampling.seed + sample}
        listing = {"logprobs": True, "top_logprobs": TOP}
        try:
            chosen = body if self._known("no logprobs") else body | listing
            reply = await self.runner.reply(line, Call("chat", "chat", chosen, content, limit))
        except Fault as fault:
            if str(fault) not in ("HTTP 400", "HTTP 422") or self._known("no logprobs"):
                raise
            reply = await self.runner.reply(line, Call("chat", "chat", body, content, limit))
            self._learn("no logprobs")
        letter = None
        with suppress(Unlabelled):  # the label may be told by log-probabilities all the same
            letter = self._read(reply)[1]
        return Sample(Thought(reply.thought, reply.usage.output, 0), reply, (reply,), self.prompt.letters.get(letter or ""))

    def _known(self, trait: str) -> bool:
        """What an earlier call taught about this server; kept, so that a rerun asks the same questions."""
        return self.cache.get(key_of("trait", self.settings.server.url, self.settings.server.model, trait)) is not None

    def _learn(self, trait: str) -> None:
        self.cache.put(key_of("trait", self.settings.server.url, self.settings.server.model, trait), "")


def read_template(folder: str) -> str:
    """The chat template of a model's folder; R1's own where none is named."""
    file = Path(folder) / "chat_template.jinja" if folder else FOLDER / "r1.jinja"
    if not file.is_file():
        raise KestrelError(f"There is no chat template {file}. Point sentiment.server.template at the model's folder, or leave it out for R1's.")
    return file.read_text(encoding="utf-8")


def opened(template: str, content: str) -> str:
    """The prompt up to where thinking begins, whether or not the template opens the thought itself.

    It has no begin-of-text token: servers put it in front themselves.
    """
    messages = [{"role": "user", "content": content}]
    text = _compiled(template).render(messages=messages, content=content, add_generation_prompt=True, bos_token="", eos_token="")
    return text.rstrip().removesuffix(OPEN) + f"{OPEN}\n"


@cache
def _compiled(template: str) -> "Template":
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(template)
