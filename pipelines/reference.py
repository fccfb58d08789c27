"""The reference of commands and settings, made from the code: `python -m pipelines.reference docs/reference.md` (`make docs`).

Words come from where they are kept: a command's help, and of a setting the comment beside it, the lines above it, or its part of the
class's docstring ("name: what it is.", or 'name "value": what that does.').  What has none there has none here.
"""

import ast
import inspect
import io
import json
import re
import sys
import textwrap
import tokenize
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", date: "date", Any: "anything", NoneType: "none"}
TOP = "Top of the file"
LARGE = 1e6  # from here on a number is written with its power of ten
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
OPENING = """# Commands and settings

Made from the code by `make docs`; a test holds the two together. What commands do in a row is in [the tutorial](tutorial.md).

Commands print tables on stdout (JSON with `--json`) and progress on stderr. Exit codes: 0 done, 1 something to mend (one message that says
how), 2 a mistake in the command line, 3 data that aren't fit, 4 try again later."""
SETTINGS = """## Settings

One TOML file, `kestrel.toml` in the working folder or the one named by `-c`, over the defaults below; `--set section.name=value` goes on top.
What isn't a setting, has a wrong type or lies outside its bounds is refused with the nearest name. `kestrel config` prints what comes out."""
MODELS = """### [model]

Settings of models, under `[model.NAME]`, by the name that `train.models` has; a model of your own, `[model."package.module:Name"]`, brings
its own. `horizon` is taken from `train.horizon` where it isn't given.

| name | settings | where its defaults differ |
|---|---|---|"""


class Described(NamedTuple):
    """What a settings class says of itself: its docstring without the fields' parts, and the words of each field."""

    about: str
    fields: dict[str, str]


def reference() -> str:
    """The whole page."""
    from pipelines.cli import main

    commands, sections = list(walk(main, "kestrel")), list(settings())
    listed = contents([name for name, _ in commands]), contents([title for title, _ in sections])
    parts = [OPENING, "\n".join(listed), "## Commands", *(text for _, text in commands), SETTINGS, *(text for _, text in sections)]
    return "\n\n".join(parts) + "\n"


def contents(titles: list[str]) -> str:
    """Links to headings: those that stand alone in one line, then a line a group of commands or sections."""
    groups: dict[str, list[str]] = {}
    for title in titles:
        stem = re.match(r"\[*(kestrel \w+|\w+)", title)
        groups.setdefault(stem[1] if stem else title, []).append(f"[`{title}`](#{anchor(title)})")
    alone = [links[0] for links in groups.values() if len(links) == 1]
    return "\n".join(f"* {', '.join(links)}" for links in [alone, *(links for links in groups.values() if len(links) > 1)])


