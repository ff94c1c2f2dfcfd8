"""Values as bytes and back: digests by content, pickles that know the live namespace, exceptions.

canonical   what a value *is*: a digest for keys
pickling    a value as a stream and back, by name where the namespace has it
values      a step's arguments and results: JSON where it is exact, else a verified pickle
views       readable JSON of anything, for people
exceptions  what an attempt raised, so that it can be raised again
"""
