# julia update_tree.jl [FROM OUT FIRST LAST]...
#
# Trains a Flux model with Optimisers.jl: FROM is a file with a `model` and the state tree `opt` of Flux.setup, or a rule
# such as `Adam(0.01)`, which is set up for a new model. Steps FIRST to LAST give each weight x the gradient cos(5x + step).
# OUT is a file with the `model` and the `opt` of then. One start of Julia can do many.

using BSON, Flux
const Optimisers = Flux.Optimisers
const Functors = Flux.Functors
const NNlib = Flux.NNlib # BSON.jl looks for modules in Main alone
isdefined(Flux, :MLUtils) && (const MLUtils = Flux.MLUtils)

fresh() = Flux.Chain(Flux.Conv((2, 3), 1 => 2, Flux.relu), Flux.BatchNorm(2), Flux.flatten, Flux.Dense(2 => 3), Flux.LayerNorm(3))

function started(from)
    isfile(from) && return (values = BSON.load(from); (values[:model], values[:opt]))
    model = fresh()
    model, Optimisers.setup(Core.eval(Optimisers, Meta.parse(from)), model)
end

gradient(step) = x -> Optimisers.isnumeric(x) ? cos.(5 .* x .+ step) : nothing

function train(from, out, first, last)
    model, opt = Base.invokelatest(started, from)
    for step in first:last
        opt, model = Optimisers.update!(opt, model, Functors.fmapstructure(gradient(Float32(step)), model))
    end
    bson(out, Dict(:model => model, :opt => opt))
end

for (from, out, first, last) in Iterators.partition(ARGS, 4)
    Base.invokelatest(train, from, out, parse(Int, first), parse(Int, last))
end
