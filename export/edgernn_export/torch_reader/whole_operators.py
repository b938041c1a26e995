"""Recurrent operators that torch.export keeps whole, with steps of any number.

torch runs a loop over the steps when it finds out the shapes that nn.LSTM, nn.GRU and nn.RNN give:
the number of steps becomes fixed, and an export takes time in proportion to it. While a module is
exported here, operators of these names stand for them, which know their shapes. Packed sequences
are padded ones then: which steps a stream has is no matter of its network.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from unittest import mock

#: Name of the operators, as torch.ops has it.
NAMESPACE: Final = "edgernn_whole"
#: Functions of torch._VF that run recurrent layers.
RECURRENT: Final = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_LAYERS: Final = (
    "Tensor x, Tensor[] states, Tensor[] weights, bool biased, int layers, float dropout, "
    "bool training, bool bidirectional, bool batch_first"
)
#: Place of an argument of recurrent operators behind the states.
_BIDIRECTIONAL: Final = 5


@contextmanager
def operators_kept_whole() -> Iterator[None]:
    """Let modules that are exported meanwhile call these operators."""
    import torch

    _register()
    operators = getattr(torch.ops, NAMESPACE)
    made = {name: _layers_of(getattr(operators, name)) for name in RECURRENT}
    made["_pack_padded_sequence"] = lambda x, lengths, batch_first: (
        operators.packed(x, lengths, batch_first),
        lengths,
    )
    made["_pad_packed_sequence"] = lambda x, lengths, batch_first, *_: (
        operators.unpacked(x, batch_first),
        lengths,
    )
    with ExitStack() as stack:
        for name, function in made.items():
            stack.enter_context(mock.patch.object(torch._VF, name, function, create=True))
        for kind in (torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU):
            forward = _of_padded(kind.forward)
            stack.enter_context(mock.patch.object(kind, "forward", forward))
        yield


@functools.cache
def _register() -> Any:
    """Declare the operators to torch, once in a process, with the shapes that they give."""
    import torch

    library: Any = torch.library.Library(NAMESPACE, "DEF")  # type: ignore[no-untyped-call]
    fakes: dict[str, Callable[..., Any]] = {"packed": _turned, "unpacked": _turned}
    library.define("packed(Tensor x, Tensor lengths, bool batch_first) -> Tensor")
    library.define("unpacked(Tensor x, bool batch_first) -> Tensor")
    for name in RECURRENT:
        results = "(Tensor, Tensor, Tensor)" if name == "lstm" else "(Tensor, Tensor)"
        library.define(f"{name}({_LAYERS}) -> {results}")
        fakes[name] = _shapes
    for name, fake in fakes.items():
        torch.library.register_fake(f"{NAMESPACE}::{name}", fake, lib=library)
    return library


def _shapes(x: Any, states: Any, *options: Any) -> Any:
    """What a recurrent operator gives: all steps, and its states."""
    import torch

    width = states[0].shape[2] * (2 if options[_BIDIRECTIONAL] else 1)
    output = x.new_empty((x.shape[0], x.shape[1], width))
    return (output, *(torch.empty_like(state) for state in states))


def _turned(x: Any, *options: Any) -> Any:
    """A padded sequence with its steps first, or one turned back."""
    import torch

    return torch.empty_like(x.transpose(0, 1) if options[-1] else x)


def _layers_of(operator: Any) -> Callable[..., Any]:
    """The operator in the place of a function of torch._VF, which takes one state or several."""

    def layers(x: Any, states: Any, weights: Any, *options: Any) -> Any:
        listed = list(states) if isinstance(states, (list, tuple)) else [states]
        return operator(x, listed, list(weights), *options)

    return layers


def _of_padded(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The forward of a recurrent module, which reads a packed sequence as a padded one."""
    from torch.nn.utils.rnn import PackedSequence

    @functools.wraps(forward)
    def of_padded(module: Any, input: Any, hx: Any = None) -> Any:
        if not isinstance(input, PackedSequence):
            return forward(module, input, hx)
        data, lengths, order, back = input
        if hx is not None:
            hx = module.permute_hidden(hx, order)
        output, states = forward(module, data.transpose(0, 1) if module.batch_first else data, hx)
        output = output.transpose(0, 1) if module.batch_first else output
        return PackedSequence(output, lengths, order, back), module.permute_hidden(states, back)

    return of_padded
