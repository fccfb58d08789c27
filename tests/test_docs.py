"""Every block of the README files and of docs/ works: commands are parsed, configs read, and blocks marked `run` run.

A block's first line says what it is: ```toml, ```python, ```text, or ```sh with one of MARKS, which no reader sees.  A toml or python block
that names a file (```toml kestrel.toml) is written to it where its page runs.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from data.mapping import read_mapping
from pipelines.cli import main
from pipelines.config import load, parse

ROOT = Path(__file__).parent.parent
PAGES = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])}
MARKS = {
    "run": "run by this file, with the page's other ones and its files, in one empty folder",
    "example": "one command of many",
    "desk": "needs a lake and runs, a browser, or an evening",
    "pack": "needs the research pack",
    "news": "needs a language model, or labelled texts",
    "network": "fetches from the network",
    "hours": "takes long, or other programs beside",
    "gpu": "needs a GPU",
    "tests": "is a part of the tests itself",
}
LANGUAGES = ("sh", "toml", "python", "text")
FENCE = re.compile(r"^```(.*)\n((?:(?!```).*\n)*)```$", re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!http)([^)#\s]*)(#[^)\s]*)?\)")
SEPARATORS = {"&&", "||", "|", ";"}
SHELL = {"basename", "cd", "cp", "export", "for", "git", "mkdir", "printf", "."}


class Block(NamedTuple):
    """A fenced block: its language, what stands behind that, and its lines."""

    language: str
    mark: str
    text: str


def blocks(page: str) -> list[Block]:
    return [Block(*(info.split(" ", 1) if " " in info else (info, "")), text) for info, text in FENCE.findall(page)]


def commands(text: str) -> Iterator[list[str]]:
    """The simple commands of a block, without comments, assignments and redirections."""
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"^\w+=\$\((.*)\)$", r"\1", line)
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split, words = True, []
        for word in [*lexer, ";"]:
            if word not in SEPARATORS:
                words.append(word)
                continue
            while words and (re.fullmatch(r"\w+=.*", words[0]) or words[0] in ("do", "done")):
                words.pop(0)
            if words:
                yield words
            words = []


def complaint(words: list[str]) -> str | None:
    """What is wrong with a command; None where nothing is."""
    program, *rest = [word.replace("$KESTREL/", "") for word in words]
    if program == "torchrun":
        return complaint(rest[rest.index("--no-python") + 1 :])
    if program == "kestrel":
        return kestrel_complaint(rest)
    if program in ("python", "python3"):
        return python_complaint(rest)
    if program == "pytest":
        return next((f"no tests at {path}" for path in paths_of(rest) if not list(ROOT.glob(path.partition("::")[0]))), None)
    if program == "make":
        return next((f"no target {word}" for word in rest if not re.search(rf"^{word}:", (ROOT / "Makefile").read_text(), re.MULTILINE)), None)
    return None if program in SHELL or words[:2] == ["pip", "install"] else f"{program} is no program that this test knows"


def python_complaint(rest: list[str]) -> str | None:
    rest = rest[1:] if rest[0] == "-P" else rest
    if rest[0] != "-m":
        return None if "$" in rest[0] or (ROOT / rest[0]).is_file() else f"no file {rest[0]}"
    return complaint(rest[1:]) if rest[1] == "pytest" else None if find_spec(rest[1]) else f"no module {rest[1]}"


def paths_of(rest: list[str]) -> list[str]:
    """The paths among pytest's words; -m, -k and -n take the word after them."""
    return [word for before, word in zip(["", *rest], rest, strict=False) if not word.startswith("-") and before not in ("-m", "-k", "-n")]


def kestrel_complaint(rest: list[str]) -> str | None:
    """Parse the words as click does, without running anything or asking for files; then the settings they name."""
    command: click.Command = main
    context, sets = click.Context(main, info_name="kestrel"), []
    try:
        while True:
            options, rest, _ = command.make_parser(context).parse_args(list(rest))
            sets += options.get("sets", [])
            for option in command.params:
                given = options.get(option.name)
                given = None if isinstance(given, Enum) else given  # how click says that an argument is missing
                if isinstance(option, click.Argument) and option.required and given in (None, ()):
                    return f"{command.name} lacks {option.human_readable_name}"
                if given is not None and not isinstance(option.type, click.Path):
                    option.type_cast_value(context, given)
            if not isinstance(command, click.Group):
                break
            name, *rest = rest or [""]
            found = command.get_command(context, name)
            if found is None:
                return f"{command.name} has no command '{name}'"
            command, context = found, click.Context(found, info_name=name, parent=context)
        load(sets=sets)
    except Exception as error:
        return str(error)
    return f"{command.name} doesn't take {' '.join(rest)}" if rest else None


