import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from data.errors import KestrelError
from models import files
from models.blend import Blend, BlendSettings
from models.registry import KINDS, create, enlist, kind, load
from models.ridge import RidgeSettings
from models.trees import TreeSettings


def test_every_name_makes_the_model_of_that_name() -> None:
    assert {name: create(name).name for name in KINDS} == {name: "blend" if name == "default" else name for name in KINDS}


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


def test_the_default_is_a_blend_of_known_models() -> None:
    shipped = create("default")
    assert isinstance(shipped, Blend)
    assert {member.name for member in shipped.members} <= set(KINDS)


@pytest.mark.parametrize("members", [("ridge", "ridge"), ("blend", "ridge"), ("default", "ridge"), ()])
def test_a_blend_names_each_member_once_and_not_itself(members: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError):
        BlendSettings(members=members)


def test_the_registry_imports_no_learning_library() -> None:
    code = "import sys, models.registry; sys.exit(any(name in sys.modules for name in ('lightgbm', 'torch', 'sklearn', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


OWN = """
from pydantic import BaseModel
from models.ridge import Ridge

class Mine(Ridge):
    name = f"{__name__}:Mine"

class Other(Ridge):
    name = "other"

class Mute:
    name = f"{__name__}:Mute"
    def fit(self): ...
    def save(self): ...

class Needy(Ridge):
    name = f"{__name__}:Needy"
    class Settings(BaseModel):
        depth: int

class Odd(Ridge):
    name = f"{__name__}:Odd"
    Settings = dict

thing = 3
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a module with models of a user's."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "registry_own.py").write_text(OWN)
    sys.path.append(str(folder))
    return "registry_own"


def test_a_users_model_is_made_by_its_name_and_loaded_once_it_was_named(own: str, tmp_path: Path) -> None:
    files.write(tmp_path, f"{own}:Mine", {"settings": RidgeSettings().model_dump(mode="json"), "names": ["a"], "weights": [1.0], "rank_ics": []})
    with pytest.raises(KestrelError, match=r"'registry_own:Mine' is not a model\..*your own as package.module:Name"):
        load(tmp_path)  # a folder doesn't decide what is imported
    assert type(create(f"{own}:Mine")).__name__ == "Mine"
    assert load(tmp_path).name == f"{own}:Mine"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("registry_nowhere:Mine", "registry_nowhere:Mine can't be imported"),
        ("registry_own:Nobody", "registry_own has no class Nobody"),
        ("registry_own:thing", "registry_own has no class thing"),
        ("registry_own:Mute", "has no score and no load. A model has fit, score, save, load"),
        ("registry_own:Other", "goes by another name, 'other'. Write in its class: name = \"registry_own:Other\""),
        ("registry_own:Needy", "its settings fails: ValidationError"),
        ("registry_own:Odd", "its Settings must be a pydantic model whose fields all have defaults"),
    ],
)
def test_what_is_wrong_with_a_users_model_is_said(own: str, name: str, said: str) -> None:
    with pytest.raises(KestrelError, match=re.escape(said)):
        enlist(name)
