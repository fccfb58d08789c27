import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from data.errors import KestrelError
from models.blend import BlendSettings
from models.registry import KINDS, create, kind
from models.ridge import RidgeSettings
from models.trees import TreeSettings


def test_every_name_makes_the_model_of_that_name() -> None:
    assert {create(name).name for name in KINDS} == set(KINDS)


def test_a_misspelt_model_gets_a_suggestion() -> None:
    with pytest.raises(KestrelError, match=r"'lambdrank' is not a model\. Did you mean lambdarank"):
        kind("lambdrank")
    with pytest.raises(KestrelError, match="There are ridge, lightgbm"):
        kind("xyz")


def test_settings_reach_the_members_of_a_blend() -> None:
    blend = create("blend", {"blend": BlendSettings(members=("ridge",)), "ridge": RidgeSettings(horizon=1)})
    assert blend.members[0].settings.horizon == 1  # type: ignore[attr-defined]


def test_settings_must_fit_the_name() -> None:
    with pytest.raises(ValueError, match="ridge takes RidgeSettings"):
        create("ridge", {"ridge": TreeSettings()})
    with pytest.raises(KestrelError, match="make it a lambdarank"):
        create("lightgbm", {"lightgbm": TreeSettings(label="grades")})


@pytest.mark.parametrize("members", [("ridge", "ridge"), ("blend", "ridge"), ()])
def test_a_blend_names_each_member_once_and_not_itself(members: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        BlendSettings(members=members)


def test_the_registry_imports_no_learning_library() -> None:
    code = "import sys, models.registry; sys.exit(any(name in sys.modules for name in ('lightgbm', 'torch', 'sklearn', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
