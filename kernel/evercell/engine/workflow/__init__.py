"""Workflows: `@workflow` functions, replayed from their history on a deterministic event loop.

namespace   what notebooks import as `workflow`: the decorator, and what workflow code may call
definition  a workflow function and its options
handle      a run, seen from outside
worker      the thread on which all runs of this kernel go on
instance    one run: its code, its loop, what it waits for
asks        what code asked for, compared with what the history says it asked for
loop        the deterministic event loop
guard       what workflow code must not call
runner      where the bodies of steps run
"""
