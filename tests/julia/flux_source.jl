# Today's Flux as a package for a Julia that is too old for it: this file is its `src/Flux.jl`, and the source files of Flux,
# NNlib, Functors and Optimisers stand beside `src`, as README.md says.
#
# Those files are evaluated one definition at a time, as they stand there. What needs a package that is absent or a newer
# Julia (gradients, devices) is left out, and `Flux.left_out` says why; a model that needs it does not open or does not run.
# No layer and no rule is written here: the small modules below are what the files use of other packages.

module Source
const left_out = Pair{String,String}[]
const standing = Dict{Symbol,Module}() # modules of this file, which are not looked for anywhere else

"All of a package: its own source files, and what they import of this file's other modules."
function package(m::Module)
    name = nameof(m)
    use(m, :Compat)
    take(m, joinpath(@__DIR__, "..", lowercase(string(name)), "$name.jl"))
    standing[name] = m
end

function use(m, name)
    isdefined(m, name) || Core.eval(m, :(const $name = $(standing[name])))
    Core.eval(m, :(using .$name))
end

"Evaluates the definitions of a file in the module `m`; a file that consists of this module stands for what is in it."
take(m::Module, file::String) =
    foreach(ex -> take(m, file, ex), Base.parse_input_line(read(file, String), filename = file).args)
take(m::Module, file, other) = nothing

function take(m::Module, file, ex::Expr)
    ex.head === :module && return submodule(m, file, ex)
    ex.head in (:using, :import) && return foreach(each -> imported(m, file, Expr(ex.head, each)), ex.args)
    ex.head === :call && ex.args[1] === :include && return take(m, joinpath(dirname(file), ex.args[2]))
    ex.head === :macrocall && ex.args[1] === Symbol("@reexport") && return take(m, file, ex.args[end])
    tried(m, file, older(ex))
end

function tried(m, file, ex)
    try
        VERSION < v"1.10" && occursin(":generated_only", string(ex)) && error("a generator by hand, which ends this Julia")
        Core.eval(m, ex)
    catch e
        push!(left_out, basename(file) => first(sprint(showerror, e), 200))
    end
end

"The file's own module is the one that is open; one inside it is opened for as long as its definitions last."
function submodule(m, file, ex)
    name, body = ex.args[2], ex.args[3]
    each(m) = foreach(one -> take(m, file, one), body.args)
    name === nameof(m) ? each(m) : Core.eval(m, Expr(:toplevel, Expr(:module, true, name, Expr(:block, :($each($name))))))
end

"What stands in this file is imported from there."
function imported(m, file, ex)
    path = ex.args[1].head === :(:) ? ex.args[1].args[1] : ex.args[1]
    name = path.args[1]
    if haskey(standing, name)
        isdefined(m, name) || Core.eval(m, :(const $name = $(standing[name])))
        pushfirst!(path.args, :.)
    end
    tried(m, file, ex)
end

"What older Julias do not know, in their words."
older(x) = x
function older(ex::Expr)
    ex = Expr(ex.head, map(older, ex.args)...)
    # a, b... = c
    ex.head === :(=) && Meta.isexpr(ex.args[1], :tuple) && Meta.isexpr(ex.args[1].args[end], :...) && return slurped(ex.args...)
    # new{types...}(values...), which Optimisers puts into the struct of each `rule`
    ex.head === :call && Meta.isexpr(ex.args[1], :curly) && ex.args[1].args[1] === :new || return ex
    types, values = ex.args[1].args[2:end], ex.args[2:end]
    Meta.isexpr(types[1], :...) ? made(Expr(:$, :rule), types, values) : ex
end

function slurped(left, right)
    names, n, all = left.args, length(left.args), gensym()
    firsts = (:($(names[i]) = $all[$i]) for i in 1:n-1)
    :($all = $right; $(firsts...); $(names[n].args[1]) = $all[$n:end])
end

made(name, types, values) = :(ccall(:jl_new_structt, Any, (Any, Any), $(Expr(:curly, name, types...)), $(Expr(:tuple, values...))))

module MacroTools
"`@forward T.field f, g` gives `f` and `g` of a `T` to its field."
macro forward(place, functions)
    T, field = esc(place.args[1]), place.args[2]
    all = Meta.isexpr(functions, :tuple) ? functions.args : [functions]
    Expr(:block, (:($(esc(f))(x::$T, rest...) = $(esc(f))(getfield(x, $field), rest...)) for f in all)..., nothing)
end
end

module Compat # what newer Julias have
export @compat, @lazy_str
macro compat(ex...) end
macro lazy_str(text) # 1.8
    esc(Meta.parse(string('"', escape_string(text), '"')))
