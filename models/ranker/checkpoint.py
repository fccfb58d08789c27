"""Checkpoints of a training, one folder an epoch: all that its next epoch depends on, in safetensors and JSON.

A new checkpoint is complete before the old one goes, so a training killed at any moment is taken up from its last whole epoch.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load, save
from torch import Tensor

from data.errors import KestrelError
from models import files
from models.ranker.settings import RankerSettings

if TYPE_CHECKING:
    from models.ranker.course import Course
    from models.ranker.step import Lessons

KIND = "ranker_checkpoint"
TENSORS = "course.safetensors"


def identities(settings: RankerSettings, seeds: Sequence[int], lessons: "Lessons") -> dict[int, str]:
    """By seed the sha256 of all that its training's numbers depend on."""
    if not seeds:
        return {}
    shared = hashlib.sha256(json.dumps([settings.model_dump(mode="json"), lessons.horizons, lessons.styles, lessons.panel.digest()]).encode())
    for array in (lessons.train, lessons.y_SNH, lessons.weight_S, lessons.valid, lessons.z_SN):
        shared.update(array.tobytes())
    return {seed: hashlib.sha256(f"{shared.hexdigest()} {seed}".encode()).hexdigest() for seed in seeds}


def keep(folder: Path, course: "Course", identity: str) -> None:
    """Write the course as it stands after its last epoch, then drop the checkpoints before it."""
    done = len(course.epochs)
    state = {"identity": identity, "steps": course.steps, "epochs": [asdict(epoch) for epoch in course.epochs], "kept": sorted(course.kept)}
    files.write(_home(folder, done), KIND, state, {TENSORS: save(_tensors(course))})
    for number in _numbers(folder):
        if number < done:
            shutil.rmtree(_home(folder, number))


def restore(folder: Path, course: "Course", identity: str) -> None:
    """Put the course where its last checkpoint left it; leaves it alone where there is none.

    Raises KestrelError where the checkpoint is another training's, or damaged.
    """
    from models.ranker.course import epoch_of

    whole = [number for number in _numbers(folder) if (_home(folder, number) / files.HEAD).is_file()]
    if not whole:
        return
    saved = files.saved_as(_home(folder, max(whole)), KIND)
    if saved.state["identity"] != identity:
        raise KestrelError(f"{folder} holds checkpoints of a training with other settings, data or seed. Name another folder, or delete it.")
    tensors = load(saved.files[TENSORS])
    course.network.load_state_dict(_under(tensors, "network"))
    course.averaged.load_state_dict(_under(tensors, "averaged"))
    course.kept = {place: _under(tensors, f"kept.{place}") for place in saved.state["kept"]}
    for place, parameter in enumerate(_parameters(course)):
        course.optimiser.state[parameter] = {key: value.clone() for key, value in _under(tensors, f"optimiser.{place}").items()}
    course.steps = saved.state["steps"]
    course.epochs = [epoch_of(record) for record in saved.state["epochs"]]


def _tensors(course: "Course") -> dict[str, Tensor]:
    parts = {"network": course.network.state_dict(), "averaged": course.averaged.state_dict()}
    parts |= {f"kept.{place}": state for place, state in course.kept.items()}
    for place, parameter in enumerate(_parameters(course)):
        parts[f"optimiser.{place}"] = course.optimiser.state[parameter]
    return {f"{part}.{name}": value.contiguous() for part, values in parts.items() for name, value in values.items()}


def _parameters(course: "Course") -> list[torch.nn.Parameter]:
    return [parameter for group in course.optimiser.param_groups for parameter in group["params"]]


def _under(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """The tensors of one part by their own names; copies, since what is read from a file lies as it did there."""
    return {name.removeprefix(f"{part}."): value.clone() for name, value in tensors.items() if name.startswith(f"{part}.")}


def _home(folder: Path, number: int) -> Path:
    return folder / f"epoch-{number:04d}"


def _numbers(folder: Path) -> list[int]:
    """Epochs that have a folder here, whole or not."""
    found = [re.fullmatch(r"epoch-(\d{4,})", path.name) for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(match[1]) for match in found if match)
