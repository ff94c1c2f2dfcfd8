"""Why cases are not driven: what they ask for that Evercell has not, or has otherwise by design."""

from __future__ import annotations

__all__ = ["NOT_APPLICABLE"]

_SERIALIZER = (
    "a serializer for one operation: a value is stored so that it comes back equal, and its class "
    "says how (pickle's protocol, see 6-11); codec layers work on all payloads"
)
_HEARTBEAT = "a heartbeat of a callback: steps have heartbeats, a wait for people has a time limit"
_INVOCATION = (
    "hooks around each invocation of a function: a run here is not cut into invocations; "
    "interceptors surround attempts and see how runs end"
)

NOT_APPLICABLE: dict[str, str] = {
    "1-6": _SERIALIZER,
    "1-13": "AWS's default retries: defaults here are Temporal's",
    "1-18": (
        "at most once for each retry: `at_most_once` means at most once, and a step in doubt is "
        "not run a second time by a policy; the code decides (InDoubtError)"
    ),
    "3-11": "a result above a limit is made anew by running the child again: here it is stored",
    "3-14": _SERIALIZER,
    "4-4": _HEARTBEAT,
    "4-5": _HEARTBEAT,
    "5-8": "tenants",
    "5-15": _SERIALIZER,
    "5-16": _SERIALIZER,
    "7-12": _HEARTBEAT,
    "7-13": _HEARTBEAT,
    "8-15": _SERIALIZER,
    "9-14": _SERIALIZER,
    "9-19": _SERIALIZER,
    "9-20": _SERIALIZER,
    "10-1": _INVOCATION,
    "10-2": "hooks around operations: interceptors surround attempts (see 10-3)",
    "10-4": "hooks whose exceptions are ignored: what an interceptor raises fails the attempt",
    "10-5": _INVOCATION,
    "10-6": _INVOCATION,
    "10-7": _INVOCATION,
}
