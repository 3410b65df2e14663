"""What other programs' files are made of, read with care.

archive.py  the directory of a zip
pickles.py  what a pickle says of its storages
filters.py  what JLD2 and HDF5 compress arrays with
seals.py    the checksum of what we add to a format that has none
"""
