"""A model in a folder, run by transformers: safetensors or one GGUF file.  No code of the model's folder is ever executed.

Every piece is a row of a batch, padded on the left, with a state of its own: it thinks, is told to wait, is closed, and answers.
All rows go forward one token a step through one key-value cache, so no phase reads again what an earlier one read.
"""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import KestrelError
from models.sentiment.answers import Answer, Failure, News
from models.sentiment.cache import Cache, key_of
from models.sentiment.defence import quarantine
from models.sentiment.labels import LABELS, Calibration, Unlabelled, from_logs, told_event
from models.sentiment.opinions import Opinion, averaged, most_told, settled_name
from models.sentiment.prompts import CLOSING, prompt
from models.sentiment.runner import Report, Tally, unreported
from models.sentiment.settings import SentimentSettings
from models.sentiment.thinking import Budget, Piece, Thought, thinking
from models.sentiment.tongue import Tongue
from models.sentiment.weights import fingerprint, load

if TYPE_CHECKING:
    import torch


@dataclass
class Row:
    """One piece under way.  queue: ids to be fed before anything is sampled.  logs, letters: log-probabilities of labels and events, once there."""

    key: bytes
    rules: Any
    queue: deque[int]
    generator: "torch.Generator"
    written: list[int] = field(default_factory=list)
    limit: int = 0
    spent: int = 0  # tokens sampled
    thought: Thought | None = None
    logs: list[float] | None = None
    letters: list[float] | None = None
    done: bool = False


