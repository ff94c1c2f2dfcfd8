"""Model endpoints that run on this machine, each a process of its own with a ledger.

    serve(responder)   server.py    HTTP on 127.0.0.1: log the request, ask the responder, log the answer
    the model          model.py     SmolLM2-135M on llama.cpp's server (python -m endpoint.model)
    EndpointProcess    process.py   start one, watch its ledger as events, stop it
    Entry              ledger.py    what stands in the ledger, one JSON object per line

The ledger is the witness of the demo and the tests: it is written by another process than the
kernel, so what it counts was really asked.
"""
