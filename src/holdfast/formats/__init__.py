"""Whole files, one module a format. The file's first bytes choose it; there is never a second try with another reader.

file.py         an open file of any format
choose.py       the table of formats, and which one a file or a path has
bson.py         BSON documents: ours, and those that BSON.jl wrote
safetensors.py  tensors by name
npz.py, npy.py  NumPy's arrays, in a zip or alone
torch.py        what torch.save wrote, as data
jld2/           Julia's JLD2
hdf5/           HDF5, and the weights of Keras
filters.py      what both compress arrays with
lazy.py         a document whose values are read when they are asked for
"""
