"""The scorers by their plain names: what the config may name in [sentiment] scorer."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from data.errors import KestrelError
from models.sentiment.answers import Scorer
from models.sentiment.cache import Cache
from models.sentiment.server import Surroundings
from models.sentiment.settings import SentimentSettings

Make = Callable[[SentimentSettings, Callable[[], Cache], Surroundings], Scorer]


@dataclass(frozen=True)
class Kind:
    """One entry.  make: the scorer, given settings, the cache's opener and surroundings.

    dear: whether an answer costs more than finding out that a near-duplicate has one.  keyed: whether it needs a server's key.
    """

    about: str
    make: Make
    dear: bool = False
    keyed: bool = False


# h11, transformers and torch are imported by the scorers when they are made or asked, so this table costs nothing.


def _lexicon(settings: SentimentSettings, cache: Callable[[], Cache], around: Surroundings) -> Scorer:
    from models.sentiment.lexicon import Lexicon

    del settings, cache, around
    return Lexicon()


def _openai(settings: SentimentSettings, cache: Callable[[], Cache], around: Surroundings) -> Scorer:
    from models.sentiment.server import ServerScorer

    return ServerScorer(settings, cache(), around)


def _local(settings: SentimentSettings, cache: Callable[[], Cache], around: Surroundings) -> Scorer:
    from models.sentiment.local import LocalScorer

    return LocalScorer(settings, cache(), report=around.report)


def _student(settings: SentimentSettings, cache: Callable[[], Cache], around: Surroundings) -> Scorer:
    from models.sentiment.student.scorer import StudentScorer

    del cache, around
    if not settings.student:
        raise KestrelError("sentiment.student names no folder. Make one: kestrel sentiment distil FOLDER --teacher SCORER")
    return StudentScorer(Path(settings.student), Path(settings.events) if settings.events else None)


KINDS: dict[str, Kind] = {
    "student": Kind("a student distilled from another scorer: no network, no GPU", _student),
    "openai": Kind("any OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, DeepSeek", _openai, dear=True, keyed=True),
    "local": Kind("a model in a folder, run here by transformers", _local, dear=True),
    "lexicon": Kind("a list of words with negation: the baseline", _lexicon),
}


def kind(name: str) -> Kind:
    """The entry of that name; raises KestrelError with the nearest one."""
    if name not in KINDS:
        near = get_close_matches(name, KINDS, n=1)
        raise KestrelError(f"'{name}' is not a scorer. " + (f"Did you mean {near[0]}?" if near else f"There are {', '.join(KINDS)}."))
    return KINDS[name]
