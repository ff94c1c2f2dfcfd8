"""Benchmarks: Evercell beside its peers, as ratios measured in one run on one machine.

    python -m bench [--quick] [--only SUBJECT]   prints the table, writes artifacts/bench.json

Each subject (sequential, concurrent, resume, empty_cell, kernel_start) asks its contenders in
interleaved rounds: a round runs every contender once, in an order that rotates, so that whatever
else the machine does falls on all alike. Ratios are taken within a round, then their median.
"""
