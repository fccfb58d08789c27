"""A model's tokenizer, as news needs it: control tokens stand only where the chat template puts them."""

from collections.abc import Iterable
from typing import Any

from data.errors import KestrelError
from models.sentiment.prompts import CLOSE, OPEN

MARK = "\u0001here\u0001"  # where the chat template puts the message


class Tongue:
    """The model's tokenizer: prompts as token ids, with control tokens only where the template puts them."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        vocabulary = tokenizer.get_added_vocab()
        self.size = len(tokenizer)  # a model may have more logits than there are tokens
        self.close = vocabulary.get(CLOSE)  # None: a model that doesn't think
        self.stops = {token for token in (self.close, tokenizer.eos_token_id) if token is not None}
        self._controls = sorted((token for token in vocabulary if token.strip()), key=len, reverse=True)

    def prompt(self, content: str) -> list[int]:
        """The message in the model's chat template, up to where thinking begins."""
        whole = self.tokenizer.apply_chat_template([{"role": "user", "content": MARK}], add_generation_prompt=True, tokenize=False)
        before, _, after = whole.partition(MARK)
        if self.close is not None:
            after = after.rstrip().removesuffix(OPEN) + f"{OPEN}\n"
        return [*self.trusted(before), *self.untrusted(content), *self.trusted(after)]

    def trusted(self, text: str) -> list[int]:
        """Ids of our own words."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def untrusted(self, text: str) -> list[int]:
        """Ids of a text in which nothing is a control token: whatever the tokenizer would read as one is cut first."""
        previous = None
        while previous != text:
            previous = text
            for token in self._controls:
                text = text.replace(token, "")
        return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def choices(self, before: str, options: Iterable[str]) -> list[int]:
        """The one token of each option after these words; raises KestrelError where an option has more."""
        start = self.trusted(before)
        found = {option: self.trusted(before + option) for option in options}
        if any(ids[:-1] != start for ids in found.values()):
            raise KestrelError(f"{', '.join(found)} aren't one token each after '{before}' for this tokenizer. Use another prompt.")
        return [ids[-1] for ids in found.values()]
