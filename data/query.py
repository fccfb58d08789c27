"""SQL over the lake by DuckDB, in memory: it reads the lake's tables and nothing else, and writes nowhere."""

import duckdb
import polars as pl
from deltalake import DeltaTable

from data.errors import KestrelError
from data.lake import Lake


def sql(lake: Lake, statement: str) -> pl.DataFrame:
    """The answer of one SELECT over the lake's tables, each under its own name, at the versions the lake pins.

    DuckDB may open the Parquet files of these versions; every other file, URL and database is out of reach, and the configuration
    is locked before the statement runs.  Raises KestrelError with DuckDB's own message.
    """
    files = {name: _files(lake, name) for name in lake.tables()}
    connection = duckdb.connect(":memory:")
    try:
        allowed = [file for found in files.values() for file in found]
        connection.sql(f"SET allowed_paths = {_quoted(allowed)}")
        connection.sql("SET enable_external_access = false")
        connection.sql("SET lock_configuration = true")
        for name, found in files.items():
            if found:
                connection.sql(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({_quoted(found)})")
            else:  # a table without rows has no files
                connection.register(name, lake.read(name).to_arrow())
        statements = duckdb.extract_statements(statement)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise KestrelError("Only one SELECT can be run: the lake is written by kestrel data import and fetch alone.")
        answer: pl.DataFrame = connection.sql(statement).pl()
    except duckdb.Error as error:
        raise KestrelError(f"{error}\nTables: {', '.join(files)}. Columns: kestrel data show TABLE") from None
    finally:
        connection.close()
    return answer


def _files(lake: Lake, name: str) -> list[str]:
    return [uri.removeprefix("file://") for uri in DeltaTable(lake.path(name), version=lake.pinned.get(name)).file_uris()]


def _quoted(texts: list[str]) -> str:
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"
