"""Events for the history's tests: a run with whatever the test puts into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell import events as e

if TYPE_CHECKING:
    from evercell.history import History

SECOND = 1_000_000_000
T0 = 1_767_225_600 * SECOND  # 2026-01-01 00:00 UTC
DIGEST = bytes(16)


class Recorder:
    """Writes one run's events, a second apart by its own clock."""

    def __init__(self, history: History, run_id: str = "run0000001") -> None:
        self.history = history
        self.run_id = run_id
        self.at = T0

    def tick(self) -> int:
        self.at += SECOND
        return self.at

    def start(self, notebook: str = "/work/a.ipynb", **parameters: Any) -> Recorder:
        self.history.commit(
            e.RunStarted(
                self.run_id, self.tick(), "notebook", notebook, parameters, "cpython-311", "0.1.0"
            )
        )
        return self

    def attach(
        self, generation: int = 1, *, notebook: str = "/work/a.ipynb", kernel_id: str = "kernel-1"
    ) -> Recorder:
        self.history.commit(
            e.RunAttached(self.run_id, self.tick(), generation, 4711, "host", kernel_id, notebook)
        )
        return self

    def cell(self, *, slot: str = "id:a", index: int = 0, source: str = "x = 1") -> str:
        cell = self.history.new_activity_id()
        self.history.commit(
            e.CellStarted(
                self.run_id,
                self.tick(),
                cell,
                slot,
                index,
                slot.removeprefix("id:"),
                source,
                DIGEST,
                0,
                "executed",
                "not run before",
                1,
            )
        )
        return cell

    def complete_cell(self, cell: str, *, duration: int = SECOND) -> e.CellCompleted:
        payload = self.history.put(b"\x80\x05pickled", "pickle")
        event = e.CellCompleted(
            self.run_id,
            self.tick(),
            cell,
            b"key",
            duration,
            {"y": b"\x00\xff", "z": b""},
            (e.Product(("x", "w"), b"\x01\x02", payload), e.Product(("c",), b"", reason="client")),
            ("gone",),
            (e.AmbientChange("cwd", b"\x03", payload),),
            payload,
            "x",
            restorable=True,
        )
        self.history.commit(event)
        return event

    def step(
        self,
        cell: str,
        *,
        slot: str = "id:a",
        name: str = "ask",
        key: bytes = b"k" * 16,
        ordinal: int = 0,
        once: bool = False,
    ) -> str:
        step = self.history.new_activity_id()
        self.history.append(
            e.StepStarted(
                self.run_id,
                self.tick(),
                step,
                cell,
                slot,
                name,
                key,
                ordinal,
                '{"prompt":"hello"}',
                once,
            )
        )
        return step

    def complete_step(
        self, step: str, *, attempt: int = 1, data: bytes = b'{"answer":42}', duration: int = 5
    ) -> None:
        result = self.history.put(data, "json")
        self.history.commit(
            e.StepCompleted(self.run_id, self.tick(), step, attempt, result, None, duration)
        )

    def fail_attempt(self, step: str, *, attempt: int = 1, message: str = "busy") -> None:
        error = e.ErrorInfo("builtins.OSError", message, "Traceback ...")
        self.history.commit(
            e.AttemptFailed(self.run_id, self.tick(), step, attempt, error, 2 * SECOND)
        )

    def next_attempt(self, step: str, cell: str, attempt: int) -> None:
        self.history.append(e.AttemptStarted(self.run_id, self.tick(), step, cell, attempt))

    def fail_step(self, step: str, *, attempt: int = 1) -> e.ErrorInfo:
        payload = self.history.put(b"exception", "exception")
        error = e.ErrorInfo("builtins.ValueError", "no", "Traceback ...", payload)
        self.history.commit(
            e.StepFailed(self.run_id, self.tick(), step, attempt, error, "maximum attempts", 7)
        )
        return error

    def workflow(self, run_id: str = "flow000001", **start: Any) -> Recorder:
        """A workflow's run that this one carries; `start` are fields of WorkflowStart."""
        flow = Recorder(self.history, run_id)
        flow.at = self.at
        payload = self.history.put(b'[["a"],{}]', "json")
        about = e.WorkflowStart(run_id + "-id", self.run_id, payload, b"seed", b"v", **start)
        self.history.commit(
            e.RunStarted(
                run_id, flow.tick(), "review", "/work/a.ipynb", {"topic": "a"}, "cpython-311",
                "0.1.0", about,
            )
        )  # fmt: skip
        return flow

    def finish(self, status: e.RunEnd = "completed", **about: Any) -> None:
        self.history.commit(e.RunFinished(self.run_id, self.tick(), status, **about))
