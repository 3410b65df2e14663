"""What is in a file, without building it.

inspect.py      the walk over a file's documents
describe.py     what one document is; objects.py: those of Python's own; seen.py: the answer
nodes.py        parts of documents as they stand: lists, sizes, names of types
flux_fields.py  the names of the fields of Flux's structs
entry.py        the tree that comes of it, and its text
"""
