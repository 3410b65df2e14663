"""Flux in PyTorch: its layers as torch modules, its optimisers as torch optimisers, its ``train``.

    from holdfast.flux import Chain, Dense, relu, softmax, ADAM, train, throttle, cpu, gpu, data, params

Strategy: names and arguments are Flux's, tensors are torch's. Julia's axes reversed are torch's (batch first, features
last), so a Julia array and its tensor are the same memory; counting starts at 0. Names that Flux's own optimisers and
today's Optimisers.jl share are Flux's here, and today's in ``holdfast.flux.optimisers``.

>>> model = Chain(Dense(10, 5, relu), Dense(5, 2), softmax)
>>> model
Chain(Dense(10, 5, relu), Dense(5, 2), softmax)
"""

from holdfast.flux import losses as Losses
from holdfast.flux import optimisers
from holdfast.flux.activations import (
    ACTIVATIONS,
    EQUIVALENT,
    VARIANTS,
    abs2,
    atan,
    celu,
    cos,
    cosh,
    elu,
    exp,
    expm1,
    gelu,
    gelu_erf,
    gelu_sigmoid,
    gelu_tanh,
    hardsigmoid,
    hardsigmoid_slope,
    hardswish,
    hardtanh,
    hardσ,
    identity,
    inv,
    julia_name,
    leakyrelu,
    lisht,
    log,
    log1p,
    logcosh,
    logsigmoid,
    logsoftmax,
    logσ,
    mish,
    relu,
    relu6,
    rrelu,
    selu,
    sigmoid,
    sigmoid_fast,
    sign,
    sin,
    sinh,
    softmax,
    softplus,
    softshrink,
    softsign,
    sqrt,
    swish,
    tan,
    tanh,
    tanh_fast,
    tanhshrink,
    thresholdrelu,
    trelu,
    σ,
)
from holdfast.flux.attention import (
    MultiHeadAttention,
    make_causal_mask,
)
from holdfast.flux.basic import (
    Bilinear,
    Dense,
    Diagonal,
    Embedding,
    EmbeddingBag,
    Scale,
)
from holdfast.flux.containers import (
    Chain,
    Maxout,
    PairwiseFusion,
    Parallel,
    SkipConnection,
)
from holdfast.flux.conv import (
    Conv,
    ConvTranspose,
    CrossCor,
    DepthwiseConv,
)
from holdfast.flux.convert import (
    from_torch,
    to_torch,
)
from holdfast.flux.decay import (
    ClipNorm,
    ClipValue,
    ExpDecay,
    InvDecay,
    WeightDecay,
)
from holdfast.flux.device import (
    cpu,
    gpu,
)
from holdfast.flux.dropout import (
    AlphaDropout,
    Dropout,
)
from holdfast.flux.functions import (
    FUNCTIONS,
    Compose,
    Fix1,
    Fix2,
    add,
    first,
    flatten,
    hcat,
    maximum,
    mean,
    minimum,
    multiply,
    pack,
    subtract,
    total,
    unsqueeze,
    vcat,
    vec,
)
from holdfast.flux.initialise import (
    glorot_normal,
    glorot_uniform,
    identity_init,
    kaiming_normal,
    kaiming_uniform,
    nfan,
    ones32,
    orthogonal,
    rand32,
    randn32,
    truncated_normal,
    zeros32,
)
from holdfast.flux.layernorm import (
    LayerNorm,
)
from holdfast.flux.losses import (
    binary_focal_loss,
    binarycrossentropy,
    crossentropy,
    ctc_loss,
    dice_coeff_loss,
    focal_loss,
    hinge_loss,
    huber_loss,
    kldivergence,
    label_smoothing,
    logitbinarycrossentropy,
    logitcrossentropy,
    mae,
    mse,
    msle,
    poisson_loss,
    siamese_contrastive_loss,
    squared_hinge_loss,
    tversky_loss,
)
from holdfast.flux.modes import (
    testmode,
    trainmode,
)
from holdfast.flux.normalise import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
)
from holdfast.flux.onehot import (
    onecold,
    onehot,
    onehotbatch,
)
from holdfast.flux.optimise import (
    Optimiser,
)
from holdfast.flux.optimisers import (
    AdaDelta,
    AdaGrad,
    Adam,
    AdamW,
    ClipGrad,
    Lion,
    NAdam,
    OAdam,
    OptimiserChain,
    RAdam,
    Rprop,
    SignDecay,
)
from holdfast.flux.padding import (
    SamePad,
)
from holdfast.flux.parameters import (
    Params,
    data,
    params,
)
from holdfast.flux.pooling import (
    AdaptiveMaxPool,
    AdaptiveMeanPool,
    GlobalMaxPool,
    GlobalMeanPool,
    MaxPool,
    MeanPool,
)
from holdfast.flux.recurrent import (
    GRUCell,
    GRUv3Cell,
    LSTMCell,
    RNNCell,
)
from holdfast.flux.rules import (
    ADAM,
    ADAMW,
    NADAM,
    OADAM,
    RADAM,
    AdaBelief,
    ADADelta,
    ADAGrad,
    AdaMax,
    AMSGrad,
    Descent,
    Momentum,
    Nesterov,
    RMSProp,
)
from holdfast.flux.sequence import (
    GRU,
    LSTM,
    RNN,
    GRUv3,
    Recur,
    Recurrence,
    initialstates,
    reset,
    truncate,
)
from holdfast.flux.train import (
    skip,
    stop,
    throttle,
    train,
)
from holdfast.flux.upsample import (
    PixelShuffle,
    Upsample,
)
from holdfast.flux.weightnorm import (
    WeightNorm,
    remove_weight_norms,
)

