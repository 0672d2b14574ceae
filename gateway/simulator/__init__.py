"""A house in a box, on the wire: only the physics is simulated.

It speaks from its own tables and imports no driver, so that one mistake cannot hide on both sides.
"""