def anchors(page: str) -> set[str]:
    """The links that GitHub makes of a page's headings."""
    page = FENCE.sub("", page)
    titles = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in HEADING.findall(page)]
    return {"#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_every_block_says_what_it_is(name: str) -> None:
    for block in blocks(PAGES[name]):
        assert block.language in LANGUAGES, f"{name}: a block begins with ```{block.language}. Write one of {', '.join(LANGUAGES)}:\n{block.text}"
        known = block.language != "sh" or block.mark in MARKS
        assert known, f"{name}: a block begins with ```sh {block.mark}. Write ```sh and one of {', '.join(MARKS)}:\n{block.text}"
    assert PAGES[name].count("```") == 2 * len(blocks(PAGES[name])), f"{name}: a block isn't closed, or begins within a line"


@pytest.mark.parametrize("name", PAGES)
def test_every_command_exists_with_its_options_settings_and_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "examples"))  # the tutorial copies one
    found = [words for block in blocks(PAGES[name]) if block.language == "sh" for words in commands(block.text)]
    assert [f"{' '.join(words)}: {wrong}" for words in found if (wrong := complaint(words))] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_config_and_mapping_is_read_and_every_module_compiles(name: str, tmp_path: Path) -> None:
    for block in blocks(PAGES[name]):
        if block.mark == "mapping.toml":
            (tmp_path / block.mark).write_text(block.text, encoding="utf-8")
            read_mapping(tmp_path / block.mark)
        elif block.language == "toml":
            raw = tomllib.loads(block.text)
            raw.get("factors", {}).pop("modules", None)  # the reader's own
            parse(raw, name)
        elif block.language == "python":
            compile(block.text, name, "exec")


@pytest.mark.parametrize("name", PAGES)
def test_every_link_to_a_page_leads_to_it(name: str) -> None:
    here = (ROOT / name).parent
    for path, anchor in LINK.findall(FENCE.sub("", PAGES[name])):
        target = (here / path).resolve() if path else ROOT / name
        assert target.exists(), f"{name}: {path}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{name}: {path}{anchor}"


def test_the_readme_has_the_same_commands_in_both_languages() -> None:
    english, chinese = (
        [[*commands(block.text)] if block.language == "sh" else block for block in blocks(PAGES[name])] for name in ("README.md", "README.zh.md")
    )
    assert english == chinese


@pytest.mark.parametrize(
    ("line", "complaint_"),
    [
        ("kestrel data lst", "data has no command 'lst'"),
        ("kestrel data check --htm a.html", "No such option"),
        ("kestrel reproduce", "lacks RUN"),
        ("kestrel report latest extra", "extra"),
        ("kestrel --set walk.frst=2020-01-01 train", "walk.first"),
        ("kestrel data simulate --stocks many", "many"),
        ("kestrel config && kestrel signal --dy-run  # this", "No such option"),
        ("OMP_NUM_THREADS=1 python -P benchmarks/none.py", "no file benchmarks/none.py"),
        ("python -m pytest tests/none.py -m slow", "no tests at tests/none.py"),
        ("python -m models.none", "no module models.none"),
        ("make coffee", "no target coffee"),
        ("curl localhost", "no program"),
    ],
)
def test_what_is_wrong_is_told(line: str, complaint_: str) -> None:
    told = [wrong for words in commands(line) if (wrong := complaint(words))]
    assert len(told) == 1
    assert complaint_ in told[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if name != "README.zh.md" and any(one.mark == "run" for one in blocks(page))])
def test_what_is_marked_so_runs_in_an_empty_folder(name: str, tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "KESTREL": str(ROOT)}
    lines = ["set -e"]  # one shell for all blocks, so that a variable of one is known to the next
    for block in blocks(PAGES[name]):
        if block.language == "sh" and block.mark == "run":
            lines.append(block.text)
        elif block.language in ("toml", "python") and block.mark:
            lines.append(f"cat > {block.mark} <<'END'\n{block.text}END\n")
    done = subprocess.run(["bash", "-c", "\n".join(lines)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
