"""Code that can't change an array or a table: then a large one need not be read again to know that
it is what it was.

Quiet code stores into nothing but variables, calls what is known to leave its arguments alone, and
touches nothing but data, functions that are quiet themselves, and well-known libraries. Anything
else is not quiet, however harmless: then the content is compared.
"""

from __future__ import annotations

import builtins
import dis
import itertools
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from evercell.codec import rebuild
from evercell.codec.canonical import SCALARS
from evercell.codec.reducers import sharing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import CodeType

    from evercell.codec.reducers import Span

__all__ = ["is_quiet", "untouched"]

_CHANGES = frozenset({"STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE", "STORE_ATTR", "DELETE_ATTR"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "IMPORT_FROM"})
_NAMES = frozenset({"LOAD_NAME", "LOAD_GLOBAL"})
_IN_PLACE = frozenset({"inplace", "out", "copy", "overwrite_input", "overwrite_x", "casting"})
_HARMLESS = frozenset({
    "Exception", "False", "KeyError", "None", "True", "TypeError", "ValueError", "abs", "all",
    "any", "bool", "bytes", "complex", "dict", "divmod", "enumerate", "filter", "float", "format",
    "frozenset", "hash", "id", "int", "isinstance", "issubclass", "iter", "len", "list", "map",
    "max", "min", "next", "object", "pow", "print", "range", "repr", "reversed", "round", "set",
    "slice", "sorted", "str", "sum", "tuple", "type", "zip",
})  # fmt: skip
_BUILTINS = frozenset(vars(builtins)) - _HARMLESS
# Attributes and functions of numpy, pandas and matplotlib that leave what they are given alone, and
# those of builtin containers, which hold arrays and do not look into them.
_PURE = frozenset({
    "DataFrame", "T", "abs", "absolute", "add", "add_subplot", "agg", "aggregate", "all",
    "allclose", "amax", "amin", "any", "append", "apply", "arange", "argmax", "argmin", "argsort",
    "array", "array_equal", "asarray", "astype", "at", "autocorr", "average", "axes", "axhline",
    "axis", "axvline", "bar", "barh", "between", "bincount", "bool", "boxplot", "cat", "ceil",
    "clip", "colorbar", "column_stack", "columns", "combine_first", "concat", "concatenate",
    "copy", "corr", "corrcoef", "cos", "count", "count_nonzero", "cov", "crosstab", "cummax",
    "cummin", "cumprod", "cumsum", "cut", "date_range", "day", "days", "describe", "diff",
    "digitize", "divide", "dot", "dropna", "dt", "dtype", "dtypes", "duplicated", "empty",
    "endswith", "eq", "equals", "errorbar", "exp", "expanding", "extend", "fft", "figure",
    "fill_between", "flags", "flatten", "float32", "float64", "floor", "format", "full", "gca",
    "gcf", "ge", "get", "grid", "groupby", "gt", "head", "hexbin", "hist", "histogram", "hlines",
    "hour", "hstack", "iat", "idxmax", "idxmin", "iloc", "imag", "imshow", "index", "inf", "info",
    "int32", "int64", "isclose", "isfinite", "isin", "isna", "isnan", "isnull", "items",
    "itemsize", "iterrows", "itertuples", "join", "keys", "kurt", "kurtosis", "last", "le",
    "legend", "linalg", "linspace", "loc", "log", "log10", "log1p", "log2", "lower", "lstrip",
    "lt", "mad", "matmul", "max", "mean", "median", "melt", "memory_usage", "merge", "meshgrid",
    "min", "mode", "month", "multiply", "name", "nan", "nanmax", "nanmean", "nanmin", "nanstd",
    "nansum", "nbytes", "ndim", "ne", "newaxis", "nlargest", "nonzero", "norm", "notna",
    "notnull", "nsmallest", "nunique", "ones", "outer", "pct_change", "percentile", "pi", "pie",
    "pivot", "pivot_table", "plot", "prod", "ptp", "pyplot", "qcut", "quantile", "query", "rank",
    "read_csv", "read_parquet", "real", "rename", "repeat", "replace", "resample", "reset_index",
    "reshape", "rolling", "round", "rstrip", "sample", "scatter", "sem", "set_index", "set_title",
    "set_xlabel", "set_xlim", "set_ylabel", "set_ylim", "shape", "show", "sign", "sin", "size",
    "skew", "sort_index", "sort_values", "split", "sqrt", "squeeze", "stack", "startswith", "std",
    "str", "strip", "subplots", "subtract", "sum", "suptitle", "tail", "take", "tan", "tanh",
    "text", "tight_layout", "tile", "title", "to_csv", "to_dict", "to_frame", "to_list",
    "to_markdown", "to_numpy", "to_parquet", "to_string", "tolist", "trace", "transform",
    "transpose", "tril", "triu", "unique", "unstack", "upper", "value_counts", "values", "var",
    "violinplot", "vlines", "vstack", "weekday", "where", "xlabel", "xlim", "xticks", "year",
    "ylabel", "ylim", "yticks", "zeros",
})  # fmt: skip
# Of these, numpy's take an array to write into, behind their first arguments.
_WRITING = frozenset({
    "abs", "absolute", "add", "all", "amax", "amin", "any", "argmax", "argmin", "average", "ceil",
    "clip", "column_stack", "concatenate", "cos", "cumprod", "cumsum", "divide", "dot", "exp",
    "fft", "floor", "ge", "gt", "hstack", "isfinite", "isnan", "le", "log", "log10", "log1p",
    "log2", "lt", "matmul", "max", "mean", "median", "min", "multiply", "nanmax", "nanmean",
    "nanmin", "nanstd", "nansum", "ne", "outer", "percentile", "prod", "ptp", "quantile",
    "repeat", "round", "sem", "sign", "sin", "sqrt", "stack", "std", "subtract", "sum", "take",
    "tan", "tanh", "trace", "var", "vstack",
})  # fmt: skip
_MANY = 99
_NULL_BEHIND = sys.version_info >= (3, 13)  # a call's PUSH_NULL stands behind what is called
_LARGE = 1 << 20  # bytes of arrays from which it pays to know without looking
_LIBRARIES = frozenset({
    "builtins", "numpy", "pandas", "matplotlib", "math", "cmath", "statistics", "datetime", "time",
    "copyreg", "collections", "cloudpickle",
})  # fmt: skip
_DATA = frozenset({*SCALARS, list, tuple, dict, set, frozenset, range, slice})
_TABLES = {"numpy": ("ndarray",), "pandas": ("DataFrame", "Series")}


