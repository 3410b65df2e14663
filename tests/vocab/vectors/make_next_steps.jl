# julia make_next_steps.jl OUT.json FILE.bson…      (with Flux 0.8 or 0.12, whichever wrote the files)
#
# Goes on with each file's `opt` and `model` for three steps, with gradients that anyone can make again, and writes the
# parameters that come out, in the order of Flux.params.

using BSON, Flux
const NNlib = Flux.NNlib

plain(p) = isdefined(Flux, :Tracker) ? Flux.Tracker.data(p) : p
gradient_of(p, step) = convert(typeof(plain(p)), reshape([0.3 * sin(1.7 * i + step) for i in 1:length(p)], size(p)))
numbers(p) = "[" * join(string.(Float64.(vec(plain(p)))), ", ") * "]"

function next_steps(file)
    saved = BSON.load(file)
    model, opt = saved[:model], saved[:opt]
    for step in 1:3, p in Flux.params(model)
        plain(p) .-= Flux.Optimise.apply!(opt, p, gradient_of(p, step))
    end
    "\"$(first(splitext(basename(file))))\": [" * join([numbers(p) for p in Flux.params(model)], ", ") * "]"
end

out, files = ARGS[1], ARGS[2:end]
write(out, "{\n" * join([Base.invokelatest(next_steps, file) for file in files], ",\n") * "\n}\n")
