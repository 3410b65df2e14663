"""Whole files, one module a format. The file's first bytes choose it; there is never a second try with another reader.

file.py         an open file of any format
choose.py       the table of formats, and which one a file or a path has
bson.py         BSON documents: ours, and those that BSON.jl wrote
safetensors.py  tensors by name
npz.py, npy.py  NumPy's arrays, in a zip or alone
torch.py        what torch.save wrote, as data
jld2/           Julia's JLD2
hdf5/           HDF5, and the weights of Keras

arrays.py       one array: its document as NumPy's array, and back
leaves.py       a document as formats for weights see it, and the notes that they keep for us
seals.py        the checksum of what we add to a format that has none
archive.py      the directory of a zip; pickles.py: what a pickle says of its storages
filters.py      what JLD2 and HDF5 compress arrays with
ondemand.py     a document whose values are read when they are asked for
lazy.py         the values of a file, each verified when it is handed out
tables.py       dictionaries of names as documents
inspect.py      the tree of a file, with entry.py, describe.py and nodes.py
change.py       documents changed as documents, for ``holdfast convert``; scratch.py: room for what is made anew
"""