def is_quiet(code: CodeType, instructions: Sequence[dis.Instruction]) -> bool:
    """Whether `code` is quiet, apart from what is nested in it."""
    texts = [c for c in code.co_consts if type(c) is str]
    texts += [w for c in code.co_consts if type(c) is tuple for w in c if type(w) is str]
    if not _IN_PLACE.isdisjoint(texts):
        return False
    for index, instruction in enumerate(instructions):
        name, argument = instruction.opname, instruction.argval
        if name in _CHANGES or (name == "BINARY_OP" and instruction.argrepr.endswith("=")):
            return False
        if (name in _ATTRIBUTES and argument not in _PURE) or name.startswith("INPLACE_"):
            return False
        if name in _NAMES and argument in _BUILTINS:
            return False
        writes = name in _ATTRIBUTES and argument in _WRITING
        if writes and _arguments(code, instructions, index) > 1:
            return False
    return True


def _arguments(code: CodeType, instructions: Sequence[dis.Instruction], start: int) -> int:
    """How many positional arguments the call of what `start` loads has; 0 if it is not called
    there, many if that can't be told."""
    depth = names = 0  # of the stack above what was loaded
    if _NULL_BEHIND and instructions[start + 1].opname == "PUSH_NULL":
        start += 1  # it goes with what was loaded
    for before, instruction in itertools.pairwise(instructions[start:]):
        name, argument = instruction.opname, instruction.arg
        if name == "KW_NAMES":
            names = len(code.co_consts[argument or 0])  # 3.11 does not tell it as argval
        elif name in ("PRECALL", "CALL") and depth == argument:
            return argument - names
        elif name == "CALL_KW" and depth - 1 == argument:  # the names lie on the stack
            return argument - len(before.argval) if type(before.argval) is tuple else _MANY
        elif name == "CALL_FUNCTION_EX" or "JUMP" in name:
            return _MANY
        else:
            names = 0
        depth += dis.stack_effect(instruction.opcode, argument, jump=False)
        if depth < 0:
            return 0
    return _MANY


def untouched(
    touched: Mapping[str, object],
    memory: Mapping[str, Sequence[Span]],
    made: Iterable[object],
    modules: Iterable[str],
) -> frozenset[str]:
    """Of the variables that quiet code has `touched`: large arrays and tables, which are what they
    were. `memory` is what is known of their arrays, `made` what the code gave, `modules` are those
    within its reach."""
    large = {name for name in memory if _size(memory[name]) >= _LARGE and _is_table(touched[name])}
    if not large or not all(map(_is_well_known, modules)):
        return frozenset()
    # A table may have moved its memory; what looks into it must be found.
    looks = any(_is_table(value) and not _stays_apart(value) for value in made)
    return frozenset(large) if not looks and all(map(_is_data, touched.values())) else frozenset()


def _size(spans: Sequence[Span]) -> int:
    return sum(stop - start for start, stop, _, _ in spans)


def _stays_apart(value: object) -> bool:
    """Whether it is a table whose memory others share only until one of them changes it."""
    return str(type(value).__module__).partition(".")[0] == "pandas" == sharing()


def _is_data(value: Any) -> bool:
    """Whether quiet code can do nothing with `value` but look at it, or call it where its own code
    is quiet."""
    kind = type(value)
    if kind in _DATA or kind is FunctionType:
        return True
    if kind is ModuleType:
        return _is_well_known(value.__name__)
    return _is_table(value)


def _is_well_known(module: str) -> bool:
    """Whether what it holds does what its names say."""
    return module.partition(".")[0] in _LIBRARIES or module == rebuild.__name__


def _is_table(value: Any) -> bool:
    """Whether it is exactly a numpy array or a pandas table."""
    kind = type(value)
    package = str(kind.__module__).partition(".")[0]
    module = sys.modules.get(package) if package in _TABLES else None
    return module is not None and any(
        getattr(module, name, None) is kind for name in _TABLES[package]
    )
