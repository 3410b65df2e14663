"""Whole files, one module a format. The file's first bytes choose it; there is never a second try with another reader.

file.py         an open file of any format; lazy.py: its values, each verified when it is handed out
choose.py       the table of formats, and which one a file or a path has
bson.py         BSON documents: ours, and those that BSON.jl wrote
safetensors.py  tensors by name
npz.py, npy.py  NumPy's arrays, in a zip or alone
torch.py        what torch.save wrote, as data
jld2/           Julia's JLD2
hdf5/           HDF5, and the weights of Keras

document/       the documents that all readers make: their arrays and leaves, and how ``holdfast convert`` changes them
foreign/        what other programs' files are made of: zips, pickles, compressed arrays, and our seals on them
look/           the tree of a file, for ``inspect``
"""
