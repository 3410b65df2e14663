# Writes the same values with JLD2 and with BSON.jl, for tests/formats/test_jld2_vectors.py.
#
#     julia jld2_vectors.jl FOLDER
#
# The files in tests/vectors/jld2 were made by Julia 1.5.3, JLD2 0.4.15, BSON.jl 0.3.9 and Flux 0.12.1.

using JLD2, BSON, Flux, Random, UUIDs
Random.seed!(1)

struct Point; x::Float64; y::Int32; end
mutable struct Node; value::Int; next::Any; Node(v) = new(v); end

const shared = Float32[1, 2, 3]
const ring = Node(1)
ring.next = Node(2)
ring.next.next = ring

values_ = [
    :int => 1, :float => 1.5, :single => 1.5f0, :short => Int32(3), :byte => 0x07, :bool => true, :wide => Int128(2)^100,
    :nothing_ => nothing, :missing_ => missing, :text => "héllo", :empty_text => "", :char => 'é', :symbol => :abc,
    :complex => 1.0 + 2.0im, :complex32 => ComplexF32(1, 2), :rational => 2 // 3, :range => 1:5, :steps => 1:2:9,
    :floats => 0.0:0.1:1.0, :uuid => UUID(5), :version => v"1.2.3", :ref => Ref(5), :pair => (:a => nothing),
    :tuple => (1, "a", :b, nothing, 2.0f0), :no_tuple => (), :numbers => (1, 2, 3), :long_tuple => ntuple(i -> i, 20),
    :named => (a = 1, b = nothing, c = (d = Float32[1 2; 3 4],), e = ()),
    :matrix => reshape(Float32.(1:6), 2, 3), :cube => reshape(collect(1.0:24.0), 2, 3, 4), :vector => [1, 2, 3],
    :bytes => UInt8[1, 2, 3], :bools => [true, false], :no_axes => fill(3.0), :no_elements => Float32[],
    :half => Float16[1, 2], :complexes => ComplexF32[1 2im; 3 4], :chars => ['a', 'é'], :texts => ["a", "bb", ""],
    :symbols => [:a, :b], :any => Any[1, "two", [3.0], nothing], :texts2 => ["a" "b"; "c" "d"],
    :nothings => [nothing, nothing], :vectors => [[1, 2], [3]], :union => [1, missing, 3],
    :union32 => Union{Float32,Nothing}[1.0f0, nothing], :point => Point(1, 2), :node => ring, :undefined => Node(7),
    :dict => Dict("a" => 1, "b" => 2), :dict_any => Dict{Any,Any}(:k => [1.0], 2 => "x"), :dict_symbol => Dict(:a => nothing),
    :no_dict => Dict{String,Int}(), :id_dict => IdDict{Any,Any}(shared => 1), :set => Set([1, 2]),
    :type => Float32, :array_type => Array{Float32,2}, :any_rank => Array{Float32}, :union_type => Union{Int,String,Float64},
    :bottom => Union{}, :sine => sin, :relu => relu, :twice => Any[shared, shared], :adjoint => [1.0 2; 3 4]',
    :view => view([1.0 2; 3 4], :, 1), :permuted => PermutedDimsArray([1.0 2; 3 4], (2, 1)),
]

m = Dense(3, 2)
opt = ADAM(0.01)
Flux.update!(opt, params(m), gradient(() -> sum(m(ones(Float32, 3, 2))), params(m)))

models = [
    :mlp => Chain(Dense(10, 5, relu), Dense(5, 2), softmax),
    :conv => Chain(Conv((3, 3), 1 => 4, relu), MaxPool((2, 2)), BatchNorm(4, tanh), Flux.flatten, Dropout(0.5), Dense(4, 3)),
    :recurrent => Chain(RNN(3, 4), LSTM(4, 5), GRU(5, 2)), :skip => SkipConnection(Dense(3, 3), +),
    :parallel => Parallel(+, Dense(2, 3), Dense(2, 3, tanh)), :layernorm => Chain(LayerNorm(4), Flux.Diagonal(4)),
    :no_bias => Dense(3, 2, bias = false), :norms => Chain(GroupNorm(4, 2), InstanceNorm(4)),
    :pools => Chain(GlobalMeanPool(), MeanPool((2, 2)), AdaptiveMaxPool((2, 2))), :bilinear => Flux.Bilinear(2, 3, 4),
    :fixed => Chain(Dense(2, 2), Base.Fix1(broadcast, tanh)), :up => Upsample(2), :maxout => Maxout(() -> Dense(2, 2), 3),
    :deconv => ConvTranspose((3, 3), 2 => 4, sigmoid, stride = 2), :trained => m, :adam => opt,
]

folder = ARGS[1]
for (file, entries) in ("values" => values_, "models" => models)
    jldopen(joinpath(folder, "$file.jld2"), "w") do f
        session = JLD2.JLDWriteSession()   # one, as jldsave has it: what is shared by two names is written once
        for (name, value) in entries
            Base.invokelatest(write, f, string(name), value, session)   # JLD2 defines methods as it goes
        end
    end
    BSON.bson(joinpath(folder, "$file.bson"), Dict{Symbol,Any}(entries))
end

jldopen(joinpath(folder, "alone.jld2"), "w") do f   # what BSON.jl cannot write, or does not write as it is
    f["big"] = BigInt(2)^200
    f["negative"] = -BigInt(2)^70
    f["points"] = [Point(1, 2), Point(3, 4)]
    f["closure"] = let a = 2; x -> a * x; end
    f["group/a"] = 1
    f["group/deeper/b"] = [1.0f0]
    f["tag"] = 5
    f["odd/tag"] = 6
end
