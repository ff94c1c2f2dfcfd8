"""A scripted OpenAI-compatible endpoint, as a process of its own with a ledger.

    python tests/support/scripted_endpoint.py --ledger FILE [--faults JSON] [--delay SECONDS]

The answer to a request is a function of the request: an instance of the JSON schema that it asks
for, chosen by a digest of its messages. `--faults` says what happens to which request instead, by
sequence number: {"3": "429", "5": "500", "7": "drop"}; a 429 comes with `Retry-After: 1`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from typing import Any

from endpoint.server import Answer, Dropped, Responder, arguments, serve

MODEL = "scripted"
RETRY_AFTER_SECONDS = 1
_SAMPLES = {  # the patterns that the example notebook's schemas hold
    r"^(functions|classes) in [a-zA-Z_0-9]{2,16}$": ("functions in bisect", "classes in queue"),
    r"^[0-9]{1,5} [-+*/] [0-9]{1,5}$": ("6 * 7", "603 / 8", "5 - 9", "1 / 0"),
}


def instance(schema: dict[str, Any], choice: int, text: str) -> Any:
    """A value that `schema` accepts; `choice` picks among several, `text` is said where text is.

    Raises ValueError for what the endpoint has not learned.
    """
    match schema:
        case {"anyOf": [*branches]}:
            return instance(branches[choice % len(branches)], choice // len(branches), text)
        case {"type": "object", "properties": properties}:
            return {name: instance(each, choice, text) for name, each in properties.items()}
        case {"type": "string", "pattern": pattern}:
            sample = _SAMPLES[pattern][choice % len(_SAMPLES[pattern])]
            if not re.fullmatch(pattern, sample):
                raise ValueError(f"{sample!r} does not match {pattern!r}")
            return sample
        case {"type": "string"}:
            return text[: schema.get("maxLength")]
    raise ValueError(f"no scripted answer for the schema {schema}")


def reply(sequence: int, request: dict[str, Any]) -> dict[str, Any]:
    """The completion that answers `request`."""
    messages = request["messages"]
    digest = hashlib.blake2b(json.dumps(messages).encode(), digest_size=4).digest()
    schema = request["response_format"]["json_schema"]["schema"]
    text = str(messages[-1]["content"])
    content = json.dumps(instance(schema, int.from_bytes(digest, "big"), text))
    entered = sum(len(str(message["content"]).split()) for message in messages)
    left = len(content.split())
    return {
        "id": f"chatcmpl-{sequence}",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": entered,
            "completion_tokens": left,
            "total_tokens": entered + left,
        },
    }


def responder(faults: dict[str, str], delay: float) -> Responder:
    """Answers after `delay` seconds, the time that a model would take, unless a fault is due."""
    never = threading.Event()

    def respond(sequence: int, body: bytes) -> Answer | Dropped:
        never.wait(delay)
        match faults.get(str(sequence)):
            case None:
                return Answer(200, json.dumps(reply(sequence, json.loads(body))).encode())
            case "drop":
                return Dropped()
            case status:
                limited = (("Retry-After", str(RETRY_AFTER_SECONDS)),) if status == "429" else ()
                error = {"error": {"message": f"scripted {status}", "type": "scripted"}}
                return Answer(int(status), json.dumps(error).encode(), limited)

    return respond


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--faults", type=json.loads, default={})
    parser.add_argument("--delay", type=float, default=0.0)
    options = parser.parse_args()
    serve(responder(options.faults, options.delay), options, model=MODEL)


if __name__ == "__main__":
    main()