end
if !isdefined(Base, :stack) # 1.9
    export stack
    apart(x, d) = reshape(x, size(x)[1:d-1]..., 1, size(x)[d:end]...)
    stack(xs; dims) = cat((apart(x, dims) for x in xs)...; dims = dims)
end
if VERSION < v"1.6" # since then it broadcasts
    Base.muladd(A::AbstractMatrix, B::AbstractVecOrMat, z::Union{Number,AbstractArray}) = A * B .+ z
end
if !isdefined(Base, :ismutabletype) # 1.7
    export ismutabletype
    ismutabletype(T) = (T = Base.unwrap_unionall(T); T isa DataType && T.mutable)
end
end

module ChainRulesCore # of gradients, that there are none
export @non_differentiable, @opt_out, @scalar_rule, @thunk, @ignore_derivatives, ignore_derivatives, rrule, unthunk
export NoTangent, ZeroTangent, AbstractZero, AbstractThunk, RuleConfig, HasReverseMode
macro non_differentiable(ex...) end
macro opt_out(ex...) end
macro scalar_rule(ex...) end
macro thunk(ex) esc(ex) end
macro ignore_derivatives(ex) esc(ex) end
ignore_derivatives(f::Function) = f()
ignore_derivatives(x) = x
unthunk(x) = x
abstract type AbstractZero end
struct NoTangent <: AbstractZero end
struct ZeroTangent <: AbstractZero end
Base.:+(x, ::ZeroTangent) = x
abstract type AbstractThunk end
abstract type HasReverseMode end
abstract type RuleConfig{T} end
struct Tangent{T,F} fields::F end
canonicalize(x) = x
backing(x::Tangent) = x.fields
struct ProjectTo{T} end
function rrule end
end

module ConstructionBase
constructorof(T::Type) = Base.typename(T).wrapper
constructorof(::Type{<:NamedTuple{names}}) where {names} = (values...) -> NamedTuple{names}(values)
constructorof(::Type{<:Tuple}) = tuple
end

module KernelAbstractions # a kernel visits one place of its range after another
export @kernel, @index, @Const, @uniform, @atomic, get_backend, CPU, GPU
struct CPU end
abstract type GPU end
get_backend(x) = CPU()
macro Const(x) esc(x) end
macro uniform(ex) esc(ex) end
macro atomic(ex) esc(ex) end
macro index(all, kind = :Linear) esc(kind === :NTuple ? :(place__.I) : :(place__[1])) end
macro kernel(method)
    call = method.args[1].head === :where ? method.args[1].args[1] : method.args[1]
    name = call.args[1]
    insert!(call.args, 2, :(place__::CartesianIndex))
    start = :($name(::$CPU) = (args...; ndrange) -> foreach(p -> $name(p, args...), CartesianIndices(Tuple(ndrange))))
    esc(:($method; hasmethod($name, Tuple{$CPU}) || @eval $start))
end
end

module Adapt
export adapt
adapt(to, x) = x
function adapt_structure end
function adapt_storage end
end

module EnzymeCore
struct Duplicated{T} val::T; dval::T end
function make_zero end
end

module OneHotArrays
export OneHotLike, OneHotArray
abstract type OneHotLike{T,L,N} <: AbstractArray{Bool,N} end
abstract type OneHotArray{T,N,M,I} <: OneHotLike{T,M,M} end
end

module MLUtils
export ones_like, zeros_like, chunk
flatten(x::AbstractArray) = reshape(x, :, size(x)[end])
ones_like(x, size = size(x)) = fill!(similar(x, size), 1)
zeros_like(x, size = size(x)) = fill!(similar(x, size), 0)
function chunk(x, n; dims)
    step = cld(size(x, dims), n)
    [selectdim(x, dims, first:min(first + step - 1, size(x, dims))) for first in 1:step:size(x, dims)]
end
end

for m in (MacroTools, Compat, ChainRulesCore, ConstructionBase, KernelAbstractions, Adapt, EnzymeCore, OneHotArrays, MLUtils)
    standing[nameof(m)] = m
end
end # module Source

# each a module of the top, so that a file names what is in it as the packages themselves do
module Functors first(m for (id, m) in Base.loaded_modules if id.name == "Source").package(Functors) end
module Optimisers first(m for (id, m) in Base.loaded_modules if id.name == "Source").package(Optimisers) end
module NNlib first(m for (id, m) in Base.loaded_modules if id.name == "Source").package(NNlib) end

module Flux
const Source = first(m for (id, m) in Base.loaded_modules if id.name == "Source")
const left_out = Source.left_out
Source.package(Flux)
end
