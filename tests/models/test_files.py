from pathlib import Path

import pytest

from data.errors import KestrelError
from models import files
from models.ridge import RidgeSettings


def test_what_is_written_is_read(tmp_path: Path) -> None:
    files.write(tmp_path, "ridge", {"weights": [0.1, 1e-300, -3.0]}, {"a.txt": b"x"})
    saved = files.read(tmp_path)
    assert (saved.model, saved.state, saved.files) == ("ridge", {"weights": [0.1, 1e-300, -3.0]}, {"a.txt": b"x"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "model.json"]


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(KestrelError, match=r"holds no model.json.*kestrel train"):
        files.read(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "\x00\xff"])
def test_a_broken_head_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(KestrelError, match="can't be read"):
        files.read(tmp_path)


def test_a_missing_or_changed_file_is_named(tmp_path: Path) -> None:
    files.write(tmp_path, "ridge", {}, {"a.txt": b"x"})
    (tmp_path / "a.txt").write_bytes(b"y")
    with pytest.raises(KestrelError, match=r"a.txt isn't what was saved"):
        files.read(tmp_path)
    (tmp_path / "a.txt").unlink()
    with pytest.raises(KestrelError, match=r"a.txt is missing"):
        files.read(tmp_path)


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FORMAT", 9)
    files.write(tmp_path, "ridge", {})
    monkeypatch.undo()
    with pytest.raises(KestrelError, match="has format 9"):
        files.read(tmp_path)


def test_settings_of_another_version_are_refused(tmp_path: Path) -> None:
    files.write(tmp_path, "ridge", {"settings": {"gamma": 1}})
    with pytest.raises(KestrelError, match="gamma"):
        files.read(tmp_path).settings(RidgeSettings)
