"""Test and train mode: layers that behave differently in training, and the switches for them.

Each has ``active``: True trains, False tests, None follows the module's ``training`` (torch's ``train()`` and
``eval()``), where Flux looks whether a gradient is being taken. A layer that a file fixed at True or False stays so
until ``testmode(model, "auto")``. Source: Flux.jl src/layers/normalise.jl.
"""

from typing import Literal, TypeVar

from torch import nn

__all__ = ["Active", "Switched", "testmode", "trainmode"]

Active = bool | None
Mode = bool | Literal["auto"] | None
Model = TypeVar("Model", bound=nn.Module)


class Switched(nn.Module):
    """A layer with ``active``."""

    active: Active

    @property
    def trains(self) -> bool:
        """Whether the layer now does what it does in training."""
        return self.training if self.active is None else self.active


def testmode(model: Model, mode: Mode = True) -> Model:  # noqa: PT028
    """Flux's ``testmode!``: fix every layer of the model in test mode, or (False) in train mode, or free it ("auto").

    >>> from holdfast.flux.dropout import Dropout
    >>> testmode(Dropout(0.5)).active, testmode(Dropout(0.5), "auto").active
    (False, None)
    """
    active = None if mode is None or mode == "auto" else not mode
    for layer in model.modules():
        if isinstance(layer, Switched):
            layer.active = active
    return model


def trainmode(model: Model, mode: Mode = True) -> Model:
    """Flux's ``trainmode!``: fix every layer of the model in train mode, or (False) in test mode, or free it ("auto").

    >>> from holdfast.flux.dropout import Dropout
    >>> trainmode(Dropout(0.5)).active
    True
    """
    return testmode(model, not mode if isinstance(mode, bool) else mode)


testmode.__test__ = False  # type: ignore[attr-defined]  # pytest collects by name, and this one starts with "test"
