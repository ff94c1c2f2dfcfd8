"""Evercell in Jupyter: the engine hosted by ipykernel, its magics and its kernelspec.

    __main__ -> app -> kernel -> executor -> host   the way of a cell
                          |          |
                     extension    session           the engine, opened at the first cell
    streams, outputs                                what a cell publishes, complete and in order
    interrupts, tracebacks, comms                   where ipykernel needs a hand

Nothing is imported here: a kernel that starts should load no more than it needs.
"""
