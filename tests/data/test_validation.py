from datetime import date

import polars as pl
import pytest

from data.errors import KestrelError
from data.validation import keys, refuse_nulls, schema, typed, validated

DAY = date(2021, 3, 4)


@pytest.fixture
def bars(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    return tables["bars"].head(3)


def test_a_good_frame_passes_in_the_order_of_its_keys(tables: dict[str, pl.DataFrame]) -> None:
    shuffled = tables["bars"].sample(fraction=1, shuffle=True, seed=1).select(sorted(tables["bars"].columns))
    assert validated("bars", shuffled).equals(tables["bars"])


def test_a_nullable_column_that_is_absent_becomes_null(bars: pl.DataFrame) -> None:
    found = validated("bars", bars.drop("limit_up", "raw_close"))
    assert found["limit_up"].null_count() == found["raw_close"].null_count() == 3
    assert found.schema["limit_up"] == pl.Float64


def test_a_column_too_many_is_left_out(bars: pl.DataFrame) -> None:
    assert "colour" not in validated("bars", bars.with_columns(colour=pl.lit("red"))).columns


def test_types_that_hold_the_same_are_cast(bars: pl.DataFrame) -> None:
    vendor = bars.with_columns(pl.col("close", "volume").cast(pl.Float32), pl.col("date").dt.to_string(), pl.col("is_st").cast(pl.Int8))
    assert validated("bars", vendor).schema == bars.schema


def test_a_missing_column_is_named_beside_those_there_are(bars: pl.DataFrame) -> None:
    with pytest.raises(KestrelError, match=r"bars has no column close, volume \(it has: date, symbol, open.*\)\. Map it"):
        validated("bars", bars.drop("close", "volume"))


def test_a_duplicate_key_is_named(bars: pl.DataFrame) -> None:
    with pytest.raises(KestrelError, match=r"bars has 2 rows with the same date, symbol \(first: 2021-03-01 600001\.SH\)"):
        validated("bars", pl.concat([bars, bars[1]]))


def test_a_null_is_named_by_its_row(bars: pl.DataFrame) -> None:
    broken = bars.with_columns(pl.when(pl.col("symbol") == "600002.SH").then(None).otherwise("close").alias("close"))
    with pytest.raises(KestrelError, match=r"bars has 1 rows with close null \(first: 2021-03-01 600002\.SH None\)"):
        validated("bars", broken)


@pytest.mark.parametrize(
    ("column", "text", "kind"),
    [("close", "n/a", "Float64"), ("is_st", "yes", "Boolean"), ("date", "yesterday", "Date"), ("limit_up", "--", "Float64")],
)
def test_text_where_another_type_belongs_is_named_by_its_row(bars: pl.DataFrame, column: str, text: str, kind: str) -> None:
    with pytest.raises(KestrelError, match=rf"bars has 3 rows whose {column} is not a {kind} \(first: .*{text}.*\)\. Mend the source"):
        validated("bars", bars.with_columns(pl.lit(text).alias(column)))


def test_a_number_that_is_not_finite_is_named_by_its_row(bars: pl.DataFrame) -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(KestrelError, match=r"bars has 3 rows with close against its rule '\w+' \(first: 2021-03-01 600000\.SH (nan|inf)\)"):
            validated("bars", bars.with_columns(close=pl.lit(value)))


def test_a_symbol_in_a_vendors_spelling_never_reaches_the_table() -> None:
    listed = pl.DataFrame({"symbol": ["sh.600000"], "board": ["main"]})
    with pytest.raises(KestrelError, match=r"securities has 1 rows with symbol against its rule 'regex' \(first: sh\.600000\)"):
        validated("securities", listed)


def test_a_table_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(KestrelError, match=r"'ticks' is not a table\. There are: calendar, securities, bars.*factors"):
        schema("ticks")


def test_factor_tables_have_columns_of_their_own_but_fixed_keys() -> None:
    frame = pl.DataFrame({"date": [DAY, DAY], "symbol": ["600001.SH", "600000.SH"], "mine": [1.0, None]})
    assert keys("factors") == ["date", "symbol"]
    assert validated("factors", frame)["symbol"].to_list() == ["600000.SH", "600001.SH"]
    with pytest.raises(KestrelError, match="factors has 2 rows with the same date, symbol"):
        validated("factors", pl.concat([frame[0], frame[0]]))


def test_typed_casts_the_columns_that_are_there_and_leaves_the_rest() -> None:
    found = typed("bars", pl.DataFrame({"date": ["2021-03-04"], "close": [1], "turnover": ["5"]}))
    assert found.schema == {"date": pl.Date, "close": pl.Float64, "turnover": pl.String}


def test_nulls_are_refused_column_by_column(bars: pl.DataFrame) -> None:
    refuse_nulls("bars", bars, ["close"])
    with pytest.raises(KestrelError, match=r"bars has 3 rows with is_trading null \(first: 2021-03-01 600000\.SH None\)"):
        refuse_nulls("bars", bars.with_columns(is_trading=pl.lit(None, pl.Boolean)), ["close", "is_trading"])
