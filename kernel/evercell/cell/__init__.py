"""Cells: what a cell's source may touch, what its run changed, and giving that back.

source      the normal form, names, directives, escapes
identity    the key of a cell
namespace   the live namespace under watch: lookup, before, after, decode, apply
outputs     the kernel messages that a cell published
"""