__all__ = [
    "ACTIVATIONS", "ADADelta", "ADAGrad", "ADAM", "ADAMW", "AMSGrad", "AdaBelief", "AdaDelta", "AdaGrad", "AdaMax",
    "Adam", "AdamW", "AdaptiveMaxPool", "AdaptiveMeanPool", "AlphaDropout", "BatchNorm", "Bilinear", "Chain",
    "ClipGrad", "ClipNorm", "ClipValue", "Compose", "Conv", "ConvTranspose", "CrossCor", "Dense", "DepthwiseConv",
    "Descent", "Diagonal", "Dropout", "EQUIVALENT", "Embedding", "EmbeddingBag", "ExpDecay", "FUNCTIONS", "Fix1",
    "Fix2", "GRU", "GRUCell", "GRUv3", "GRUv3Cell", "GlobalMaxPool", "GlobalMeanPool", "GroupNorm", "InstanceNorm",
    "InvDecay", "LSTM", "LSTMCell", "LayerNorm", "Losses", "Lion", "MaxPool", "Maxout", "MeanPool", "Momentum",
    "MultiHeadAttention", "NADAM", "NAdam", "Nesterov", "OADAM", "OAdam", "Optimiser", "OptimiserChain",
    "PairwiseFusion", "Parallel", "Params", "PixelShuffle", "RADAM", "RAdam", "RMSProp", "RNN", "RNNCell", "Recur",
    "Recurrence", "Rprop", "SamePad", "Scale", "SignDecay", "SkipConnection", "Upsample", "VARIANTS", "WeightDecay",
    "WeightNorm", "abs2", "add", "atan", "binary_focal_loss", "binarycrossentropy", "celu", "cos", "cosh", "cpu",
    "crossentropy", "ctc_loss", "data", "dice_coeff_loss", "elu", "exp", "expm1", "first", "flatten", "focal_loss",
    "from_torch", "gelu", "gelu_erf", "gelu_sigmoid", "gelu_tanh", "glorot_normal", "glorot_uniform", "gpu",
    "hardsigmoid", "hardsigmoid_slope", "hardswish", "hardtanh", "hardσ", "hcat", "hinge_loss", "huber_loss",
    "identity", "identity_init", "initialstates", "inv", "julia_name", "kaiming_normal", "kaiming_uniform",
    "kldivergence", "label_smoothing", "leakyrelu", "lisht", "log", "log1p", "logcosh", "logitbinarycrossentropy",
    "logitcrossentropy", "logsigmoid", "logsoftmax", "logσ", "mae", "make_causal_mask", "maximum", "mean", "minimum",
    "mish", "mse", "msle", "multiply", "nfan", "onecold", "onehot", "onehotbatch", "ones32", "optimisers",
    "orthogonal", "pack", "params", "poisson_loss", "rand32", "randn32", "relu", "relu6", "remove_weight_norms",
    "reset", "rrelu", "selu", "siamese_contrastive_loss", "sigmoid", "sigmoid_fast", "sign", "sin", "sinh", "skip",
    "softmax", "softplus", "softshrink", "softsign", "sqrt", "squared_hinge_loss", "stop", "subtract", "swish", "tan",
    "tanh", "tanh_fast", "tanhshrink", "testmode", "thresholdrelu", "throttle", "to_torch", "total", "train",
    "trainmode", "trelu", "truncate", "truncated_normal", "tversky_loss", "unsqueeze", "vcat", "vec", "zeros32", "σ",
]  # fmt: skip
