"""How news is scored: which scorer, how long it may think, which server is asked, and what that may cost."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt


class Section(BaseModel):
    """What every part of the section [sentiment] is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ThinkingSettings(Section):
    """How long a model reasons before it answers, and how it samples.  Defaults are R1's own advice: 0.6, 0.95, no system prompt."""

    cap: NonNegativeInt = 512  # tokens of thinking in all, extensions among them; 0: none
    extensions: NonNegativeInt = 0  # how often a model that stops early is told to wait
    temperature: PositiveFloat = 0.6
    top_p: float = Field(default=0.95, gt=0, le=1)
    samples: PositiveInt = 1  # answers averaged; where a server gives no log-probabilities, draws that are counted
    seed: int = 0


class CalibrationSettings(Section):
    """From raw label probabilities to ones that mean what they say."""

    contextual: bool = True  # divide by what the model answers to news without content
    temperature: PositiveFloat = 1.0  # as `kestrel sentiment calibrate` fits it, on past labels alone
    least_mass: float = Field(default=0.1, ge=0, lt=1)  # of the five labels among all tokens; below, the model gave no answer


class ServerSettings(Section):
    """An OpenAI-compatible server.  Its key is in the environment variable that `key` names, and nowhere else."""

    url: str = "http://127.0.0.1:8000/v1"
    model: str = "deepseek-r1-distill-qwen-7b"  # as the server calls it
    weights: str = ""  # which weights it serves (a revision, a quantisation): part of every cache key
    api: Literal["auto", "completions", "chat"] = "auto"
    template: str = ""  # a folder with the model's chat template; by default R1's own
    provider: str = "local"  # whose prices hold; "local" costs nothing
    key: str = "KESTREL_LLM_KEY"
    concurrency: PositiveInt = 64
    tries: PositiveInt = 5
    patience: PositiveFloat = 1.0  # seconds before the second try, doubled each time
    longest: PositiveFloat = 60.0  # seconds that a pause grows to, and that a Retry-After is obeyed for
    timeout: PositiveFloat = 600.0


class SpendingSettings(Section):
    """What calls may cost.  Reserved at the worst before a call, settled after it; what a killed run left open counts at its worst."""

    cap: NonNegativeFloat = 20.0  # CNY a calendar month
    allow_unpriced: bool = False  # ask models that the price table doesn't know, as if they were free
    prices: str = ""  # a TOML file in place of the table that comes along


class LocalSettings(Section):
    """A model in a folder, run by transformers."""

    folder: str = ""  # safetensors, or one GGUF file
    batch: PositiveInt = 8
    device: Literal["auto", "cpu", "cuda"] = "auto"


class SentimentSettings(Section):
    """The section [sentiment]."""

    scorer: str = "lexicon"  # one of models/sentiment/scorers.py
    prompt: str = "score-1"
    cache: str = "answers.db"  # answers of models, what they cost, and what failed
    near: float = Field(default=0.9, gt=0, le=1)  # Jaccard similarity of character 3-grams from which two pieces count as one
    latency: NonNegativeFloat = 0.0  # minutes from a piece's publication to having read it
    student: str = ""  # a folder that `kestrel sentiment distil` made
    events: str = ""  # one that `kestrel sentiment distil --events` made, by which the student tells events too
    aliases: str = ""  # CSV with symbol, alias, start and, where it ended, end
    thinking: ThinkingSettings = ThinkingSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    server: ServerSettings = ServerSettings()
    local: LocalSettings = LocalSettings()
    spending: SpendingSettings = SpendingSettings()
