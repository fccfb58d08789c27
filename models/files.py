"""A saved model: one folder with model.json and plain files beside it, each known by its sha256.  Nothing is pickled.

model.json: {"format", "model", "state", "files": {name: sha256}, "sha256" of the rest}.  It is written last, so that a folder
with a model.json is complete.  The sums reveal damage and edits; they don't prove who wrote the folder.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from data.errors import KestrelError

FORMAT = 1
HEAD = "model.json"


@dataclass(frozen=True)
class Saved:
    """What a folder holds: the model's plain name, its state as JSON values, its other files."""

    model: str
    state: dict[str, Any]
    files: dict[str, bytes]

    def settings(self, kind: type[BaseModel]) -> Any:
        """state["settings"] as that kind of settings, checked again; raises KestrelError for settings of another version."""
        try:
            return kind.model_validate_json(json.dumps(self.state["settings"]))
        except ValidationError as error:
            raise KestrelError(f"A saved {self.model} has settings that this version doesn't know: {error}. Run: kestrel train") from None


def write(folder: Path, model: str, state: Mapping[str, object], files: Mapping[str, bytes] | None = None) -> None:
    """Save a model's state and files in the folder, replacing an older save."""
    folder.mkdir(parents=True, exist_ok=True)
    files = files or {}
    (folder / HEAD).unlink(missing_ok=True)
    for name, content in files.items():
        _replace(folder / name, content)
    sums = {name: _sum(content) for name, content in files.items()}
    head: dict[str, object] = {"format": FORMAT, "model": model, "state": dict(state), "files": sums}
    head["sha256"] = _sum(_canonical(head))
    _replace(folder / HEAD, json.dumps(head, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False).encode())


def read(folder: Path) -> Saved:
    """The saved model of a folder; raises KestrelError where it is absent, of another format, damaged or edited."""
    try:
        head = json.loads((folder / HEAD).read_bytes())
        stated = head.pop("sha256")
        kept = head["format"]
    except FileNotFoundError:
        raise KestrelError(f"{folder} holds no {HEAD}, so it is no saved model. Run: kestrel train") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KestrelError(f"{folder / HEAD} can't be read as a saved model. Restore it, or run: kestrel train") from None
    if kept != FORMAT:
        raise KestrelError(f"{folder / HEAD} has format {kept}, this version reads format {FORMAT}. Run: kestrel train")
    if stated != _sum(_canonical(head)):
        raise _changed(folder / HEAD)
    files = {name: _content(folder / name, expected) for name, expected in head["files"].items()}
    return Saved(head["model"], head["state"], files)


def saved_as(folder: Path, *names: str) -> Saved:
    """`read`, but raises KestrelError where the folder holds another kind of model than one of these."""
    saved = read(folder)
    if saved.model not in names:
        raise KestrelError(f"{folder} holds a {saved.model}, not a {' or '.join(names)}.")
    return saved


def _content(path: Path, expected: str) -> bytes:
    if not path.is_file():
        raise KestrelError(f"{path} is missing from a saved model. Restore it, or run: kestrel train")
    content = path.read_bytes()
    if _sum(content) != expected:
        raise _changed(path)
    return content


def _changed(path: Path) -> KestrelError:
    return KestrelError(f"{path} isn't what was saved (its sha256 differs). Restore it, or run: kestrel train")


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _canonical(head: Mapping[str, object]) -> bytes:
    return json.dumps(head, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(content)
    os.replace(beside, path)
