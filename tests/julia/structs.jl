# julia structs.jl
#
# Prints every struct of Flux, Flux.Optimise and Optimisers.jl, as far as this Julia has them, as a line of JSON each:
#   {"name": "Flux.Dense", "fields": ["weight", "bias", "σ"], "parameters": 3}

using Flux
include(joinpath(@__DIR__, "describe.jl"))

function report(package, name, T)
    T isa Type && isstructtype(Base.unwrap_unionall(T)) && !isabstracttype(T) || return
    Base.unwrap_unionall(T).name.name == name && !startswith(string(name), '#') || return # another name for it, a closure
    io = IOBuffer()
    print(io, "{\"name\":")
    string_json(io, "$package.$name")
    member(io, "fields")
    list_json(f -> string_json(io, string(f)), io, fieldnames(Base.unwrap_unionall(T)))
    member(io, "parameters")
    print(io, length(Base.unwrap_unionall(T).parameters))
    println(String(take!(io)), "}")
end

packages = ["Flux" => Flux]
isdefined(Flux, :Optimise) && push!(packages, "Flux.Optimise" => Flux.Optimise)
isdefined(Flux, :Optimisers) && push!(packages, "Optimisers" => Flux.Optimisers)
for (package, m) in packages, name in names(m, all = true)
    isdefined(m, name) && report(package, name, getfield(m, name))
end
