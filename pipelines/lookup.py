"""Lookup: a run by any of its names: its folder, a piece of the folder's name, `latest`, or MLflow's name or id of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from data.errors import KestrelError
from pipelines.config import Config
from pipelines.runs import DONE, latest

LATEST = "latest"
KINDS = ("backtest", "train")
SHOWN = 5  # runs that a message names


class Found(NamedTuple):
    """A finished run, and the model of it that was meant, if any."""

    folder: Path
    model: str | None = None

    @property
    def kind(self) -> str:
        """'train' or 'backtest'."""
        return self.folder.name.partition("-")[0]


def find(config: Config, name: str, kinds: Sequence[str] = KINDS) -> Found:
    """The finished run of one of these kinds that a name means; `run/model` means one model of it.

    `latest` is the newest one of the first kind.  MLflow is asked only where no folder has the name.
    Raises KestrelError where nothing or more than one run is meant.
    """
    run, _, model = name.partition("/")
    if run == LATEST:
        return Found(latest(Path(config.runs), kinds[0]), model or None)
    there = [path for kind in kinds for path in sorted(Path(config.runs).glob(f"{kind}-*")) if (path / DONE).is_file()]
    meant = [path for path in there if path.name == run] or [path for path in there if len(run) > 2 and run in path.name]
    if len(meant) > 1:
        some = ", ".join([*(path.name for path in meant[:SHOWN]), *(["…"] if len(meant) > SHOWN else [])])
        raise KestrelError(f"'{run}' means {len(meant)} runs: {some}. Write more of its name.")
    if meant:
        return Found(meant[0], model or None)
    return _logged(config, name, there)


def _logged(config: Config, name: str, there: Sequence[Path]) -> Found:
    """The run that MLflow knows by a name or an id."""
    from pipelines.experiments import Experiments

    tags = Experiments(Path(config.runs), config.tracking).tags(name)
    folder = next((path for path in there if path.name == tags.get("kestrel.run")), None)
    if folder is None:
        known = ", ".join(path.name for path in sorted(there, key=lambda path: -(path / DONE).stat().st_mtime_ns)[:SHOWN]) or "none"
        where = f" MLflow knows it as {tags['kestrel.run']}, whose folder is gone." if "kestrel.run" in tags else ""
        raise KestrelError(f"There is no finished run '{name}' in {config.runs}.{where} The newest are: {known}.")
    return Found(folder, tags.get("kestrel.model"))
