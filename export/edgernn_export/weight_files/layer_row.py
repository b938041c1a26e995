"""Layers behind one another, as the calls that the reader of all formats understands."""

from __future__ import annotations

from typing import Any

from edgernn_export.keras_reader.findings import Findings, owner_of
from edgernn_export.keras_reader.graph import Call, CallResult, Given, LayerGraph
from edgernn_export.keras_reader.stored.layer import (
    StoredLayer,
    described_layer,
    described_operation,
)
from edgernn_export.keras_reader.stored.network import StoredModel
from edgernn_export.keras_reader.wording import Wording


class LayerRow:
    """A network that grows by one layer at a time.

    Attributes:
        findings: where reasons are noted.
        width: features that the last layer gives; None where that is not known.
    """

    def __init__(self, findings: Findings) -> None:
        """Begin with an input of any width."""
        self.findings = findings
        self.width: int | None = None
        self._inputs: int | None = None
        self._tokens = False
        self._start = self._end = CallResult(call=Call(layer=None), index=0)
        self._calls: list[Call] = []
        self._recurrent: list[Call] = []
        self._states = self._end

    def reads(self, owner: str, width: int) -> None:
        """Note how many features a layer reads; the first one says how many readings have."""
        if self._inputs is None:
            self._inputs = width
        elif self.width is not None and self.width != width:
            self.findings.add(
                owner,
                f"weights for {self.width} inputs, which the layer before it gives",
                f"weights for {width}",
                "Check the order of the layers in the layout.",
            )
        self.width = width

    def reads_tokens(self, owner: str) -> None:
        """Note that a layer reads tokens, which are the readings."""
        if self._calls or self._inputs is not None:
            self.findings.add(
                owner, "an embedding of the readings, as the first layer", "one behind another",
                "Move it to the beginning of the layout.",
            )  # fmt: skip
        self._inputs, self._tokens = 1, True

    def add(self, *layers: StoredLayer, width: int | None, recurrent: bool = False) -> None:
        """Put layers side by side at the end; of several, the outputs are put together.

        Args:
            layers: described layers that read the same.
            width: features that they give, together; None: as many as they read.
            recurrent: they have a hidden state that `end_with_state` may take.
        """
        made = [Call(layer=layer, inputs=(self._end,)) for layer in layers]
        self._calls += made
        self._join([CallResult(call=call, index=0) for call in made])
        if recurrent:
            self._recurrent, self._states = made, self._end
        self.width = self.width if width is None else width

    def end_with_step(self, owner: str) -> None:
        """Keep the output of the last step alone."""
        if len(self._recurrent) > 1:
            self.findings.add(
                owner,
                "LastStep behind layers that read forward",
                "a bidirectional layer, whose output at the last step has read one step backward",
                "If the next layer reads h_n, write FinalState. Otherwise quantize the module "
                "itself: edgernn_export.quantize(module, calibration).",
            )
        layer = described_operation("GetItem", "last_step", owner)
        key = (slice(None), -1)
        call = Call(layer=layer, inputs=(self._end,), arguments={"argument 2": key})
        self._calls.append(call)
        self._end = CallResult(call=call, index=0)

    def end_with_state(self, owner: str) -> None:
        """Keep the last hidden states of the recurrent layer at the end."""
        if not self._recurrent or self._end is not self._states:
            self.findings.add(
                owner, "FinalState behind a recurrent layer", "none before it",
                "Put it directly behind the recurrent layer, or write LastStep.",
            )  # fmt: skip
            return
        self._join([CallResult(call=call, index=1) for call in self._recurrent])

    def _join(self, results: list[CallResult]) -> None:
        if len(results) > 1:
            name = f"{results[0].call.layer.name}_both"
            owner = owner_of(results[0].call.layer)
            joint = described_layer("Concatenate", name, owner, {"axis": -1})
            self._calls.append(Call(layer=joint, inputs=tuple(results)))
            results = [CallResult(call=self._calls[-1], index=0)]
        self._end = results[0]

    def network(self, name: str, origin: str, steps: int | None, wording: Wording) -> StoredModel:
        """The model of all layers.

        Args:
            name: of the network.
            origin: how reasons name it.
            steps: readings of a window; None for streams of any length.
            wording: advice in the words of layouts.
        """
        if self._inputs is None and not self.findings.reasons:
            self.findings.add(
                origin, "a layer with weights, which shows how many features a reading has",
                "none", "Add the layers that have tensors to the layout.",
            )  # fmt: skip
        shape: tuple[int | None, ...] = (steps, self._inputs or 1)
        dtype: Any = "int32" if self._tokens else "float32"
        given = Given(tensor=self._start, shape=shape[:1] if self._tokens else shape, dtype=dtype)
        graph = LayerGraph(given=(given,), outputs=(self._end,), calls=tuple(self._calls))
        return StoredModel.of(name, origin, graph, wording)