class LocalScorer:
    """Scores on this machine."""

    def __init__(self, settings: SentimentSettings, cache: Cache, *, report: Report = unreported) -> None:
        if not settings.local.folder:
            raise KestrelError("There is no model folder named. Put weights into one: --set sentiment.local.folder=DIR")
        folder = Path(settings.local.folder)
        self.settings, self.cache, self.report = settings, cache, report
        self.model, tokenizer = load(folder, settings.local.device)
        self.tongue = Tongue(tokenizer)
        self.prompt = prompt(settings.prompt)
        self.labels = self.tongue.choices(self.prompt.answer, LABELS)
        self.letters = self.tongue.choices(self.prompt.event, self.prompt.letters)
        self.weights = fingerprint(folder)
        self.name = settled_name(folder.stem, self.prompt, settings, self.weights)
        self.calibration = Calibration(temperature=settings.calibration.temperature)
        self.tally = Tally()
        self._prior_known = not settings.calibration.contextual

    def score(self, news: Sequence[News]) -> list[Answer | Failure]:
        """One answer or failure a piece, in order.  Pieces of similar length share a batch."""
        self._learn_prior()
        self.tally.of += len(news)
        found: list[Answer | Failure] = [Failure("not asked")] * len(news)
        questions: dict[str, list[int]] = {}
        for place, piece in enumerate(news):
            reason = quarantine((piece.title, piece.body))
            if reason:
                found[place] = Failure(reason)
            else:
                questions.setdefault(self.prompt.render(piece), []).append(place)
        ordered = sorted(questions, key=len)
        size = self.settings.local.batch
        for start in range(0, len(ordered), size):
            batch = ordered[start : start + size]
            for content, outcome in zip(batch, self._outcomes(batch), strict=True):
                for place in questions[content]:
                    found[place] = outcome
            self.tally.pieces += sum(len(questions[content]) for content in batch)
            self.report(self.tally)
        self.tally.failures += sum(isinstance(outcome, Failure) for outcome in found)
        self.tally.pieces = self.tally.of
        return found

    def _outcomes(self, contents: Sequence[str]) -> list[Answer | Failure]:
        found: list[Answer | Failure] = []
        for content, opinion in zip(contents, self._opinions(contents), strict=True):
            if isinstance(opinion, Failure):
                found.append(opinion)
                continue
            calibrated = opinion.calibrated(self.calibration)
            self.cache.put(key_of("outcome", self.name, content), json.dumps(calibrated.record(), ensure_ascii=False))
            found.append(calibrated.answer)
        return found

    def _learn_prior(self) -> None:
        """Ask once about news without content."""
        if self._prior_known:
            return
        opinions = self._opinions([self.prompt.render(piece) for piece in self.prompt.content_free()])
        priors = [opinion.probabilities for opinion in opinions if isinstance(opinion, Opinion)]
        if priors:
            self.calibration = Calibration(averaged(priors), self.settings.calibration.temperature)
        self._prior_known = True

    def _opinions(self, contents: Sequence[str]) -> list[Opinion | Failure]:
        """What the samples of each message say together."""
        samples = self.settings.thinking.samples
        asked = [(content, sample) for content in contents for sample in range(samples)]
        answered = self._answered(asked)
        found: list[Opinion | Failure] = []
        for start in range(0, len(asked), samples):
            parts = answered[start : start + samples]
            try:
                probabilities = [from_logs(part["logs"], least_mass=self.settings.calibration.least_mass) for part in parts]
            except Unlabelled as error:
                found.append(Failure(str(error)))
                continue
            tokens, think = (sum(part[name] for part in parts) for name in ("tokens", "think"))
            event = most_told([self._event(part.get("letters")) for part in parts])
            found.append(Opinion(averaged(probabilities), tuple(probabilities), False, parts[0]["thought"], think, tokens, event=event))
        return found

    def _event(self, logs: Sequence[float] | None) -> str | None:
        """The event that a sample tells, given the letters' log-probabilities."""
        return None if logs is None else told_event(dict(zip(self.prompt.letters, logs, strict=True)), self.prompt.letters, least_mass=0.0)

    def _answered(self, asked: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
        """Thought, tokens and log-probabilities of each (message, sample); what the cache has isn't computed again."""
        prompts = [self.tongue.prompt(content) for content, _ in asked]
        keys = [self._key(ids, sample) for ids, (_, sample) in zip(prompts, asked, strict=True)]
        kept = {key: self.cache.get(key) for key in keys}
        missing = [place for place, key in enumerate(keys) if kept[key] is None]
        for start in range(0, len(missing), self.settings.local.batch):
            places = missing[start : start + self.settings.local.batch]
            rows = [self._row(keys[place], asked[place][1]) for place in places]
            self._run(rows, [prompts[place] for place in places])
            for row, place in zip(rows, places, strict=True):
                assert row.thought is not None
                tokens = len(prompts[place]) + row.spent + 1 + (row.letters is not None)
                part = {"thought": row.thought.text, "think": row.thought.tokens, "tokens": tokens, "logs": row.logs, "letters": row.letters}
                kept[row.key] = json.dumps(part, ensure_ascii=False)
                self.cache.put(row.key, str(kept[row.key]))
                self.tally.tokens += tokens
                self.tally.calls += 1
        self.tally.cached += len(keys) - len(missing)
        return [json.loads(str(kept[key])) for key in keys]

    def _key(self, ids: Sequence[int], sample: int) -> bytes:
        sampling = (
            f"{self.settings.thinking.model_dump_json(exclude={'samples'})} {sample} {self.prompt.answer} {self.prompt.wait}{self.prompt.event}"
        )
        return key_of("local", self.weights, json.dumps(ids), sampling)

    # -- rows

    def _row(self, key: bytes, sample: int) -> Row:
        """A row about to think.  Its chance depends on its own prompt and sample alone, so that the batch it is in changes nothing."""
        import torch

        thinks = self.settings.thinking
        cap = thinks.cap if self.tongue.close is not None else 0
        wait = self.tongue.trusted(self.prompt.wait)
        generator = torch.Generator().manual_seed(int.from_bytes(key[:7], "big") + thinks.seed + sample)
        row = Row(key, thinking(Budget(cap, thinks.extensions), self.prompt.wait, len(wait)), deque(), generator)
        self._go_on(row, None)
        return row

    def _go_on(self, row: Row, piece: Piece | None) -> None:
        """Ask the rules what comes next, and queue the words that are put in."""
        try:
            ask = next(row.rules) if piece is None else row.rules.send(piece)
        except StopIteration as done:
            row.thought = done.value
            closing = CLOSING if self.tongue.close is not None else ""
            row.queue.extend(self.tongue.trusted(closing + self.prompt.answer))
            return
        row.queue.extend(self.tongue.trusted(ask.append) if ask.append else ())
        row.limit, row.written = ask.limit, []

    def _run(self, rows: Sequence[Row], prompts: Sequence[list[int]]) -> None:
        """Take all rows forward until each has answered.  What is queued at the start is read with the prompt, in one go."""
        import torch

        starts = [[*ids, *row.queue] for ids, row in zip(prompts, rows, strict=True)]
        for row in rows:
            row.queue.clear()
        longest = max(map(len, starts))
        pad = int(self.tongue.tokenizer.pad_token_id or 0)
        ids_BT = torch.tensor([[pad] * (longest - len(ids)) + ids for ids in starts], device=self.model.device)
        mask_BT = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in starts], device=self.model.device)
        positions_BT = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
        past = None
        while not all(row.done for row in rows):
            with torch.inference_mode():
                inputs = {"input_ids": ids_BT, "attention_mask": mask_BT, "position_ids": positions_BT, "past_key_values": past}
                out = self.model(**inputs, use_cache=True, logits_to_keep=1)
            past = out.past_key_values
            logs_BV = torch.log_softmax(out.logits[:, -1, : self.tongue.size].float(), dim=-1).cpu()
            fed = [self._step(row, logs_V) for row, logs_V in zip(rows, logs_BV, strict=True)]
            live_B1 = torch.tensor([[int(token is not None)] for token in fed], device=self.model.device)
            ids_BT = torch.tensor([[pad if token is None else token] for token in fed], device=self.model.device)
            mask_BT = torch.cat([mask_BT, live_B1], dim=1)
            positions_BT = positions_BT[:, -1:] + live_B1

    def _step(self, row: Row, logs_V: "torch.Tensor") -> int | None:
        """The token that a row is fed next, given log-probabilities after the last one; None once it has answered."""
        if row.queue:
            return row.queue.popleft()
        if row.logs is not None and not row.done:
            row.letters, row.done = logs_V[self.letters].tolist(), True
        if row.done:
            return None
        if row.thought is not None:
            return self._labelled(row, logs_V)
        token = sampled(logs_V, self.settings.thinking.temperature, self.settings.thinking.top_p, row.generator)
        row.spent += 1
        closed = token in self.tongue.stops
        if not closed:
            row.written.append(token)
            row.queue.append(token)
        tokens = len(row.written) + closed
        if closed or tokens == row.limit:
            self._go_on(row, Piece(self.tongue.tokenizer.decode(row.written), tokens, closed))
        return row.queue.popleft()

    def _labelled(self, row: Row, logs_V: "torch.Tensor") -> int | None:
        """Take note of the labels; where an event is asked for, go on with the likeliest label and the words before the letter."""
        row.logs = logs_V[self.labels].tolist()
        if not self.prompt.event:
            row.done = True
            return None
        row.queue.extend(self.tongue.trusted(self.prompt.event))
        return self.labels[int(logs_V[self.labels].argmax())]


def sampled(logs_V: "torch.Tensor", temperature: float, top_p: float, generator: "torch.Generator") -> int:
    """A token drawn from the smallest set of likeliest ones that holds `top_p` of the probability."""
    import torch

    mass_V, order_V = torch.softmax(logs_V / temperature, dim=-1).sort(descending=True, stable=True)
    kept_V = torch.where(mass_V.cumsum(dim=0) - mass_V < top_p, mass_V, 0.0)
    return int(order_V[torch.multinomial(kept_V, 1, generator=generator)])
