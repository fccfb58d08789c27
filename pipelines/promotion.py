"""The section [promotion]: what a challenger must show before it takes the champion's place."""

from pydantic import BaseModel, ConfigDict, Field


class PromotionSettings(BaseModel):
    """Evidence asked for.

    sessions: at least so many that chose neither model.  chance: that a challenger worth no more than the champion passes, over all
    challengers that were tried on overlapping dates.  gain: net return a year that it must be above.  block: sessions that hang together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sessions: int = Field(default=120, ge=20)
    chance: float = Field(default=0.05, gt=0, lt=0.5)
    gain: float = 0.0
    block: int = Field(default=20, ge=1)
