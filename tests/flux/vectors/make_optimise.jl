# Writes optimise.json: what the optimisers of Flux 0.12.1, Flux 0.14.25 and Optimisers.jl 0.4.6 make of given gradients.
#
#     julia make_optimise.jl FLUX_0_12_1 FLUX_0_14_25 OPTIMISERS_RULES OPTIMISERS_INTERFACE > optimise.json
#
# The arguments are the files src/optimise/optimisers.jl of the two versions of Flux, and src/rules.jl and
# src/interface.jl of Optimisers.jl. They are included as they are, without the packages around them. Julia 1.5.3.
using Random

const STEPS = 5
strip(path) = replace(replace(read(path, String), r"^using .*$"m => ""), r"^@forward .*$"m => "")

module Old; using LinearAlgebra; end
module Mid; using LinearAlgebra; end
module New
  using LinearAlgebra
  abstract type AbstractRule end
  abstract type Zero end
  macro functor(x) end
  maywrite(x) = true
  ofeltype(x, y) = convert(float(eltype(x)), y)
  _eps(T::Type{<:Number}, e) = real(float(T))(e)
  macro def(ex)  # the package's own needs Julia 1.6: fields with defaults, by position and by name
    rule = ex.args[2].args[1]; pairs = [f.args for f in ex.args[3].args if Meta.isexpr(f, :(=))]
    names = first.(pairs); kws = [Expr(:kw, p...) for p in pairs]
    esc(quote
      struct $rule <: AbstractRule
        $(names...)
        $rule($(names[1]), $(kws[2:end]...)) = new($(names...))
        $rule(; $(kws...)) = new($(names...))
      end
    end)
  end
end
Base.include_string(Old, strip(ARGS[1]))
Base.include_string(Mid, strip(ARGS[2]))
let text = read(ARGS[4], String)
  from, to = first(findfirst("macro var\"..\"", text)), first(findfirst("nonneg(", text)) - 1
  Base.include_string(New, text[from:to])
end
Base.include_string(New, replace(read(ARGS[3], String), r"^@deprecate .*$"m => ""))

json(x::AbstractFloat) = replace(string(x), 'f' => 'e')
json(x::Union{Integer,Bool}) = string(x)
json(x::AbstractString) = "\"" * x * "\""
json(x::Nothing) = "null"
json(x::Ref) = json(x[])
json(x::Union{Tuple,AbstractVector}) = "[" * join(json.(collect(x)), ", ") * "]"
json(x::AbstractMatrix) = json(vec(x))
record(; kw...) = "{" * join(["\"$k\": " * json(v) for (k, v) in kw], ", ") * "}"

start(T) = (T.([0.5 -1.0 2.0; 0.25 0.75 -0.125]), T.([0.1, -0.2, 0.0, 3.0]))
gradient(T, step, size, which) = T.(reshape([2 * sin(1.7k + 0.9step + 3which) * (k == 2 ? 0.01 : 1.0) for k in 1:prod(size)], size))

state(o, x) = nothing
function state(o, x)
  for field in (:state, :velocity, :acc, :current)
    hasproperty(o, field) && return get(getproperty(o, field), x, nothing)
  end
end

function classic(era, mod, expr, T)
  o = Base.eval(mod, Meta.parse(expr)); xs = start(T); after = []
  for step in 1:STEPS
    for (i, x) in enumerate(xs)
      Δ = gradient(T, step, size(x), i)
      x .-= mod.apply!(o, x, Δ)
    end
    step in (1, STEPS) && push!(after, copy.(xs))
  end
  parts = o isa mod.Optimiser ? o.os : [o]
  record(era = era, expr = expr, dtype = string(T), after = after, state = [[state(p, x) for x in xs] for p in parts])
end

function modern(expr, T)
  o = Base.eval(New, Meta.parse(expr)); xs = start(T); after = []
  states = Any[New.init(o, x) for x in xs]
  for step in 1:STEPS
    for (i, x) in enumerate(xs)
      states[i], Δ = New.apply!(o, states[i], x, gradient(T, step, size(x), i))
      x .-= Δ
    end
    step in (1, STEPS) && push!(after, copy.(xs))
  end
  record(era = "Optimisers", expr = expr, dtype = string(T), after = after, state = states)
end

OLD = ["Descent()", "Descent(0.3)", "Momentum()", "Nesterov(0.003, 0.95)", "RMSProp()", "ADAM()", "ADAM(0.01, (0.8, 0.99))",
  "RADAM()", "RADAM(0.001, (0.9, 0.5))", "AdaMax()", "OADAM()", "ADAGrad()", "ADADelta()", "AMSGrad()", "NADAM()", "ADAMW(0.001, (0.9, 0.999), 0.01)",
  "AdaBelief()", "ClipValue(0.1)", "ClipNorm(1.0)", "WeightDecay(0.01)", "Optimiser(InvDecay(0.1), Momentum())",
  "Optimiser(ExpDecay(0.1, 0.5, 2, 1e-4), Descent(1.0))", "Optimiser(ClipNorm(1.0), WeightDecay(0.1), ADAM())"]
MID = ["Adam()", "Adam(0.01, (0.9, 0.99), 1e-3)", "AdaBelief()", "Optimiser(ExpDecay(0.1, 0.5, 2, 1e-4, 2), Descent(1.0))", "RMSProp(0.01, 0.9, 1e-3)"]
NEW = ["Descent()", "Momentum()", "Nesterov()", "RMSProp()", "RMSProp(0.01; centred = true)", "Rprop()", "Adam()", "Lion()", "RAdam()", "RAdam(0.001, (0.9, 0.5))",
  "AdaMax()", "OAdam()", "AdaGrad()", "AdaDelta()", "AMSGrad()", "NAdam()", "AdamW()", "AdamW(0.01, (0.9, 0.999), 0.1)", "AdamW(0.01, (0.9, 0.999), 0.1; couple = false)",
  "AdaBelief()", "WeightDecay()", "SignDecay()", "ClipGrad(0.5)", "ClipNorm(1.0)", "OptimiserChain(ClipGrad(0.5), WeightDecay(0.01), Adam(0.1))"]

cases = String[]
for T in (Float32, Float64)
  append!(cases, [classic("0.12.1", Old, e, T) for e in OLD])
  append!(cases, [classic("0.14.25", Mid, e, T) for e in MID])
  append!(cases, [modern(e, T) for e in NEW])
end

# The model and the data with which the files of the reference corpus were trained, drawn by Julia 1.5.3's generator.
glorot(dims...) = (rand(Float32, dims...) .- 0.5f0) .* sqrt(24.0f0 / sum(dims))
Random.seed!(2)
W1 = glorot(3, 4); W2 = glorot(2, 3); x = rand(Float32, 4, 5); y = rand(Float32, 2, 5)
gradients(T) = [[gradient(T, s, size(x), i) for (i, x) in enumerate(start(T))] for s in 1:STEPS]
println("{\"sizes\": [[2, 3], [4]], \"start\": ", json(start(Float64)), ",\n \"gradients\": {\"Float32\": ", json(gradients(Float32)), ",\n  \"Float64\": ", json(gradients(Float64)), "},\n",
        " \"trained\": ", record(W1 = W1, W2 = W2, x = x, y = y), ",\n \"cases\": [\n  ", join(cases, ",\n  "), "\n]}")
