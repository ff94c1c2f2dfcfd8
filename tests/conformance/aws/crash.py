"""Begins a case in a process that the case kills: CASE FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

from conformance.aws.driving import LIMIT, begin
from conformance.aws.suite import cases
from evercell.testing import WorkflowEnvironment

case = next(case for case in cases() if case.id == sys.argv[1])
with WorkflowEnvironment(Path(sys.argv[2])):
    begin(case).result(LIMIT)
