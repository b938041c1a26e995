"""The integer model: one frozen, self-validating record that every program executes.

The quantizer decides every number in it; writers and backends only copy it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgernn.adapt.adaptation import check_adaptation
from edgernn.display import html_table, listed
from edgernn.errors import ModelError
from edgernn.model.affine import Affine, Affine8, Affine16, CodeRange, Source
from edgernn.model.border.channels import check_surroundings
from edgernn.model.border.masks import check_held_output, check_masked_model
from edgernn.model.border.symbols import check_symbols
from edgernn.model.formats import MAX_WIDTH, ArrayRecord, Precision
from edgernn.model.interface import InputSpec, Interface, OutputSpec, Rate, Window
from edgernn.model.layer_record import StateSpec
from edgernn.model.layers import LAYERS, Delay, Embedding, Layer, held_codes
from edgernn.model.routes import MODEL_INPUT, Route, chain, check_routes
from edgernn.model.storage import Storage

if TYPE_CHECKING:
    from edgernn.adapt.adaptation import Adaptation
    from edgernn.decide.decisions import Decisions
    from edgernn.model.border.symbols import Symbols
    from edgernn.prepare.preparation import Preparation

MAX_RECURRENT_LAYERS = 8
MAX_DELAYS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an integer model comes from.

    Attributes:
        float_model_sha256: hash of the float model's structure and weights (hex).
        calibration_sha256: hash of the calibration streams (hex).
        seeds: random seeds used, by purpose.
        versions: (package, version) pairs.
        settings: (name, value) pairs of the quantizer's settings.
    """

    float_model_sha256: str
    calibration_sha256: str
    seeds: tuple[tuple[str, int], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntegerModel(ArrayRecord):
    """A quantized recurrent network (NUMERICS.md section 6).

    Attributes:
        name: model name.
        precision: `w8a8` or `w8a16`.
        layers: at least one of them carries a state.
        input: input channels with their scales.
        output: output channels with their scales.
        provenance: where the numbers come from.
        window: what the model answers: its last readings, from the zero state; None for an endless
            stream (clause 6.5).
        routes: what every layer reads, then what the model puts out (clause 6.6); none where every
            layer reads the one before it.
        rate: how often it answers; None for every reading (clause 6.9).
        preparation: how raw readings become readings of the model; None where they are those.
        decisions: what is decided from its outputs; None for nothing.
        symbols: what its tokens stand for; None where that is not recorded.
        adaptation: how a head learns to correct its outputs; None for no such head.

    Raises:
        ModelError: layers do not fit together, precisions mix, or an accumulator could overflow.
    """

    name: str
    precision: Precision
    layers: tuple[Layer, ...]
    input: InputSpec
    output: OutputSpec
    provenance: Provenance
    window: Window | None = None
    routes: tuple[Route, ...] = ()
    rate: Rate | None = None
    preparation: Preparation | None = None
    decisions: Decisions | None = None
    symbols: Symbols | None = None
    adaptation: Adaptation | None = None

    def __post_init__(self) -> None:
        """Validate the whole model."""
        check_surroundings(self.preparation, self.decisions, self.input, self.output)
        check_symbols(self.symbols, self.input.vocabulary)
        rated, prepared = self.rate is not None, self.preparation is not None
        check_masked_model(self.input, self.output, rated=rated, prepared=prepared)
        self._check_layers()
        check_adaptation(self)
        self._check_rate()
        if self.routes == self._chain():
            object.__setattr__(self, "routes", ())
        if self.routes:
            names, widths = zip(*((layer.name, layer.units) for layer in self.layers), strict=True)
            check_routes(self.routes, names, self.step_width, widths)
        wiring = self.wiring
        self._check_widths(wiring)
        self._check_tokens(wiring)
        self._check_delays(wiring)
        if self.input.mask is not None:
            recurrent = [
                bool(layer.states) and not isinstance(layer, Delay) for layer in self.layers
            ]
            check_held_output(wiring, recurrent)
        held = held_codes(self.layers)
        for layer, route in zip(self.layers, wiring, strict=False):
            ranges = operand_ranges(self.precision, route, layer, held)
            for name, affine in layer.affines.items():
                self._check_affine(f"{layer.name}.{name}", affine, ranges)

    def _check_layers(self) -> None:
        if not self.layers or not all(type(layer) in LAYERS.values() for layer in self.layers):
            raise ModelError("model.layers: expected a tuple of layer records")
        for layer in self.layers:
            layer.check_curves()
        names = [layer.name for layer in self.layers]
        if len(set(names)) != len(names):
            raise ModelError(f"model.layers: expected distinct names, got {names}")
        delays = sum(isinstance(layer, Delay) for layer in self.layers)
        recurrent = sum(1 for layer in self.layers if layer.states) - delays
        if not min(delays, 1) + recurrent or recurrent > MAX_RECURRENT_LAYERS:
            raise ModelError(
                f"model.layers: expected 1..{MAX_RECURRENT_LAYERS} recurrent layers, "
                f"got {recurrent}"
            )
        if delays > MAX_DELAYS:
            raise ModelError(f"model.layers: expected at most {MAX_DELAYS} delays, got {delays}")

    def _check_widths(self, wiring: tuple[Route, ...]) -> None:
        for layer, route in zip(self.layers, wiring, strict=False):
            width = sum(part.width for part in route)
            if layer.inputs != width:
                raise ModelError(
                    f"{layer.name}.inputs: expected {width} (the width of the layer before "
                    f"it), got {layer.inputs}"
                )
        width = sum(part.width for part in wiring[-1])
        if self.output.width != width:
            raise ModelError(f"model.output: expected {width} channels, got {self.output.width}")

    def _check_tokens(self, wiring: tuple[Route, ...]) -> None:
        """Embeddings read tokens that they have rows for; other layers read no tokens."""
        sizes = (self.input.vocabulary or (0,) * self.input.width) * self.step_readings
        for layer, route in zip(self.layers, wiring, strict=False):
            rows = layer.table.shape[0] if isinstance(layer, Embedding) else 0
            for part in route:
                read: tuple[int, ...] = (0,)
                if part.source == MODEL_INPUT:
                    read = sizes[part.start : part.start + part.width]
                if rows and not 1 <= min(read) <= max(read) <= rows:
                    raise ModelError(
                        f"{layer.name}: expected to read input channels of 1 to {rows} tokens "
                        f"(rows of its table), got {read}"
                    )
                if not rows and any(read):
                    raise ModelError(
                        f"{layer.name}: expected only embeddings to read tokens, got {read}"
                    )

    def _check_delays(self, wiring: tuple[Route, ...]) -> None:
        """Delays hold the codes of the input, or values of layers that are not delays."""
        p = self.precision
        for layer, route in zip(self.layers, wiring, strict=False):
            if not isinstance(layer, Delay):
                continue
            sources = {part.source for part in route}
            of_input = MODEL_INPUT in sources
            of_delay = any(
                isinstance(self.layers[source], Delay) for source in sources - {MODEL_INPUT}
            )
            if of_delay or of_input != layer.codes or (of_input and len(sources) > 1):
                wanted = "only the input" if layer.codes else "layers that are not delays"
                raise ModelError(
                    f"{layer.name}: expected to read {wanted}, got sources {sorted(sources)}"
                )
            off = (layer.start < p.input_low) | (layer.start > p.input_high)
            if layer.codes and np.any(off | (layer.start % p.input_step != 0)):
                raise ModelError(
                    f"{layer.name}.start: expected input codes (clause 2.3), got others"
                )

    def _check_rate(self) -> None:
        """A step fits, a window has an answer, codes stand for the readings before the stream."""
        if self.rate is None:
            return
        if self.step_width > MAX_WIDTH:
            raise ModelError(
                f"model.rate: expected at most {MAX_WIDTH} codes of a step, got {self.step_width}"
            )
        if self.window is not None and self.window.steps < self.rate.first:
            raise ModelError(
                f"model.rate: expected the first output within a window of {self.window.steps} "
                f"readings, got it after {self.rate.first}"
            )
        if not self.rate.start:
            return
        start = np.array(self.rate.start)
        bounds = self.input.code_bounds(self.precision)
        if start.shape != (self.input.width,) or bounds.broken(start).any():
            raise ModelError(
                f"model.rate.start: expected {self.input.width} input codes (clauses 2.3 and 6.8), "
                f"got {self.rate.start!r:.60}"
            )

    def _check_affine(
        self, owner: str, affine: Affine, ranges: dict[Source, tuple[CodeRange, ...]]
    ) -> None:
        wanted = Affine8 if self.precision is Precision.W8A8 else Affine16
        if not isinstance(affine, wanted):
            raise ModelError(
                f"{owner}: expected {wanted.__name__} in {self.precision.value}, "
                f"got {type(affine).__name__}"
            )
        unsafe = affine.unsafe_rows(ranges)
        if unsafe.size:
            raise ModelError(
                f"{owner}: expected accumulators within clause 4.4 or 5.5, "
                f"got {unsafe.size} rows that can overflow (first: row {int(unsafe[0])})"
            )

    def __repr__(self) -> str:
        """Name, precision, layers and sizes."""
        layers = listed(f"{layer.kind} {layer.units}" for layer in self.layers)
        return (
            f"IntegerModel(name={self.name!r}, precision={self.precision_label!r}, "
            f"layers={layers}, {sum(map(_weights, self.layers)):,} weights, "
            f"{self.state_bytes} state bytes)"
        )

    def _repr_html_(self) -> str:
        """A table of the layers, for notebooks."""
        rows = [
            (layer.name, layer.kind, f"{layer.inputs} → {layer.units}", f"{_weights(layer):,}",
             ", ".join(f"{state.name} {state.format}" for state in layer.states))
            for layer in self.layers
        ]  # fmt: skip
        title = f"{self.name}, {self.precision_label}, {self.state_bytes} state bytes"
        return html_table(title, ("layer", "kind", "shape", "weights", "states"), rows)

    def operand_ranges(self, index: int) -> dict[Source, tuple[CodeRange, ...]]:
        """Bounds of the operand codes that each source can pass to layer ``index``."""
        held = held_codes(self.layers)
        return operand_ranges(self.precision, self.wiring[index], self.layers[index], held)

    @property
    def wiring(self) -> tuple[Route, ...]:
        """What every layer reads, then what the model puts out, of chains too (clause 6.6)."""
        return self.routes or self._chain()

    def _chain(self) -> tuple[Route, ...]:
        return chain(self.step_width, [layer.units for layer in self.layers])

    @property
    def step_readings(self) -> int:
        """Readings that one step of the network takes."""
        return 1 if self.rate is None else self.rate.readings

    @property
    def step_width(self) -> int:
        """Input codes of one step of the network: those of all its readings."""
        return self.step_readings * self.input.width

    @property
    def states(self) -> tuple[StateSpec, ...]:
        """All carried vectors in layer order (clause 6.2)."""
        return tuple(spec for layer in self.layers for spec in layer.states)

    @property
    def state_bytes(self) -> int:
        """See `Interface.state_bytes`."""
        return self.interface().state_bytes

    @property
    def code_dtype(self) -> np.dtype[np.integer[Any]]:
        """NumPy dtype of input codes."""
        return self.input.code_dtype(self.precision)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one step of the network; an answer takes `answer_steps`."""
        return sum(layer.macs for layer in self.layers)

    @property
    def answer_steps(self) -> int:
        """Steps of the network that an answer takes: one, or all of a window."""
        steps = 1 if self.window is None else self.window.steps
        return steps if self.window is None or self.rate is None else self.rate.steps(steps)

    @property
    def answer_readings(self) -> int:
        """Readings from one answer to the next."""
        return self.step_readings if self.window is None else self.window.hop

    @property
    def storages(self) -> frozenset[Storage]:
        """How weights are stored, over all products (clause 4.5)."""
        affines = (affine for layer in self.layers for affine in layer.affines.values())
        return frozenset(term.storage for affine in affines for term in affine.terms)

    @property
    def precision_label(self) -> str:
        """The precision with the bits of the stored weights: `w8a8`, `w4a8`, `w8/w4a8` (both)."""
        bits = sorted({storage.weight_bits for storage in self.storages}, reverse=True)
        operands = self.precision.value.removeprefix("w8")
        return "/".join(f"w{count}" for count in bits) + operands

    @property
    def sha256(self) -> str:
        """Hash that identifies the model (hex), the same whichever file version it came from."""
        from edgernn.container.file import model_sha256

        return model_sha256(self)

    def interface(self) -> Interface:
        """What a session must know about this model."""
        return Interface(
            name=self.name,
            precision=self.precision,
            input=self.input,
            output=self.output,
            states=self.states,
            model_sha256=self.sha256,
            window=self.window,
            rate=self.rate,
            kept=self._kept(),
            preparation=self.preparation,
            decisions=self.decisions,
            symbols=self.symbols,
            adaptation=self.adaptation,
        )

    def _kept(self) -> tuple[str, ...]:
        """States that steps before the first output do not change (clause 6.9)."""
        if self.rate is None or not self.rate.unanswered:
            return ()
        held = (layer.states for layer in self.layers if isinstance(layer, Delay))
        return tuple(spec.name for states in held for spec in states)

    def save(self, path: str | Path) -> Path:
        """Write the model as one .edgernn file (FORMAT.md); same model, same bytes."""
        from edgernn.container.file import save

        return save(self, path)

    @staticmethod
    def load(path: str | Path) -> IntegerModel:
        """Read an .edgernn file.

        Raises:
            FormatError: the file breaks FORMAT.md; the message names the defect.
        """
        from edgernn.container.file import load

        return load(path)


def operand_ranges(
    precision: Precision, route: Route, layer: Layer, held: Collection[int] = ()
) -> dict[Source, tuple[CodeRange, ...]]:
    """Bounds of every operand column of a layer (clauses 2.3, 2.7).

    Args:
        precision: of the model.
        route: what the layer reads.
        layer: the layer.
        held: delays of the input, whose output is input codes.
    """
    inner = CodeRange(low=precision.operand_low, high=precision.operand_high)
    outer = CodeRange(low=precision.input_low, high=precision.input_high)
    columns: list[CodeRange] = []
    for part in route:
        codes = part.source == MODEL_INPUT or part.source in held
        columns += [outer if codes else inner] * part.width
    x = layer.shared_columns(tuple(columns))
    if not layer.states:
        return {Source.X: x}
    h, rh = ((inner,) * layer.columns(source) for source in (Source.H, Source.RH))
    return {Source.X: x, Source.H: h, Source.RH: rh, Source.XH: x + h}


def _weights(layer: Layer) -> int:
    """Number of weights, those of sparse layers that are left out too."""
    terms = (term for affine in layer.affines.values() for term in affine.terms)
    return sum(term.weights.size for term in terms)
