"""`kestrel sentiment distil | evaluate`: students out of labelled files or a teacher's scores, and how good they are."""

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from data.errors import KestrelError
from pipelines.commands.shared import DAY, JSON, Context, command

if TYPE_CHECKING:
    from pipelines.exam import Exam


@click.group()
def students() -> None:
    """Students: distil, evaluate."""


def source_options(function: Any) -> Any:
    """The options that say where texts and answers come from: a labelled file, or a teacher's scores in the lake."""
    for option in (
        click.option("--held-out/--others", "held_out", default=None, help="Only the texts with sha256 mod 5 = 0, or only the others."),
        click.option("--date", "date_", default="", help="The file's date column, if it has one."),
        click.option("--name", default="", help="The file's column of the concerned company's name, if it has one."),
        click.option("--label", default="label", show_default=True, help="The file's label column; tones are 0, 1, … from bad to good."),
        click.option("--text", default="text", show_default=True, help="The file's text column."),
        click.option("--file", type=click.Path(path_type=Path), help="A CSV or Parquet file of labelled texts."),
        click.option("--teacher", "teachers", multiple=True, help="A scorer of the lake's news_scores; several count as samples of one."),
    ):
        function = option(function)
    return function


@command(students, "distil")
@click.argument("folder", type=click.Path(path_type=Path))
@source_options
@click.option("--kind", type=click.Choice(["linear", "encoder", "blend"]), default="linear", show_default=True, help="The student.")
@click.option("--before", type=DAY, help="Learn from earlier days alone.")
@click.option("--events", is_flag=True, help="Learn types of events (data/events.py) instead of tones.")
@click.option("--alpha", type=float, default=0.7, show_default=True, help="Weight of the teacher against labels.")
@click.option("--temperature", type=float, default=2.0, show_default=True, help="Temperature of the teacher.")
@click.option("--entropy", type=float, default=0.9, show_default=True, help="The most a teacher's answer may have, 1 being an even guess.")
@click.option("--agreement", type=float, default=0.5, show_default=True, help="The least share of samples that agree with their mean.")
@click.option("--seed", type=int, default=0, show_default=True)
@JSON
def distil_(shared: Context, folder: Path, file: Path | None, teachers: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Fit a student and save it in FOLDER.

    \b
    Example:  kestrel sentiment distil students/titles --file titles.csv --text title --before 2019-01-01 --date date
              kestrel sentiment distil students/r1 --teacher openai-r1-7b --before 2024-01-01
              kestrel sentiment distil students/events --events --file events.parquet --label event
    """
    from models.sentiment.distil import FilterSettings
    from models.sentiment.student.losses import DistilSettings
    from pipelines.console import Bars, show
    from pipelines.distil import distil_file, distil_lake

    one_source(file, teachers)
    kept = {name: options[name] for name in ("kind", "seed", "events")}
    if file is not None:
        rows = distil_file(file, *columns_and_part(options), folder, **kept, track=Bars())
    else:
        sure = FilterSettings(entropy=options["entropy"], agreement=options["agreement"])
        loss = DistilSettings(alpha=options["alpha"], temperature=options["temperature"])
        rows = distil_lake(shared.lake(), teachers, day(options["before"]), folder, **kept, sure=sure, loss=loss, track=Bars())
    show(rows, title="Student", as_json=as_json)


@command(students, "evaluate")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@source_options
@click.option("--start", type=DAY, help="Judge by days from this one on.")
@click.option("--limit", type=click.IntRange(1), help="Ask a scorer about at most so many texts, spread over the file.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Where the page goes; default FOLDER.html, or NAME.html among runs.")
@JSON
def evaluate_(
    shared: Context,
    folder: Path | None,
    file: Path | None,
    teachers: tuple[str, ...],
    limit: int | None,
    html: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Evaluate the student in FOLDER, or sentiment.scorer where none is named: accuracy, macro-F1, AUC, calibration, speed, or agreement.

    The table shows the figures; the HTML page also what was taken for what, and how often the sure are right.

    \b
    Example:  kestrel sentiment evaluate students/titles --file titles.csv --text title --start 2019-01-01 --date date
              kestrel --set sentiment.scorer=local --set sentiment.local.folder=models/r1-7b sentiment evaluate --file titles.csv --text title
    """
    from pipelines.console import say, show
    from pipelines.exam import of_pupil, of_student
    from pipelines.picture import write_picture

    one_source(file, teachers)
    if folder is None:
        found, page = _scorer_exam(shared, file, options, limit)
    else:
        page = folder.with_name(f"{folder.name}.html")
        source = columns_and_part(options)
        found = of_student(folder, file, *source) if file is not None else of_pupil(shared.lake(), folder, teachers, day(options["start"]))
    show(found.rows, title=f"{found.who} against the {found.against}s", as_json=as_json)
    write_picture(html or page, found)
    say(f"Page: {html or page}")


def _scorer_exam(shared: Context, file: Path | None, options: dict[str, Any], limit: int | None) -> "tuple[Exam, Path]":
    """The exam of the config's scorer on a labelled file, and where its page goes."""
    from pipelines.exam import of_scorer
    from pipelines.meter import Meter
    from pipelines.sentiment import scorer_of

    if file is None:
        raise KestrelError("A teacher's answers are compared with those of a student. Name its FOLDER, or a labelled --file.")
    config = shared.config()
    with closing(Meter()) as meter:
        scorer = scorer_of(config.sentiment, report=meter)
        found = of_scorer(scorer, file, *columns_and_part(options), limit=limit)
    return found, Path(config.runs) / f"{scorer.name}.html"


def one_source(file: Path | None, teachers: tuple[str, ...]) -> None:
    """Raise KestrelError unless there is a file or a teacher, and not both."""
    if (file is None) == (not teachers):
        raise KestrelError("Say where the answers come from: --file FILE, or --teacher SCORER of the lake's news_scores.")


def columns_and_part(options: dict[str, Any]) -> tuple[Any, Any]:
    """The file's columns, and which of its rows."""
    from pipelines.distil import Columns, Part

    columns = Columns(options["text"], options["label"], options["name"], options["date_"])
    return columns, Part(day(options.get("start")), day(options.get("before")), options["held_out"])


def day(moment: datetime | None) -> Any:
    """The date of an option."""
    return None if moment is None else moment.date()
