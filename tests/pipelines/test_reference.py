from pathlib import Path
from typing import Annotated, Literal

import click
from pydantic import BaseModel, Field, PositiveInt

from pipelines.cli import main
from pipelines.config import Config, _paths
from pipelines.reference import anchor, command_text, described, inner, reference, section, value, words

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


class Inner(BaseModel):
    """What lies within."""

    kind: Literal["inner"] = "inner"


class Sample(BaseModel):
    """What a sample is.

    count: how many there are.  Where none are, say so.  mode "fast": without looking; "slow": with.
    """

    count: PositiveInt = 3

    # a heading of those below, which is nobody's
    mode: Literal["fast", "slow"] = "fast"
    share: Annotated[float, Field(ge=0, lt=1)] | None = None  # of all | that is
    # Told in the line above.
    names: tuple[str, ...] = ()
    within: Inner = Inner()
    bare: bool = False


def test_the_committed_reference_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "docs/reference.md is older than the code. Run: make docs"


def test_every_setting_of_the_config_has_a_row() -> None:
    page = PAGE.read_text(encoding="utf-8")
    missing = [path for path in _paths(Config) if f"| `{path.rpartition('.')[2]}` |" not in page]
    assert not missing


def test_every_link_within_the_reference_leads_to_a_heading() -> None:
    page = reference()
    headings = {anchor(line.lstrip("# ")) for line in page.splitlines() if line.startswith("#")}
    links = {piece.partition(")")[0] for piece in page.split("](#")[1:]}
    assert links <= headings
    assert len(links) > 80


def test_words_of_a_setting_come_from_its_comment_the_line_above_or_the_docstring() -> None:
    told = described(Sample)
    assert told.about == "What a sample is."
    assert told.fields == {
        "count": "how many there are. Where none are, say so.",
        "mode": '"fast": without looking; "slow": with.',
        "share": "of all | that is",
        "names": "Told in the line above.",
    }


def test_a_section_is_a_table_with_types_bounds_and_defaults() -> None:
    (title, text), (within, _) = section("[sample]", Sample, {})
    assert (title, within) == ("[sample]", "[sample.within] inner")
    assert "| `count` | whole number > 0 | `3` | how many there are. Where none are, say so. |" in text
    assert "| `share` | number ≥ 0, < 1 or none | | of all \\| that is |" in text
    assert "| `names` | list of text | `[]` | Told in the line above |" in text
    assert "| `within` | [inner](#samplewithin-inner) | `inner` | |" in text
    assert "| `bare` | true or false | `false` | |" in text


def test_sections_are_titled_as_toml_writes_them() -> None:
    fields = Config.model_fields["backtest"].annotation.model_fields
    sleeve = fields["sleeves"].annotation.__args__[0]
    assert inner("[backtest]", "sleeves", fields["sleeves"], sleeve) == "[[backtest.sleeves]]"
    assert inner("[[backtest.sleeves]]", "costs", fields["costs"], fields["costs"].annotation) == "[backtest.sleeves.costs]"


def test_values_are_written_as_toml() -> None:
    assert [value(one) for one in (None, True, "a", (1, 2), 1e8, {"Size": 0.15}, 0.002)] == [
        "",
        "true",
        '"a"',
        "[1, 2]",
        "1e+08",
        "{ Size = 0.15 }",
        "0.002",
    ]
    assert words(tuple[int, str]) == "list of 2: whole number, text"


def test_a_command_is_told_with_its_usage_options_and_example() -> None:
    text = command_text(main.commands["reproduce"], "kestrel reproduce", click.Context(main.commands["reproduce"]))
    assert text.startswith("### kestrel reproduce\n\nRun a training or a backtest again")
    assert "`kestrel reproduce [OPTIONS] RUN`" in text
    assert "| `--json` | Print JSON instead of a table |" in text
    assert text.endswith("```sh example\nkestrel reproduce latest\n```")
