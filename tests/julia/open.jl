# julia open.jl [--using NAME]... FILE...
#
# Opens each FILE with BSON.load and prints one line of JSON for each top-level value, sorted by name:
#   {"file": FILE, "n": 1, "key": name, "value": description}       describe.jl says what a description is
#   {"file": FILE, "n": 1, "error": message}                        a file that BSON.load refuses
# n: which of the FILEs, from 1.
# --using: a package whose types the files name. Exit status 1 when any file was refused.
# One start of Julia can open many files; objects shared between the values of one file have one id.

using BSON
include(joinpath(@__DIR__, "describe.jl"))

function report((n, file), known...)
    io = IOBuffer()
    print(io, "{\"file\":")
    string_json(io, file)
    member(io, "n")
    print(io, n)
    for (key, write) in known
        member(io, key)
        write(io)
    end
    println(String(take!(io)), "}")
    flush(stdout)
end

function open_file((n, file))
    values = try
        BSON.load(file)
    catch e
        report((n, file), "error" => io -> string_json(io, first(sprint(showerror, e), 1000)))
        return false
    end
    seen = Seen()
    for key in sort!(collect(keys(values)), by = string)
        report((n, file), "key" => io -> string_json(io, string(key)), "value" => io -> describe(io, values[key], seen))
    end
    true
end

files = copy(ARGS)
while !isempty(files) && files[1] == "--using"
    @eval using $(Symbol(files[2]))
    splice!(files, 1:2)
end
refused = count(!, map(f -> Base.invokelatest(open_file, f), collect(enumerate(files))))
exit(refused == 0 ? 0 : 1)
