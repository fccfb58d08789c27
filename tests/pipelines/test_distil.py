"""Distil and evaluate as a user meets them: a labelled file, a teacher's scores in the lake, and what is refused."""

import json
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

from data.errors import KestrelError
from data.lake import Lake
from data.tables import SCHEMA_VERSION
from models.sentiment.answers import Answer, News
from models.sentiment.student.scorer import StudentScorer
from pipelines.commands.distil import students
from pipelines.commands.shared import Context, Group

Run = Callable[..., Result]
WORDS = (("亏损", "处罚", "减持", "下滑"), ("公告", "会议", "地址", "更正"), ("增长", "中标", "回购", "新高"))
NAME = "张家界"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `sentiment …` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    @click.group(cls=Group)
    @click.pass_context
    def main(context: click.Context) -> None:
        context.obj = Context(None, (), None)

    main.add_command(students, "sentiment")
    return lambda *words: CliRunner().invoke(main, ["sentiment", *map(str, words)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """400 dated titles in three tones, the last of them twice."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    texts = [f"{NAME}：{WORDS[label][rng.integers(4)]}第{n}号{rng.integers(1, 99)}万元" for n, label in enumerate(labels)]
    days = [date(2020, 1, 1) + timedelta(days=n // 2) for n in range(400)]
    frame = pl.DataFrame({"text": texts, "label": labels, "name": NAME, "day": days})
    pl.concat([frame, frame.tail(1)]).write_csv(tmp_path / "titles.csv")
    return tmp_path / "titles.csv"


def test_a_student_of_a_file_is_judged_on_later_days(run: Run, file: Path) -> None:
    made = run("distil", "s", "--file", file, "--name", "name", "--date", "day", "--before", "2020-06-01", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)[0]["texts"] == 2 * (date(2020, 6, 1) - date(2020, 1, 1)).days
    judged = run("evaluate", "s", "--file", file, "--name", "name", "--date", "day", "--start", "2020-06-01", "--json")
    found = {row["figure"]: row for row in json.loads(judged.stdout)}
    assert found["texts"]["value"] == 400 - 2 * (date(2020, 6, 1) - date(2020, 1, 1)).days
    assert found["accuracy"]["low"] <= found["accuracy"]["value"] <= found["accuracy"]["high"]
    assert found["accuracy"]["value"] > 0.9
    assert {"macro_f1", "auc", "ece", "texts a second"} <= set(found)
    page = Path("s.html").read_text(encoding="utf-8")
    assert "What was taken for what" in page
    assert page.count("<circle") >= 1
    shown = [int(cell) for cell in re.findall(r'title="[\d.]+%">(\d+)</td>', page)]
    assert (len(shown), sum(shown)) == (9, int(found["texts"]["value"]))


def test_the_manifest_says_what_was_learnt_and_the_same_file_gives_the_same_bytes(run: Run, file: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        assert run("distil", folder, "--file", file).exit_code == 0
    first, second = ((tmp_path / folder / "model.json").read_bytes() for folder in ("a", "b"))
    assert first == second
    about = json.loads(first)["state"]["about"]
    assert about["classes"] == ["0", "1", "2"]
    assert about["target"] == "tone"
    assert about["texts"] == 400
    assert len(about["data"]) == 64


def test_held_out_texts_and_the_others_are_all_texts_and_share_none(run: Run, file: Path) -> None:
    made = json.loads(run("distil", "s", "--file", file, "--others", "--json").stdout)[0]["texts"]
    judged = json.loads(run("evaluate", "s", "--file", file, "--held-out", "--json").stdout)[0]["value"]
    assert made + judged == 400
    assert 50 < judged < 110


def test_named_classes_make_a_student_of_events(run: Run, file: Path, tmp_path: Path) -> None:
    frame = pl.read_csv(file).with_columns(label=pl.col("label").replace_strict({0: "亏损", 1: "其他", 2: "中标"}))
    frame.write_parquet(tmp_path / "events.parquet")
    assert run("distil", "s", "--file", "events.parquet").exit_code == 0
    assert json.loads((tmp_path / "s" / "model.json").read_bytes())["state"]["about"]["target"] == "class"
    refused = run("evaluate", "s", "--file", file)
    assert refused.exit_code == 1
    assert "doesn't know" in refused.stderr


def test_any_scorer_is_judged_on_a_file_of_tones(run: Run, file: Path) -> None:
    judged = run("evaluate", "--file", file, "--limit", "100", "--html", "page.html", "--json")
    assert judged.exit_code == 0, judged.output
    found = {row["figure"]: row["value"] for row in json.loads(judged.stdout)}
    assert (found["texts"] + found["failed"], found["tokens"], found["CNY"]) == (100, 0, 0)
    assert 0.5 < found["accuracy"] <= 1  # the lexicon knows most of these words
    assert "lexicon" in Path("page.html").read_text(encoding="utf-8")
    for words, says in ((("--teacher", "r1-0"), "Name its FOLDER"), (("--file", file, "--label", "name"), "judged by tones")):
        refused = run("evaluate", *words)
        assert refused.exit_code == 1
        assert says in refused.stderr


def test_labels_of_a_set_become_types_of_events_by_which_a_student_tells_them(run: Run, file: Path, tmp_path: Path) -> None:
    frame = pl.read_csv(file).with_columns(label=pl.col("label").replace_strict({0: "业绩下滑", 1: "其他", 2: "涉嫌欺诈"}))
    frame.write_parquet(tmp_path / "events.parquet")
    made = run("distil", "e", "--events", "--file", "events.parquet")
    assert made.exit_code == 0, made.output
    about = json.loads((tmp_path / "e" / "model.json").read_bytes())["state"]["about"]
    assert about["classes"] == ["earnings_decline", "other", "unlawful"]
    assert (about["target"], about["named"]) == ("event", False)
    judged = run("evaluate", "e", "--file", "events.parquet", "--json")
    assert {row["figure"]: row["value"] for row in json.loads(judged.stdout)}["accuracy"] > 0.9
    assert run("distil", "t", "--file", file, "--name", "name").exit_code == 0
    scorer = StudentScorer(Path("t"), Path("e"))
    assert scorer.name != StudentScorer(Path("t")).name
    told = scorer.score([News("a", "", "", "增长中标第3号"), News("b", "", "", "亏损下滑第4号"), News("c", "", "", " ")])
    assert [getattr(answer, "event", "failed") for answer in told] == ["unlawful", "earnings_decline", "failed"]
    assert isinstance(plain := StudentScorer(Path("t")).score([News("a", "", "", "增长")])[0], Answer)
    assert plain.event is None
    with pytest.raises(KestrelError, match="no student of events"):
        StudentScorer(Path("t"), Path("t"))
    odd = run("distil", "o", "--events", "--file", file)
    assert "which are no events" in odd.stderr


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of 200 news, two samples of a teacher each."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 200)
    zone = ZoneInfo("Asia/Shanghai")
    ids = [f"n{n:03}" for n in range(200)]
    moments = [datetime(2020, 1, 1, 10, tzinfo=zone) + timedelta(days=n) for n in range(200)]
    titles = [f"{WORDS[label][rng.integers(4)]}第{n}号" for n, label in enumerate(labels)]
    found = Lake(tmp_path / "lake")
    news = pl.DataFrame({"id": ids, "published_at": moments, "symbols": [["000430.SZ"]] * 200, "title": titles})
    news = news.with_columns(pl.col("published_at").dt.convert_time_zone("Asia/Shanghai"), body=pl.lit(None, pl.String), source=pl.lit("a"))
    p_NC = 0.05 + 0.85 * np.eye(3)[labels]
    tones = {name: p_NC[:, place] for place, name in enumerate(("p_negative", "p_neutral", "p_positive"))}
    scored = pl.DataFrame({"id": ids, "symbol": "000430.SZ", **tones, "score": p_NC[:, 2] - p_NC[:, 0]})
    scores = pl.concat([scored.with_columns(scorer=pl.lit(name)) for name in ("r1-0", "r1-1")])
    nothing = {"tokens": pl.lit(None, pl.Int64), "cost": pl.lit(None, pl.Float64)}
    events = pl.DataFrame({"id": ids, "event": [("earnings_decline", "other", "ownership_change")[label] for label in labels]})
    found.write("news", news)
    found.write("news_scores", scores.with_columns(**nothing).join(events, on="id"))
    found.state({"schema_version": str(SCHEMA_VERSION), "price_basis": "raw"})
    return found


def test_a_student_of_a_teacher_agrees_with_it_on_later_news(run: Run, lake: Lake) -> None:
    made = run("distil", "s", "--teacher", "r1-0", "--teacher", "r1-1", "--before", "2020-06-01", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)[0]["texts"] == 152
    found = {row["figure"]: row["value"] for row in json.loads(run("evaluate", "s", "--teacher", "r1-0", "--start", "2020-06-01", "--json").stdout)}
    assert found["texts"] == 48
    assert found["same as the teacher"] > 0.9
    assert found["correlation of tones"] > 0.8


def test_a_student_learns_the_events_that_a_teacher_told(run: Run, lake: Lake) -> None:
    made = run("distil", "e", "--events", "--teacher", "r1-0", "--teacher", "r1-1", "--before", "2020-06-01", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)[0]["classes"] == 3
    found = {row["figure"]: row["value"] for row in json.loads(run("evaluate", "e", "--teacher", "r1-0", "--start", "2020-06-01", "--json").stdout)}
    assert found["texts"] == 48
    assert found["same as the teacher"] > 0.9
    lake.write("news_scores", lake.read("news_scores").with_columns(event=pl.lit(None, pl.String)))
    assert "no event told by r1-0" in run("distil", "n", "--events", "--teacher", "r1-0").stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--file FILE, or --teacher"),
        (("--file", "none.csv"), "no CSV or Parquet file"),
        (("--file", "titles.csv", "--text", "titel"), "no column titel"),
        (("--file", "titles.csv", "--before", "2020-01-01"), "--date COLUMN"),
        (("--file", "titles.csv", "--date", "day", "--before", "2019-01-01"), "no labelled text"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_with_the_way_on(run: Run, file: Path, words: tuple[str, ...], says: str) -> None:
    del file
    refused = run("distil", "s", *words)
    assert refused.exit_code == 1
    assert says in refused.stderr


def test_a_teacher_that_never_scored_is_refused(run: Run, lake: Lake) -> None:
    refused = run("distil", "s", "--teacher", "nobody")
    assert refused.exit_code == 1
    assert "by nobody" in refused.stderr
