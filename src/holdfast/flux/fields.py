"""What the fields of Flux's layers have in common: memory order, sizes, biases, padding, spelling.

Julia stores arrays column-major. A tensor here has Julia's shape in Julia's memory order, or Julia's shape reversed in
row-major order: both are the same bytes. Sizes (kernel, stride, pad) stay in the order in which Flux's users write
them, width first; only a layer's ``forward`` turns them round.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from holdfast.errors import MismatchError

Activation = Callable[[Tensor], Tensor]
Bias = Tensor | bool | None
Sizes = int | Sequence[int]

__all__ = [
    "Activation",
    "Bias",
    "Sizes",
    "bias_for",
    "expect",
    "matching",
    "offset",
    "parameter",
    "per_axis",
    "reversed_axes",
    "round_trip",
    "sizes_then_activation",
    "spelled",
    "spelled_activation",
    "spelled_call",
    "spelled_sizes",
    "turned_parameter",
]


def reversed_axes(array: Tensor) -> Tensor:
    """The same memory with its axes in the opposite order: Julia's ``W×H×C×N`` is ``(N, C, H, W)`` here."""
    return array.permute(*reversed(range(array.dim())))


def parameter(array: Tensor) -> nn.Parameter:
    """``array`` as a parameter on the same memory. One that is a parameter already stays that object (tied weights)."""
    if isinstance(array, nn.Parameter):
        return array
    return nn.Parameter(array, requires_grad=array.is_floating_point())


def turned_parameter(array: Tensor) -> nn.Parameter:
    """A parameter whose axes are Julia's in the opposite order, and that says so: a file has it as Julia does."""
    result = parameter(array)
    if result.dim() > 1:
        result.julia_axes = "reversed"  # type: ignore[attr-defined]
    return result


def bias_for(layer: type[nn.Module], weight: Tensor, bias: Bias, *size: int) -> nn.Parameter | bool:
    """A layer's bias: True makes zeros like ``weight``, a tensor of that size is kept, False (or None) is False."""
    if bias is True:
        return parameter(reversed_axes(weight.new_zeros(size[::-1])))
    if bias is False or bias is None:
        return False
    if tuple(bias.shape) != size:
        raise MismatchError(f"{layer.__name__}: the bias has shape {tuple(bias.shape)}; it needs {size}")
    return parameter(bias)


def offset(bias: Tensor | bool) -> Tensor | None:
    """What torch's functions take for a bias: None where a layer has False."""
    return bias if isinstance(bias, Tensor) else None


def per_axis(count: int, value: Sizes) -> tuple[int, ...]:
    """A size for each of ``count`` axes, from one number or from a tuple that is kept as it is."""
    return (value,) * count if isinstance(value, int) else tuple(value)


def matching(x: Tensor, weight: Tensor) -> Tensor:
    """``x`` in the dtype of the layer's weight, as Flux converts it."""
    return x if x.dtype == weight.dtype else x.to(weight.dtype)


def expect(layer: nn.Module, x: Tensor, axes: int, *, channels: int | None = None, at: int = 1) -> None:
    """Raise MismatchError unless ``x`` has that many axes, and ``channels`` along axis ``at``."""
    if x.dim() != axes:
        raise MismatchError(f"{layer!r} needs {axes} axes, batch first; got shape {tuple(x.shape)}")
    if channels is not None and x.shape[at] != channels:
        raise MismatchError(f"{layer!r} needs {channels} along axis {at}; got shape {tuple(x.shape)}")


def spelled(function: Any) -> str:
    """How ``repr`` names a function or a layer: a module in full, anything else by its name."""
    return repr(function) if isinstance(function, nn.Module) else getattr(function, "__name__", repr(function))


def spelled_activation(activation: Activation) -> list[str]:
    """The activation as one more argument, or nothing where it is ``identity``."""
    name = spelled(activation)
    return [] if name == "identity" else [name]


def spelled_sizes(sizes: Sequence[int]) -> str:
    """``1`` where every size is 1, else the tuple: Flux's own short form."""
    return str(sizes[0]) if len(set(sizes)) == 1 else repr(tuple(sizes))


def spelled_call(name: str, *arguments: str, **options: tuple[object, object]) -> str:
    """``name(arguments, key=value…)`` with the options whose value is not the default: each is (value, default)."""
    given = [f"{key}={value}" for key, (value, default) in options.items() if value != default]
    return f"{name}({', '.join([*arguments, *given])})"


def round_trip(number: float) -> float:
    """The shortest number that is the same in Float32: what a file holds as 9.99999974e-06 reads 1e-05."""
    return float(f"{number:.7g}")


def sizes_then_activation(arguments: Sequence[Any]) -> tuple[tuple[int, ...], Activation | None]:
    """Flux's ``(size…, σ)``: the sizes (or one tuple of them), and the function after them where there is one.

    >>> sizes_then_activation((4, 6)), sizes_then_activation(((4, 6), abs))
    (((4, 6), None), ((4, 6), <built-in function abs>))
    """
    *sizes, last = arguments
    activation = last if callable(last) else None
    sizes = sizes if callable(last) else [*sizes, last]
    return tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else tuple(sizes), activation
