"""duckdb's default connection: what cells keep in it is lost with the kernel.

    duckdb.sql("create table t ..."), duckdb.execute("insert ..."), duckdb.register("d", frame)

A cell that may have used it is recomputed while anything of the user's is in it, or was: tables,
views, macros, types, attached databases, settings, a transaction, a result that was not fetched.
Looking uses the connection itself, for a cursor of it sees no temporary tables; duckdb refuses
that while a result is open, so nothing of the user's is disturbed. The connection exists then,
but for a cell that could have used it and did not.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from evercell.cell.paths import Path

__all__ = ["DEFAULT_CONNECTION", "kept_in_duckdb", "uses_duckdb"]

# What of the module goes to the default connection.
DEFAULT_CONNECTION = frozenset({
    "abort", "aggregate", "alias", "append", "appender", "arrow", "begin", "checkpoint", "close",
    "commit", "complete", "create_function", "cursor", "default_connection", "df", "distinct",
    "duplicate", "enable_profiling", "disable_profiling", "execute", "executemany", "fetch_df",
    "fetchall", "fetchdf", "fetchmany", "fetchnumpy", "fetchone", "filter", "from_arrow",
    "from_csv_auto", "from_df", "from_parquet", "from_query", "get_table_names",
    "install_extension", "limit", "load_extension", "order", "pl", "project", "query", "query_df",
    "read_csv", "read_json", "read_parquet", "register", "register_filesystem", "remove_function",
    "rollback", "set_default_connection", "sql", "table", "table_function", "to_arrow_reader",
    "to_arrow_table", "unregister", "unregister_filesystem", "values", "view", "write_csv",
})  # fmt: skip
_UNSEEN = frozenset({"create_function", "register_filesystem", "enable_profiling"})
_CONTENT = """
SELECT 'table ' || table_name FROM duckdb_tables() WHERE NOT internal
UNION ALL SELECT 'view ' || view_name FROM duckdb_views() WHERE NOT internal
UNION ALL SELECT 'sequence ' || sequence_name FROM duckdb_sequences()
UNION ALL SELECT 'type ' || type_name FROM duckdb_types() WHERE NOT internal
UNION ALL SELECT 'schema ' || schema_name FROM duckdb_schemas() WHERE NOT internal
UNION ALL SELECT 'database ' || database_name FROM duckdb_databases()
    WHERE NOT internal AND (database_name <> 'memory' OR path IS NOT NULL)
UNION ALL SELECT 'variable ' || name FROM duckdb_variables()
UNION ALL SELECT 'statement ' || name FROM duckdb_prepared_statements()
UNION ALL SELECT 'secret ' || name FROM duckdb_secrets() WHERE NOT persistent
UNION ALL SELECT 'schema ' || current_schema() WHERE current_schema() <> 'main'
UNION ALL SELECT 'macro ' || function_name FROM duckdb_functions() WHERE NOT internal
LIMIT 1
"""
_SETTINGS = "SELECT name, value FROM duckdb_settings()"
_TRANSACTION = "SELECT txid_current()"
_defaults: dict[str, str] = {}


def uses_duckdb(paths: Iterable[Path], ns: Mapping[str, object]) -> str | None:
    """The function of duckdb's default connection that code with these paths may call."""
    if "duckdb" not in sys.modules:
        return None
    found = [path[-1] for path in paths if _module(path, ns) in ("duckdb", "_duckdb")]
    return min(found, key=lambda name: (name not in _UNSEEN, name), default=None)


def _module(path: Path, ns: Mapping[str, object]) -> str:
    root = path[0]
    if root.endswith(":") and len(path) == 2:
        return root.removesuffix(":")
    value = ns.get(root)
    if isinstance(value, ModuleType) and len(path) == 2:
        return value.__name__
    module = getattr(value, "__module__", None) if len(path) == 1 and callable(value) else None
    return module.partition(".")[0] if isinstance(module, str) else ""


def kept_in_duckdb(function: str) -> str | None:
    """What the default connection has of the user's, after `function` of it may have been called;
    None if it is as a new one."""
    if function in _UNSEEN:
        return f"what {function} does"
    duckdb: Any = sys.modules["duckdb"]
    connection = duckdb.default_connection()
    try:
        found = connection.sql(_CONTENT).fetchall()
        if found:
            return str(found[0][0])
        if connection.sql(_TRANSACTION).fetchall() == connection.sql(_TRANSACTION).fetchall():
            return "a transaction"
        settings = dict(connection.sql(_SETTINGS).fetchall())
    except duckdb.Error:
        return "a result that was not fetched, or a failed transaction"
    if not _defaults:
        with duckdb.connect(":memory:") as fresh:
            _defaults.update(fresh.sql(_SETTINGS).fetchall())
    changed = [n for n, value in settings.items() if n in _defaults and _defaults[n] != value]
    return f"setting {changed[0]}" if changed else None
