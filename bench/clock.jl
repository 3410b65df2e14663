# Saves and loads with BSON.jl as it is told on its standard input, one command a line, and answers with seconds:
#
#     arrays FILE      the arrays to save: each as its number of rows, of columns (Int64) and its Float32s
#     save FILE        the old file is removed before the clock starts
#     load FILE
#
# One process for all rounds: the first round compiles.

using BSON

function arrays(path)
    found = Dict{Symbol,Any}()
    open(path) do file
        while !eof(file)
            rows, columns = read(file, Int64), read(file, Int64)
            found[Symbol("a", length(found))] = read!(file, Array{Float32}(undef, rows, columns))
        end
    end
    found
end

state = Dict{Symbol,Any}()

for line in eachline(stdin)
    command, path = String.(split(line, ' '; limit = 2))
    seconds = 0.0
    if command == "arrays"
        global state = arrays(path)
    elseif command == "save"
        rm(path; force = true)
        GC.gc()
        seconds = @elapsed bson(path, state)
    elseif command == "load"
        GC.gc()
        seconds = @elapsed BSON.load(path)
    end
    println(seconds)
    flush(stdout)
end
