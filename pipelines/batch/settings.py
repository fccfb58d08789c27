"""The section [batch]: when it is due, what it fetches, which model and book it takes, what stops it, and who is told."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class NoticeSettings(BaseModel):
    """Who is told what came of a batch: a command that reads it as JSON on stdin, or a URL that it is posted to.  Nobody is waited for.

    The config is kept with every run: a URL that is a secret stands in it as ${NAME}, by the name of an environment variable.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command: Annotated[tuple[str, ...], Field(strict=False)] = ()
    webhook: str = ""
    on: Literal["always", "trouble"] = "always"  # trouble: refusals and warnings


class BatchSettings(BaseModel):
    """How `kestrel signal` works by itself.

    hour: o'clock in Shanghai from which a session is due.  model: "latest" takes the choice of the latest training, anything else is
    an alias of the registry.  model_age: sessions since the last one that a model saw, at most.  trial: sessions on which a challenger
    meets the champion.  book: "empty", "paper", or a file as for --positions.  coverage: the part of the stocks of the session before
    that must have a bar.  stale: the part of the traded stocks whose bar may repeat that of the session before.
    news: what follows from a feed without a piece in the news_days calendar days before the session.
    window: sessions that are checked, and that today's factors are held against.  drift: deviations of that window by which a factor's
    mean, spread or presence may be off.  score_correlation: of ranks with those of the session before, the least.  exposure: to a style,
    in deviations of the index's members, the most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    hour: int = Field(default=17, ge=15, le=23)
    fetch: bool = False
    source: str = "auto"
    model: str = "latest"
    model_age: int = Field(default=750, ge=1)
    trial: int = Field(default=120, ge=20)
    book: str = "empty"
    coverage: float = Field(default=0.95, gt=0, le=1)
    stale: float = Field(default=0.5, gt=0, le=1)
    news: Literal["ignore", "warn", "require"] = "warn"
    news_days: int = Field(default=4, ge=1)
    score_news: bool = False  # by [sentiment], within its budget
    window: int = Field(default=60, ge=20)
    drift: float = Field(default=6.0, gt=0)
    score_correlation: float = Field(default=0.3, ge=-1, le=1)
    exposure: float = Field(default=1.0, gt=0)
    notice: NoticeSettings = NoticeSettings()
