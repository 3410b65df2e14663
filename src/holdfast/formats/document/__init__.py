"""Documents as formats make and take them, whatever the file.

arrays.py    one array: its document as NumPy's array, and back
leaves.py    a document as formats for weights see it, and the notes that they keep for us
tables.py    dictionaries of names as documents
ondemand.py  a document whose values are read when they are asked for
change.py    documents changed as documents; scratch.py: room on the disk for what is made anew
for_bson.py  a document of any reader as one that BSON.jl can load
"""
