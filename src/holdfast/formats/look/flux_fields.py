"""The names of the fields of Flux's structs, which no file says: ``scripts/docs`` writes them from ``vocab/flux``.

Strategy: the layouts there need torch, and ``inspect`` works without. FIELDS: struct -> (number of fields, of the type's
parameters) -> names; -1 stands for any number of parameters. TURNED: struct -> fields whose arrays have Julia's axes
reversed in Python.
"""

from typing import Final

FIELDS: Final[dict[str, dict[tuple[int, int], str]]] = {
    "Flux.Dense": {
        (3, 3): "weight bias activation",
    },
    "Flux.Bilinear": {
        (3, 3): "weight bias activation",
    },
    "Flux.Diagonal": {
        (2, 1): "scale bias",
    },
    "Flux.Scale": {
        (3, 3): "scale bias activation",
    },
    "Flux.Embedding": {
        (1, 1): "weight",
        (2, 2): "weight padding_idx",
    },
    "Flux.EmbeddingBag": {
        (2, 2): "weight reduction",
    },
    "Flux.Chain": {
        (1, 0): "layers",
        (1, 1): "layers",
    },
    "Flux.Maxout": {
        (1, 1): "layers",
    },
    "Flux.SkipConnection": {
        (2, 0): "layers connection",
        (2, 2): "layers connection",
    },
    "Flux.Parallel": {
        (2, 2): "connection layers",
    },
    "Flux.PairwiseFusion": {
        (2, 2): "connection layers",
    },
    "Flux.Conv": {
        (5, 4): "activation weight bias stride pad",
        (6, 4): "activation weight bias stride pad dilation",
        (6, 5): "activation weight bias stride pad dilation",
        (7, 5): "activation weight bias stride pad dilation groups",
    },
    "Flux.ConvTranspose": {
        (6, 4): "activation weight bias stride pad dilation",
        (6, 5): "activation weight bias stride pad dilation",
        (7, 5): "activation weight bias stride pad dilation groups",
        (8, 5): "activation weight bias stride pad outpad dilation groups",
    },
    "Flux.CrossCor": {
        (6, 5): "activation weight bias stride pad dilation",
    },
    "Flux.DepthwiseConv": {
        (5, 4): "activation weight bias stride pad",
        (6, 5): "activation weight bias stride pad dilation",
    },
    "Flux.MaxPool": {
        (3, 1): "k pad stride",
        (3, 2): "k pad stride",
    },
    "Flux.MeanPool": {
        (3, 1): "k pad stride",
        (3, 2): "k pad stride",
    },
    "Flux.AdaptiveMaxPool": {
        (1, 2): "out",
    },
    "Flux.AdaptiveMeanPool": {
        (1, 2): "out",
    },
    "Flux.GlobalMaxPool": {
        (0, 0): "",
    },
    "Flux.GlobalMeanPool": {
        (0, 0): "",
    },
    "Flux.Upsample": {
        (2, 3): "scale size",
    },
    "Flux.PixelShuffle": {
        (1, 0): "r",
    },
    "Flux.BatchNorm": {
        (7, 4): "activation beta gamma mean var eps momentum",
        (8, 4): "activation beta gamma mean var eps momentum active",
        (11, 4): "activation beta gamma mean var eps momentum affine track_stats active channels",
    },
    "Flux.InstanceNorm": {
        (7, 4): "activation beta gamma mean var eps momentum",
        (8, 4): "activation beta gamma mean var eps momentum active",
        (11, 4): "activation beta gamma mean var eps momentum affine track_stats active channels",
    },
    "Flux.GroupNorm": {
        (8, 5): "groups activation beta gamma mean var eps momentum",
        (9, 5): "groups activation beta gamma mean var eps momentum active",
        (12, 4): "groups activation beta gamma mean var eps momentum affine track_stats active channels",
        (12, 3): "groups activation beta gamma mean var eps momentum affine track_stats active channels",
    },
    "Flux.LayerNorm": {
        (1, 1): "diag",
        (5, 4): "activation diag eps size affine",
    },
    "Flux.Dropout": {
        (2, 1): "p active",
        (3, 1): "p dims active",
        (2, 2): "p dims",
        (3, 2): "p dims active",
        (4, 3): "p dims active rng",
    },
    "Flux.AlphaDropout": {
        (2, 1): "p active",
        (1, 1): "p",
        (3, 2): "p active rng",
    },
    "Flux.RNNCell": {
        (5, 3): "activation Wi Wh bias state0",
        (5, 4): "activation Wi Wh bias state0",
        (5, 5): "activation Wi Wh bias state0",
        (4, 4): "activation Wi Wh bias",
    },
    "Flux.LSTMCell": {
        (5, 2): "Wi Wh bias h0 c0",
        (4, 3): "Wi Wh bias state0",
        (4, 4): "Wi Wh bias state0",
        (3, 3): "Wi Wh bias",
    },
    "Flux.GRUCell": {
        (4, 2): "Wi Wh bias state0",
        (4, 3): "Wi Wh bias state0",
        (4, 4): "Wi Wh bias state0",
        (3, 3): "Wi Wh bias",
    },
    "Flux.GRUv3Cell": {
        (5, 3): "Wi Wh bias Wh_h state0",
        (5, 5): "Wi Wh bias Wh_h state0",
        (4, 4): "Wi Wh bias Wh_h",
    },
    "Flux.Recur": {
        (3, 1): "cell init state",
        (2, 2): "cell state",
    },
    "Flux.RNN": {
        (1, 1): "cell",
        (1, 2): "cell",
    },
    "Flux.LSTM": {
        (1, 1): "cell",
        (1, 2): "cell",
    },
    "Flux.GRU": {
        (1, 1): "cell",
        (1, 2): "cell",
    },
    "Flux.GRUv3": {
        (1, 1): "cell",
        (1, 2): "cell",
    },
    "Flux.Recurrence": {
        (1, 1): "cell",
        (1, 2): "cell",
    },
    "Flux.MultiHeadAttention": {
        (6, 3): "nheads q_proj k_proj v_proj attn_drop out_proj",
    },
    "Flux.WeightNorm": {
        (4, 3): "layer g which dims",
    },
    "Flux.Optimise.Descent": {
        (1, -1): "eta",
    },
    "Flux.Optimise.Momentum": {
        (3, -1): "eta rho table",
    },
    "Flux.Optimise.Nesterov": {
        (3, -1): "eta rho table",
    },
    "Flux.Optimise.RMSProp": {
        (3, -1): "eta rho table",
        (4, -1): "eta rho epsilon table",
    },
    "Flux.Optimise.ADAM": {
        (3, -1): "eta beta table",
        (4, -1): "eta beta epsilon table",
    },
    "Flux.Optimise.Adam": {
        (3, -1): "eta beta table",
        (4, -1): "eta beta epsilon table",
    },
    "Flux.Optimise.RADAM": {
        (3, -1): "eta beta table",
        (4, -1): "eta beta epsilon table",
    },
    "Flux.Optimise.RAdam": {
        (3, -1): "eta beta table",
        (4, -1): "eta beta epsilon table",
    },
    "Flux.Optimise.AdaMax": {
        (3, -1): "eta beta table",
        (4, -1): "eta beta epsilon table",
    },
    "Flux.Optimise.OADAM": {
        (3, -1): "eta beta table",
        (4, -1): "eta beta epsilon table",
    },
    "Flux.Optimise.OAdam": {
        (3, -1): "eta beta table",
        (4, -1): "eta beta epsilon table",
    },
    "Flux.Optimise.AMSGrad": {
        (3, -1): "eta beta table",
        (4, -1): "eta beta epsilon table",
    },
    "Flux.Optimise.NADAM": {
        (3, -1): "eta beta table",
        (4, -1): "eta beta epsilon table",
    },
    "Flux.Optimise.NAdam": {
        (3, -1): "eta beta table",
        (4, -1): "eta beta epsilon table",
    },
    "Flux.Optimise.AdaBelief": {
        (3, -1): "eta beta table",
        (4, -1): "eta beta epsilon table",
    },
    "Flux.Optimise.ADAGrad": {
        (2, -1): "eta table",
        (3, -1): "eta epsilon table",
    },
    "Flux.Optimise.AdaGrad": {
        (2, -1): "eta table",
        (3, -1): "eta epsilon table",
    },
    "Flux.Optimise.ADADelta": {
        (2, -1): "rho table",
        (3, -1): "rho epsilon table",
    },
    "Flux.Optimise.AdaDelta": {
        (2, -1): "rho table",
        (3, -1): "rho epsilon table",
    },
    "Flux.Optimise.InvDecay": {
        (2, -1): "gamma table",
    },
    "Flux.Optimise.ExpDecay": {
        (5, -1): "eta decay every clip table",
        (6, -1): "eta decay every clip begin table",
    },
    "Flux.Optimise.WeightDecay": {
        (1, -1): "wd",
    },
    "Flux.Optimise.ClipValue": {
        (1, -1): "thresh",
    },
    "Flux.Optimise.ClipNorm": {
        (1, -1): "thresh",
    },
    "Flux.Optimise.Optimiser": {
        (1, -1): "os",
    },
    "Optimisers.Descent": {
        (1, -1): "eta",
    },
    "Optimisers.Momentum": {
        (2, -1): "eta rho",
    },
    "Optimisers.Nesterov": {
        (2, -1): "eta rho",
    },
    "Optimisers.RMSProp": {
        (3, -1): "eta rho epsilon",
        (4, -1): "eta rho epsilon centred",
    },
    "Optimisers.Rprop": {
        (3, -1): "eta ell gamma",
    },
    "Optimisers.ADAM": {
        (3, -1): "eta beta epsilon",
    },
    "Optimisers.Adam": {
        (3, -1): "eta beta epsilon",
    },
    "Optimisers.Lion": {
        (2, -1): "eta beta",
    },
    "Optimisers.RADAM": {
        (3, -1): "eta beta epsilon",
    },
    "Optimisers.RAdam": {
        (3, -1): "eta beta epsilon",
    },
    "Optimisers.AdaMax": {
        (3, -1): "eta beta epsilon",
    },
    "Optimisers.OADAM": {
        (3, -1): "eta beta epsilon",
    },
    "Optimisers.OAdam": {
        (3, -1): "eta beta epsilon",
    },
    "Optimisers.ADAGrad": {
        (2, -1): "eta epsilon",
    },
    "Optimisers.AdaGrad": {
        (2, -1): "eta epsilon",
    },
    "Optimisers.ADADelta": {
        (2, -1): "rho epsilon",
    },
    "Optimisers.AdaDelta": {
        (2, -1): "rho epsilon",
    },
    "Optimisers.AMSGrad": {
        (3, -1): "eta beta epsilon",
    },
    "Optimisers.NADAM": {
        (3, -1): "eta beta epsilon",
    },
    "Optimisers.NAdam": {
        (3, -1): "eta beta epsilon",
    },
    "Optimisers.AdamW": {
        (5, -1): "eta beta lambda_ epsilon couple",
    },
    "Optimisers.AdaBelief": {
        (3, -1): "eta beta epsilon",
    },
    "Optimisers.WeightDecay": {
        (1, -1): "lambda_",
    },
    "Optimisers.SignDecay": {
        (1, -1): "lambda_",
    },
    "Optimisers.ClipGrad": {
        (1, -1): "delta_",
    },
    "Optimisers.ClipNorm": {
        (3, -1): "omega p throw",
    },
    "Optimisers.OptimiserChain": {
        (1, -1): "os",
    },
    "Optimisers.Leaf": {
        (2, -1): "rule state",
        (3, -1): "rule state frozen",
    },
}
TURNED: Final[dict[str, str]] = {
    "Flux.Dense": "bias",
    "Flux.Bilinear": "bias",
    "Flux.Diagonal": "scale bias",
    "Flux.Scale": "scale bias",
    "Flux.Conv": "weight bias",
    "Flux.ConvTranspose": "weight bias",
    "Flux.CrossCor": "weight bias",
    "Flux.DepthwiseConv": "weight bias",
    "Flux.BatchNorm": "beta gamma mean var",
    "Flux.InstanceNorm": "beta gamma mean var",
    "Flux.GroupNorm": "beta gamma mean var",
    "Flux.RNNCell": "bias state0",
    "Flux.LSTMCell": "bias state0 h0 c0",
    "Flux.GRUCell": "bias state0",
    "Flux.GRUv3Cell": "bias state0",
    "Flux.Recur": "init state",
}