def walk(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    """(name, text) of a command and all below it, in the order of its help."""
    context = click.Context(command, info_name=path)
    yield path, command_text(command, path, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from walk(found, f"{path} {name}")


def command_text(command: click.Command, path: str, context: click.Context) -> str:
    """One command: what it does, its usage, options and example."""
    about, _, example = inspect.cleandoc(command.help or "").partition("\b")
    pieces = " ".join(command.collect_usage_pieces(context))
    parts = [f"### {path}", *(" ".join(paragraph.split()) for paragraph in about.strip().split("\n\n")), f"`{path} {pieces}`"]
    records = [option.get_help_record(context) for option in command.params]
    rows = [row(code(names), cell(words)) for names, words in filter(None, records)]
    if rows:
        parts.append("\n".join(["| option | |", "|---|---|", *rows]))
    if example:
        lines = [line.strip() for line in example.replace("Example:", "", 1).strip().splitlines()]
        parts.append("\n".join(["```sh example", *lines, "```"]))
    return "\n\n".join(parts)


def settings() -> Iterator[tuple[str, str]]:
    """(title, text) of every section of the config, each class once, then of the models'."""
    from models.registry import KINDS
    from pipelines.config import Config

    seen: dict[type[BaseModel], str] = {}
    yield from section(TOP, Config, seen)
    rows: list[str] = []
    fresh: list[tuple[str, str]] = []
    for name, kind in KINDS.items():
        cls, plain = type(kind.defaults), type(kind.defaults)()
        if cls not in seen:
            fresh += section(f"[model.{name}]", cls, seen)
        changed = {key: found for key in cls.model_fields if (found := getattr(kind.defaults, key)) != getattr(plain, key)}
        told = ", ".join(f"{key} = {value(found)}" for key, found in changed.items())
        rows.append(row(f"`{name}`", f"[`{seen[cls]}`](#{anchor(seen[cls])})", code(told)))
    yield "[model]", "\n".join([MODELS, *rows])
    yield from fresh


def section(title: str, cls: type[BaseModel], seen: dict[type[BaseModel], str]) -> Iterator[tuple[str, str]]:
    """(title, text) of a settings class and of those within it that aren't in `seen` (title by class), which grows."""
    seen[cls] = title
    told = described(cls)
    rows, within = [], []
    for name, field in cls.model_fields.items():
        links = []
        for one in parts_of(field):
            if one not in seen:
                seen[one] = inner(title, name, field, one)
                within.append((seen[one], one))
            links.append(f"[{kind_of(one) or 'section'}](#{anchor(seen[one])})")
        what = ", ".join(links) or cell(words(field.annotation, field.metadata))
        rows.append(row(f"`{name}`", what, default(field), cell(told.fields.get(name, ""))))
    table = "\n".join(["| setting | type | default | |", "|---|---|---|---|", *rows])
    yield title, "\n\n".join([f"### {title}", *filter(None, [told.about]), table])
    for shown, one in within:
        yield from section(shown, one, seen)


def inner(title: str, name: str, field: FieldInfo, cls: type[BaseModel]) -> str:
    """The title of the section that a field of the section `title` holds, as TOML writes it: [a] and b are [a.b], a list's [[a.b]]."""
    path = name if title == TOP else f"{title.strip('[').partition(']')[0]}.{name}"
    path = f"[[{path}]]" if get_origin(field.annotation) is tuple else f"[{path}]"
    return " ".join(filter(None, [path, kind_of(cls)]))


def kind_of(cls: type[BaseModel]) -> str:
    """The one value of `kind` by which a class is chosen among others; empty for a section of one class."""
    field = cls.model_fields.get("kind")
    values = get_args(field.annotation) if field else ()
    return str(values[0]) if len(values) == 1 else ""


def parts_of(field: FieldInfo) -> list[type[BaseModel]]:
    """The settings classes that a field holds."""
    return [one for one in leaves(field.annotation) if inspect.isclass(one) and issubclass(one, BaseModel)]


def leaves(annotation: Any) -> Iterator[Any]:
    """The plain types within a type."""
    if get_origin(annotation) is Annotated:
        yield from leaves(get_args(annotation)[0])
    elif get_args(annotation) and get_origin(annotation) is not Literal:
        for one in get_args(annotation):
            yield from leaves(one)
    else:
        yield annotation


def words(annotation: Any, metadata: Any = ()) -> str:
    """A type in words, with its bounds."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        extra = [one for item in inside[1:] for one in (item.metadata if isinstance(item, FieldInfo) else [item])]
        return words(inside[0], [*extra, *metadata])
    if origin is Literal:
        return ", ".join(json.dumps(one) for one in inside)
    if origin in (Union, UnionType):
        return " or ".join(words(one, () if one is NoneType else metadata) for one in inside)
    if origin is tuple:
        return f"list of {words(inside[0])}" if inside[-1] is Ellipsis else f"list of {len(inside)}: {', '.join(map(words, inside))}"
    if origin is dict:
        return "table"
    if origin is list:
        return f"list of {words(inside[0])}"
    limits = [f"{sign} {value(getattr(item, key))}" for item in metadata for key, sign in BOUNDS.items() if getattr(item, key, None) is not None]
    return " ".join([PLAIN[annotation], ", ".join(limits)]).strip()


def default(field: FieldInfo) -> str:
    """A field's default as TOML has it; of a section that comes in kinds, the kind; empty where there is none or it is a plain section."""
    if field.is_required():
        return "needed"
    found = field.get_default(call_default_factory=True)
    return code(kind_of(type(found)) if isinstance(found, BaseModel) else value(found))


def value(found: Any) -> str:
    """A value as TOML writes it; nothing for none."""
    if found is None or found == {}:
        return ""
    if isinstance(found, tuple):
        return f"[{', '.join(map(value, found))}]"
    if isinstance(found, dict):
        return f"{{ {', '.join(f'{key} = {value(one)}' for key, one in found.items())} }}"
    if isinstance(found, float) and found >= LARGE:
        return f"{found:g}"
    return found.isoformat() if isinstance(found, date) else json.dumps(found, ensure_ascii=False)


def described(cls: type[BaseModel]) -> Described:
    """What the class and those it builds on say of themselves and of their fields."""
    about: list[str] = []
    fields: dict[str, str] = {}
    for one in reversed(cls.__mro__[: cls.__mro__.index(BaseModel)]):
        own = [name for name in inspect.get_annotations(one) if name in cls.model_fields]
        if not own:
            continue
        fields |= beside(one)
        names = "|".join(own)
        paragraphs = inspect.cleandoc(one.__doc__ or "").split("\n\n")
        for paragraph in (" ".join(paragraph.split()) for paragraph in paragraphs):
            # "window: sessions that count.  least: ..." is split at the names of fields.
            intro, *named = re.split(rf"(?:^|(?<=\. ))({names})(?:: | (?=\"))", paragraph)
            fields |= {name: " ".join(filter(None, [text.strip(), fields.get(name)])) for name, text in zip(named[::2], named[1::2], strict=True)}
            about.append(intro.strip())
    return Described("\n\n".join(filter(None, about)), fields)


def beside(cls: type[BaseModel]) -> dict[str, str]:
    """The comments of each field: on its line, or on the lines above it; a comment after an empty line heads a group and is nobody's."""
    source = textwrap.dedent(inspect.getsource(cls))
    lines = source.splitlines()
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    found = {}
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]  # a class has a body
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        first = node.lineno
        while lines[first - 2].lstrip().startswith("#"):
            first -= 1
        above = [comments[line] for line in range(first, node.lineno)] if lines[first - 2].strip() else []
        told = [*above, *([comments[node.end_lineno]] if node.end_lineno in comments else [])]
        if told:
            found[node.target.id] = " ".join(told)
    return found


def anchor(title: str) -> str:
    """The link to a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def row(*cells: str) -> str:
    """A row of a table."""
    return "|" + "|".join(f" {text} " if text else " " for text in cells) + "|"


def cell(text: str) -> str:
    """Text that can't end a table's cell; one sentence needs no full stop there."""
    text = " ".join(text.split()).replace("|", "\\|")
    return text.rstrip(".") if ". " not in text else text


def code(text: str) -> str:
    """Text set as code; nothing stays nothing."""
    return f"`{cell(text)}`" if text else ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
