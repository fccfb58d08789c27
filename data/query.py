"""SQL over the lake by DuckDB, in memory: it reads the lake's tables and nothing else, and writes nowhere.

Files of a lake in a folder are read by DuckDB itself.  For an object store it would need an extension that it downloads; there pyarrow
reads for it, the columns and row groups that a statement needs.
"""

import duckdb
import polars as pl

from data.errors import KestrelError
from data.faults import reading, refuse_broken
from data.lake import Lake


def sql(lake: Lake, statement: str) -> pl.DataFrame:
    """The answer of one SELECT over the lake's tables, each under its own name, at the versions the lake pins.

    DuckDB may open the Parquet files of these versions; every other file, URL and database is out of reach, and the configuration
    is locked before the statement runs.  Raises KestrelError with DuckDB's own message.
    """
    files = {name: [] if lake.remote else _files(lake, name) for name in lake.tables()}
    connection = duckdb.connect(":memory:")
    try:
        allowed = [file for found in files.values() for file in found]
        connection.sql(f"SET allowed_paths = {_quoted(allowed)}")
        connection.sql("SET enable_external_access = false")
        connection.sql("SET lock_configuration = true")
        for name, found in files.items():
            if found:
                connection.sql(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({_quoted(found)})")
            else:  # on an object store, or a table without rows, which has no files
                connection.register(name, lake.open(name, lake.pinned.get(name)).to_pyarrow_dataset())
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
    table = lake.open(name, lake.pinned.get(name))
    refuse_broken(name, table)
    with reading(name, lake.uri, table.version()):
        return [uri.removeprefix("file://") for uri in table.file_uris()]


def _quoted(texts: list[str]) -> str:
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"
