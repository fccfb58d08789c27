"""The registry's champion scores the batch, and another follows it by a trial."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from data.errors import KestrelError
from data.lake import open_lake
from pipelines.champion import CHALLENGER, CHAMPION, aliased, registered, retrain, trial
from pipelines.config import Config
from pipelines.runs import latest
from pipelines.train import train

OfficeIn = Callable[..., Config]
DAY = date(2026, 6, 30)


def test_the_first_choice_is_champion_and_the_next_has_to_beat_it(office: Path, office_in: OfficeIn) -> None:
    lake, config = open_lake(office / "lake"), office_in(office, batch__model=CHAMPION, batch__trial=40)
    with pytest.raises(KestrelError, match="no model with the alias 'champion'"):
        registered(config, CHAMPION, DAY)
    first = retrain(lake, config)
    assert (first["outcome"], first["why"]) == ("champion", "the first one")
    assert retrain(lake, config)["outcome"] == "champion already"
    held = registered(config, CHAMPION, DAY)
    assert held.model == first["model"]
    other = office_in(office, train__models=["five_factors"], batch__trial=40)
    found = retrain(lake, other)
    assert found["outcome"] == CHALLENGER  # another idea
    assert "kestrel promote" in found["why"]
    assert first["training"] in found["why"]
    tags = aliased(config, found["outcome"])
    assert tags is not None
    assert tags["training"] == found["training"]
    same = (office / "runs" / first["training"], first["model"])
    assert trial(lake, config, same, same).mean == 0.0


def test_a_champion_whose_files_changed_is_refused(office: Path, office_in: OfficeIn) -> None:
    lake, config = open_lake(office / "lake"), office_in(office)
    train(lake, config)
    retrain(lake, config)
    (home,) = registered(config, CHAMPION, DAY).homes[retrain(lake, config)["model"]]
    (home / "model.json").write_bytes((home / "model.json").read_bytes() + b"\n")
    with pytest.raises(KestrelError, match="isn't what was registered"):
        registered(config, CHAMPION, DAY)
    assert latest(office / "runs", "train").is_dir()
