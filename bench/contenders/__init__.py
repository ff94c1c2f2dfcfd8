"""The contenders. Each module has

    Contender(folder)                     lives in a worker process, its store in `folder`
        .sequential(tag, steps, **how) -> seconds for the steps, one after another
        .concurrent(tag, steps, limit, **how) -> seconds for the steps, `limit` at a time
        .close()
    Program(folder, mark, reached)        what `bench.resumer` runs
        .run(steps, resuming=...)         `steps` steps, then one whose body calls `reached`

`tag` is another one each round: no call is answered from an earlier one. A step returns 200 bytes.
"""

ANSWER = "a" * 200
