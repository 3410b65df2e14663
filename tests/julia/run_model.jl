# julia run_model.jl [FILE KEY INPUT OUT]...
#
# Loads the Flux model KEY of FILE, runs it outside training on the array `x` of the BSON file INPUT, and writes what
# comes out as `y` to the BSON file OUT. When `x` is a list of arrays the model's state is reset and each array is a
# step; `y` is then a list too. What a layer gives as a tuple stays one. Every array comes out as a plain Array.
# One start of Julia can run many models.

using BSON, Flux

const NNlib = Flux.NNlib # BSON.jl 0.2 looks for modules in Main alone

untracked(y) = isdefined(Flux, :Tracker) ? Flux.Tracker.data(y) : y
plain(y::AbstractArray) = Array(untracked(y))
plain(y::Tuple) = map(plain, y)
plain(y) = untracked(y)

forward(model, x) = plain(model(x))

function forward(model, steps::Vector{Any})
    isdefined(Flux, :reset!) && Flux.reset!(model)
    Any[plain(model(x)) for x in steps]
end

function run_model(file, key, input, out)
    model = BSON.load(file)[Symbol(key)]
    Flux.testmode!(model)
    # a model from a file can bring methods that are younger than this function
    bson(out, Dict(:y => Base.invokelatest(forward, model, BSON.load(input)[:x])))
end

!isempty(ARGS) && length(ARGS) % 4 == 0 || error("arguments: FILE KEY INPUT OUT, any number of times")
foreach(four -> run_model(four...), Iterators.partition(ARGS, 4))
