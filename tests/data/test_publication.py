"""When news is known, and to which session that belongs."""

from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from data.ingest import read_table
from data.mapping import read_mapping
from data.publication import known_at, sessions_known

DAYS = [date(2024, 9, 27), date(2024, 9, 30), date(2024, 10, 8), date(2024, 10, 9)]  # a Friday, a Monday, then the National Day holiday


def news(*moments: datetime, seen: list[datetime | None] | None = None) -> pl.DataFrame:
    zoned = {"published_at": list(moments)} | ({"first_seen": seen} if seen else {})
    frame = pl.DataFrame({"id": [str(place) for place in range(len(moments))], "symbols": [["600000.SH"]] * len(moments), **zoned})
    return frame.with_columns(pl.col(name).cast(pl.Datetime("us")).dt.replace_time_zone("Asia/Shanghai") for name in zoned)


def sessions(frame: pl.DataFrame, **options: timedelta) -> dict[str, date]:
    return dict(sessions_known(frame, DAYS, **options).select("id", "date").iter_rows())


def test_up_to_the_close_news_belongs_to_its_day_after_it_and_on_holidays_to_the_next_session() -> None:
    found = sessions(
        news(
            datetime(2024, 9, 30, 15, 0),
            datetime(2024, 9, 30, 15, 0, 1),
            datetime(2024, 10, 3, 9),
            datetime(2024, 9, 28, 9),
            datetime(2024, 10, 8, 23, 59, 59),
            datetime(2024, 10, 9, 15, 1),
        )
    )
    assert found == {"0": DAYS[1], "1": DAYS[2], "2": DAYS[2], "3": DAYS[1], "4": DAYS[3]}


def test_nobody_knew_a_piece_before_it_was_first_seen_and_reading_takes_its_time() -> None:
    frame = news(datetime(2024, 9, 30, 10), datetime(2024, 9, 30, 10), datetime(2024, 9, 30, 14, 50), seen=[datetime(2024, 9, 30, 16), None, None])
    assert sessions(frame) == {"0": DAYS[2], "1": DAYS[1], "2": DAYS[1]}
    assert sessions(frame, latency=timedelta(minutes=15)) == {"0": DAYS[2], "1": DAYS[1], "2": DAYS[2]}
    assert known_at(frame)[0].hour == 16


@given(st.integers(0, 12 * 24 * 60), st.integers(0, 600))
def test_a_piece_is_never_known_at_a_close_before_its_publication(minutes: int, latency: int) -> None:
    moment = datetime(2024, 9, 27) + timedelta(minutes=minutes)
    for day in sessions(news(moment), latency=timedelta(minutes=latency)).values():
        assert datetime(day.year, day.month, day.day, 15) >= moment + timedelta(minutes=latency)


def test_the_packs_untrusted_hours_put_every_piece_into_the_session_after_its_day(pack: Path) -> None:
    mapping = read_mapping(Path(__file__).parents[2] / "examples" / "pack_astock.toml")
    frame = read_table(pack, "news", mapping.tables["news"]).with_row_index("id").with_columns(pl.col("id").cast(pl.String))
    assert frame.height == 1477 - 52
    weekdays = [date(2018, 1, 1) + timedelta(days=place) for place in range(1200) if (date(2018, 1, 1) + timedelta(days=place)).weekday() < 5]
    known = sessions_known(frame, weekdays).join(frame.select("id", "published_at"), on="id")
    assert known.height == frame.height
    assert (known["date"] > known["published_at"].dt.date()).all()
