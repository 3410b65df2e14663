"""Bytes to document and back: BSON as BSON.jl writes it. No input or output, no NumPy, no meaning.

values.py    what a document is made of
elements.py  codes of types, names, plain values
numbers.py   short lists of numbers, in one step each way
pattern.py   documents that are alike, known by their bytes
read.py      buffer -> document; binaries are views, never read
plan.py      document -> frame and blobs, every offset known before a byte moves
checksum.py  XXH3-64 of blobs and of the frame
"""
