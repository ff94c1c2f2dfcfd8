"""Does a person's answer fit the form that was asked for? Looked at before it is recorded."""

from __future__ import annotations

from typing import Any

import msgspec

from evercell.errors import UsageError
from evercell.loading import import_jsonschema

__all__ = ["check_answer"]


def check_answer(schema: str | None, value: Any) -> None:
    """Raise UsageError unless `value` fits the JSON schema; without one, the question was yes or
    no, and only None fits."""
    if schema is None:
        if value is not None:
            raise UsageError("the question takes yes or no, and no form.")
        return
    import_jsonschema()
    from jsonschema import SchemaError  # noqa: PLC0415 - a tenth of a second, at the first answer
    from jsonschema.exceptions import best_match  # noqa: PLC0415
    from jsonschema.validators import validator_for  # noqa: PLC0415

    form = msgspec.json.decode(schema)
    kind = validator_for(form)
    try:
        kind.check_schema(form)
    except SchemaError:
        return  # its author's mistake must not keep people from answering
    error = best_match(kind(form).iter_errors(value))
    if error is not None:
        where = ".".join(map(str, error.absolute_path))
        place = f" at {where!r}" if where else ""
        raise UsageError(f"the answer does not fit the form{place}: {error.message}.")
