# julia run_model.jl [FILE KEY INPUT OUT]...
#
# Loads the Flux model KEY of FILE, runs it outside training on the array `x` of the BSON file INPUT, and writes what
# comes out as `y` to the BSON file OUT. When `x` is a list of arrays the model's state is reset and each array is a
# step; `y` is then a list too. What a layer gives as a tuple stays one. Every array comes out as a plain Array.
# One start of Julia can run many models. Of one that cannot be loaded or run, OUT has the `error`, and the others run.

using BSON, Flux, Random

const NNlib = Flux.NNlib # BSON.jl 0.2 looks for modules in Main alone
# a package beside Flux, or a part of it
isdefined(Flux, :MLUtils) && (const MLUtils = Flux.MLUtils)

# types that today's files name, and that came after Julia 1.5; outside training no layer draws a number
if VERSION < v"1.6"
    @eval Base begin
        struct ComposedFunction{O,I} <: Function
            outer::O
            inner::I
        end
        (c::ComposedFunction)(x...) = c.outer(c.inner(x...))
    end
end
VERSION < v"1.7" && @eval Random struct TaskLocalRNG <: AbstractRNG end

untracked(y) = isdefined(Flux, :Tracker) ? Flux.Tracker.data(y) : y
plain(y::AbstractArray) = Array(untracked(y))
plain(y::Tuple) = map(plain, y)
plain(y) = untracked(y)

forward(model, x) = plain(model(x))

function forward(model, steps::Vector{Any})
    isdefined(Flux, :reset!) && Flux.reset!(model)
    Any[plain(model(x)) for x in steps]
end

function run_model(file, key, input)
    model = BSON.load(file)[Symbol(key)]
    isdefined(Flux, :testmode!) && Flux.testmode!(model)
    # a model from a file can bring methods that are younger than this function
    Base.invokelatest(forward, model, BSON.load(input)[:x])
end

function try_model(file, key, input, out)
    result = try
        :y => run_model(file, key, input)
    catch e
        :error => first(sprint(showerror, e), 1000)
    end
    bson(out, Dict(result))
    first(result) == :y
end

!isempty(ARGS) && length(ARGS) % 4 == 0 || error("arguments: FILE KEY INPUT OUT, any number of times")
exit(all(map(four -> try_model(four...), collect(Iterators.partition(ARGS, 4)))) ? 0 : 1)
