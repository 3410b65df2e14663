# Writes activations.json: what NNlib's own functions give, version by version, in Float32 and Float64.
#
#     julia make_activations.jl VERSION=FILE… > activations.json
#
# Each FILE is NNlib's src/activation.jl or src/activations.jl of that VERSION; the part up to the rules for
# derivatives is included as it is, without the package. Julia 1.5.3.
json(x::AbstractFloat) = isfinite(x) ? replace(string(x), 'f' => 'e') : "\"" * string(x) * "\""
json(x::AbstractVector) = "[" * join(json.(x), ", ") * "]"

const XS = [-90.0, -10.0, -3.5, -3.0, -2.0, -1.0, -0.5, -0.3, -0.01, 0.0, 0.01, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 6.5, 21.0, 90.0]
const NAMES = [:σ, :hardσ, :hardtanh, :relu, :leakyrelu, :relu6, :elu, :gelu, :gelu_tanh, :gelu_sigmoid, :swish, :hardswish, :selu, :celu,
  :softplus, :softsign, :logσ, :logcosh, :mish, :tanhshrink, :softshrink, :trelu, :lisht, :tanh_fast, :sigmoid_fast]

text(path) = replace(replace(read(path, String), r"^@init.*?^end"ms => ""), r"^## Define rrules.*"ms => "")
entries = String[]
for argument in ARGS
  version, path = split(argument, "=")
  room = Module(Symbol("V", replace(version, "." => "_")))
  Core.eval(room, :(const Numeric = Number; rrule(x...) = nothing; struct NoTangent end))
  Base.include_string(room, replace(text(path), r"^function rrule.*?^end"ms => ""))
  rows = ["   \"$name\": {" * join(["\"$T\": " * json([T(Base.invokelatest(Core.eval(room, name), T(x))) for x in XS]) for T in (Float32, Float64)], ",\n    ") * "}"
          for name in NAMES if isdefined(room, name)]
  push!(entries, "  \"$version\": {\n" * join(rows, ",\n") * "}")
end
println("{\"x\": ", json(XS), ",\n \"versions\": {\n", join(entries, ",\n"), "}}")
