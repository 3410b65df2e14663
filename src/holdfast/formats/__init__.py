"""Whole files, one module a format. The file's first bytes choose it; there is never a second try with another reader.

bson.py  BSON documents: ours, and those that BSON.jl wrote
"""
