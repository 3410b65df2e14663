# Any Julia value as one line of JSON. Included by the scripts beside it.
#
# Every value is an object with its `type`; the rest says what it holds:
#   value   a number, string, symbol, character, type, function, module or enum
#   eltype, size, data   an array; data is flat, column-major
#   items   a tuple or set;  names + items   a named tuple;  pairs   a dictionary;  fields   any other struct
# What can be shared has an `id`; where the same object stands again, {"type", "same": id} stands for it.
# Integers are exact, Float16 and Float32 are widened, NaN and the infinities are strings, complex numbers are [re, im].

struct Seen
    ids::IdDict{Any,Int}
end
Seen() = Seen(IdDict{Any,Int}())

function string_json(io, s)
    print(io, '"')
    for c in s
        if c in ('"', '\\')
            print(io, '\\', c)
        elseif !isvalid(c) || c < ' ' || c > '~'
            for unit in transcode(UInt16, string(isvalid(c) ? c : '\ufffd'))
                print(io, "\\u", string(unit, base = 16, pad = 4))
            end
        else
            print(io, c)
        end
    end
    print(io, '"')
end

function list_json(each, io, xs)
    print(io, '[')
    for (n, x) in enumerate(xs)
        n == 1 || print(io, ',')
        each(x)
    end
    print(io, ']')
end

float_json(io, x) = isfinite(x) ? print(io, x) : print(io, '"', isnan(x) ? "NaN" : x > 0 ? "Infinity" : "-Infinity", '"')

# not BigInt and BigFloat: BSON.jl writes their pointers, and following one read from a file ends Julia
const Plain = Union{Bool,Base.BitInteger,Float16,Float32,Float64}
# arrays of these give their elements bare, all others one description for each element
const Element = Union{Plain,Complex{<:Plain},AbstractString,Symbol,Char}
const Scalar = Union{Element,Type,Function,Module}

scalar_json(io, x::Bool) = print(io, x)
scalar_json(io, x::Base.BitInteger) = print(io, BigInt(x))
scalar_json(io, x::Union{Float16,Float32,Float64}) = float_json(io, Float64(x))
scalar_json(io, x::Complex) = list_json(y -> scalar_json(io, y), io, (real(x), imag(x)))
scalar_json(io, x) = string_json(io, string(x))

member(io, key) = (print(io, ','); string_json(io, key); print(io, ':'))

function describe(io, x, seen = Seen())
    print(io, "{\"type\":")
    string_json(io, string(typeof(x)))
    if !isa(x, Union{Scalar,Nothing,Missing}) && (x isa AbstractArray || !isimmutable(x))
        known = get(seen.ids, x, 0)
        member(io, known == 0 ? "id" : "same")
        print(io, known == 0 ? length(seen.ids) + 1 : known)
        known == 0 || return print(io, '}')
        seen.ids[x] = length(seen.ids) + 1
    end
    holds(io, x, seen)
    print(io, '}')
end

struct Undefined end

holds(io, x::Union{Nothing,Missing,Undefined}, seen) = nothing
holds(io, x::Scalar, seen) = (member(io, "value"); scalar_json(io, x))

described(io, key, xs, seen) = (member(io, key); list_json(x -> describe(io, x, seen), io, xs))

# a wrapper of some package around what is no plain element (Tracker's arrays) is shown by its fields
holds(io, x::AbstractArray, seen) =
    x isa Array || eltype(x) <: Element ? elements(io, x, seen) : invoke(holds, Tuple{Any,Any,Any}, io, x, seen)

function elements(io, x, seen)
    member(io, "eltype")
    string_json(io, string(eltype(x)))
    member(io, "size")
    list_json(n -> print(io, n), io, size(x))
    eltype(x) <: Element || return described(io, "data", (isassigned(x, i) ? x[i] : Undefined() for i in eachindex(x)), seen)
    member(io, "data")
    list_json(y -> scalar_json(io, y), io, x)
end

holds(io, x::Union{Tuple,AbstractSet}, seen) = described(io, "items", x, seen)

function holds(io, x::NamedTuple, seen)
    member(io, "names")
    list_json(n -> string_json(io, string(n)), io, keys(x))
    described(io, "items", values(x), seen)
end

function holds(io, x::AbstractDict, seen)
    member(io, "pairs")
    list_json(io, sort!(collect(x), by = p -> string(first(p)))) do p
        list_json(y -> describe(io, y, seen), io, (first(p), last(p)))
    end
end

function holds(io, x, seen)
    isprimitivetype(typeof(x)) && return (member(io, "value"); string_json(io, string(x)))
    member(io, "fields")
    print(io, '{')
    for (n, f) in enumerate(fieldnames(typeof(x)))
        n == 1 || print(io, ',')
        string_json(io, string(f))
        print(io, ':')
        isdefined(x, f) ? describe(io, getfield(x, f), seen) : print(io, "null")
    end
    print(io, '}')
end
