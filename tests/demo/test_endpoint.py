"""The endpoints' ledger and faults: the witness of other tests must itself be right."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from endpoint.ledger import Entry, requests
from endpoint.process import EndpointProcess
from support import scripted_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA = {
    "anyOf": [
        {"type": "object", "properties": {"search": {"type": "string", "maxLength": 6}}},
        {"type": "object", "properties": {"answer": {"type": "string"}}},
    ]
}


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[EndpointProcess]:
    faults = json.dumps({"2": "429", "3": "500", "4": "drop"})
    with EndpointProcess(
        [scripted_endpoint.__file__, "--faults", faults], tmp_path / "ledger.jsonl"
    ) as started:
        yield started


def ask(endpoint: EndpointProcess, prompt: str) -> httpx.Response:
    return httpx.post(f"{endpoint.url}/chat/completions", json=request(prompt), trust_env=False)


def request(prompt: str) -> dict[str, Any]:
    return {
        "model": "any",
        "messages": [{"role": "user", "content": prompt}],
        "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
    }


def test_answers_follow_from_the_request(endpoint: EndpointProcess) -> None:
    first = ask(endpoint, "what is bisect").json()
    content = json.loads(first["choices"][0]["message"]["content"])
    assert content in ({"search": "what i"}, {"answer": "what is bisect"})
    assert first["usage"]["prompt_tokens"] == 3
    assert scripted_endpoint.reply(1, request("what is bisect"))["choices"] == first["choices"]


def test_faults_come_to_the_requests_named(endpoint: EndpointProcess) -> None:
    assert ask(endpoint, "a").status_code == 200
    limited = ask(endpoint, "b")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "1")
    assert ask(endpoint, "c").status_code == 500
    with pytest.raises(httpx.RemoteProtocolError):
        ask(endpoint, "d")
    assert ask(endpoint, "e").status_code == 200
    assert endpoint.wait_for(
        lambda entries: (
            [e.outcome for e in entries if e.outcome] == ["200", "429", "500", "dropped", "200"]
        ),
        timeout=10,
        unless=lambda: False,
    )


def test_ledger_has_two_lines_for_each_request(endpoint: EndpointProcess) -> None:
    for prompt in ("a", "b", "a"):
        ask(endpoint, prompt)
    assert endpoint.wait_for(lambda entries: len(entries) >= 6, timeout=10, unless=lambda: False)
    lines = endpoint.ledger.read_text(encoding="utf-8").splitlines()
    entries = [Entry.parse(line) for line in lines]
    assert entries == endpoint.entries
    assert [entry.event for entry in entries] == ["received", "answered"] * 3
    assert [entry.prompt for entry in requests(entries)] == ["a", "b", "a"]
    first, _, third = requests(entries)
    assert first.body == third.body
    assert [entry.outcome for entry in entries[1::2]] == ["200", "429", "500"]


def test_half_a_request_is_no_request(endpoint: EndpointProcess) -> None:
    url = httpx.URL(endpoint.url)
    with socket.create_connection((url.host, url.port or 0)) as caller:
        caller.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    assert ask(endpoint, "a").status_code == 200
    assert [entry.prompt for entry in requests(endpoint.entries)] == ["a"]


def test_requests_side_by_side_have_their_own_numbers(tmp_path: Path) -> None:
    with EndpointProcess(
        [scripted_endpoint.__file__, "--delay", "0.05"], tmp_path / "ledger.jsonl"
    ) as endpoint:
        threads = [threading.Thread(target=ask, args=(endpoint, str(n))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert endpoint.wait_for(
            lambda entries: len(entries) >= 16, timeout=10, unless=lambda: False
        )
        entries = endpoint.entries
    assert sorted(entry.sequence for entry in requests(entries)) == list(range(1, 9))


def test_waiting_for_an_endpoint_that_ended_says_so(tmp_path: Path) -> None:
    endpoint = EndpointProcess([scripted_endpoint.__file__], tmp_path / "ledger.jsonl")
    endpoint.stop()
    with pytest.raises(RuntimeError, match="ended"):
        endpoint.wait_for(lambda _: False, timeout=5, unless=lambda: False)


def test_taken_port_is_an_error(tmp_path: Path, endpoint: EndpointProcess) -> None:
    port = httpx.URL(endpoint.url).port
    with pytest.raises(RuntimeError, match="did not start"):
        EndpointProcess([scripted_endpoint.__file__, "--port", str(port)], tmp_path / "other.jsonl")


def test_schema_that_nobody_scripted_is_an_error() -> None:
    with pytest.raises(ValueError, match="no scripted answer"):
        scripted_endpoint.instance({"type": "number"}, 0, "")
