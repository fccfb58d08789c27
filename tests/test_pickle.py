"""Nothing of the project pickles or unpickles: a pickle that somebody else wrote is a program that runs when it is read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = ("data", "factors", "models", "backtest", "pipelines", "examples", "benchmarks", "tests")
MODULES = {"pickle", "_pickle", "cPickle", "dill", "joblib", "cloudpickle", "marshal", "shelve", "jsonpickle", "pandas.io.pickle"}
CALLS = {
    "torch.load",
    "torch.save",
    "read_pickle",
    "to_pickle",
    "torch.jit.load",
    "torch.package",
    "lightgbm.sklearn",
    "mlflow.pyfunc",
    "mlflow.sklearn",
}


def found(text: str) -> Iterator[str]:
    """Every import and call in Python code that could pickle or unpickle, by its line."""
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names = [str(part.value) for part in node.args if isinstance(part, ast.Constant)]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            yield f"line {node.value.lineno}: allow_pickle"
        for name in names:
            if {name, name.partition(".")[0]} & MODULES or _calls(name):
                yield f"line {getattr(node, 'lineno', 0)}: {name}"


def _calls(name: str) -> bool:
    return not name.startswith("safetensors.") and any(name == call or name.endswith(f".{call}") for call in CALLS)


@pytest.mark.parametrize("folder", CODE)
def test_no_code_of_the_project_pickles(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert {str(file): lines for file in files if (lines := list(found(file.read_text(encoding="utf-8"))))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "import os, pickle as p",
        "from pickle import loads",
        "def f():\n    import cloudpickle",
        "import joblib.memory",
        "from pandas import read_pickle",
        "import torch\ntorch.load('x')",
        "frame.to_pickle('x')",
        "np.load('x', allow_pickle=True)",
        "np.load('x', allow_pickle=flag)",
        "importlib.import_module('dill')",
        "__import__('marshal')",
        "from torch import load",
    ],
)
def test_each_way_to_pickle_is_found(text: str) -> None:
    assert list(found(text))


def test_what_only_looks_like_it_is_not_found() -> None:
    assert not list(found("np.load('x', allow_pickle=False)\nnp.load('x')\njson.load(file)\nmodel.load(folder)\nload_file('pickle.safetensors')"))
