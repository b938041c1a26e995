"""The page docs/reference/onnx-node-tests.md: ONNX's own tests of recurrent operators, read.

    python -m tests.documents.onnx_node_tests

writes it again. A test compares it with what it would write.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgernn.errors import StreamKindWarning, UnsupportedModelError
from edgernn.model.formats import FloatArray
from edgernn_export.float_model.float_run import run
from edgernn_export.float_model.program_sets.chunks import FloatChunks
from edgernn_export.onnx_reader.reader import read_onnx
from tests.support.models.onnx_node_cases import NodeCase, node_cases
from tests.support.models.onnx_recurrent import OPERATORS, of_operator, runtime_answer

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "onnx-node-tests.md"
COMMAND: Final = "python -m tests.documents.onnx_node_tests"
#: Largest distance of a result, in units of the largest one where this is above 1.
BOUND: Final = 1e-5


@dataclass(frozen=True, kw_only=True)
class ReadCase:
    """What became of a test.

    Attributes:
        read_as: layers that it is read as; or the reason why it is not read.
        errors: distance of each output that is compared.
        left_out: outputs that a session does not return.
    """

    read_as: str
    errors: dict[str, float]
    left_out: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        """How the page says it."""
        if not self.errors:
            return "refused"
        matched = all(error <= BOUND for error in self.errors.values())
        return f"{', '.join(self.errors)} {'matched' if matched else 'DIFFERENT'}"


def read_case(case: NodeCase) -> ReadCase:
    """Read one of ONNX's tests and compare all that can be compared."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StreamKindWarning)  # of states that are left out
            model = read_onnx(case.model())
    except UnsupportedModelError as error:
        return ReadCase(read_as=str(error), errors={})
    answers = _answers(model, case)
    errors = {
        name: distance(answers[name], wanted)
        for name, wanted in case.wanted.items()
        if name in answers
    }
    left = tuple(name for name in case.wanted if name not in answers)
    return ReadCase(read_as=layers_of(model), errors=errors, left_out=left)


def distance(got: FloatArray, wanted: FloatArray) -> float:
    """Largest distance, in units of the largest value where this is above 1."""
    assert got.shape == wanted.shape
    return float(np.max(np.abs(got - wanted)) / max(1.0, np.max(np.abs(wanted))))


def layers_of(model: Any) -> str:
    """The kinds of the layers of a float model, and the direction of those of chunks."""
    if not isinstance(model, FloatChunks):
        return ", ".join(f"`{layer.kind}`" for layer in model.layers)
    return "; ".join(
        f"{one.direction.value}: {layers_of(program)}"
        for one, program in zip(model.passes, model.programs, strict=True)
    )


def _answers(model: Any, case: NodeCase) -> dict[str, FloatArray]:
    """The outputs of the operator, in its shapes, as far as the network gives them."""
    directions = len(case.arrays["W"])
    xs, answers = case.streams, {}
    if isinstance(model, FloatChunks):
        ys, states = model.run(xs), ()
    else:
        ys, found = run(model, xs)
        states = found[0]
    if ys.ndim == 3 and "Y" in case.wanted:
        rows = ys.reshape(*ys.shape[:2], directions, -1)
        answers["Y"] = rows if case.batch_first else rows.transpose(1, 2, 0, 3)
    last = {"Y_h": ys if ys.ndim == 2 else _ends(ys, case)}
    if len(states) > 1:
        last["Y_c"] = states[1]
    for name, value in last.items():
        if name in case.wanted:
            rows = value.reshape(len(value), directions, -1)
            answers[name] = rows if case.batch_first else rows.swapaxes(0, 1)
    return answers


def _ends(ys: FloatArray, case: NodeCase) -> FloatArray:
    """The last output of every direction [B, directions * H]: backward that of the first step."""
    backward = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    turned = backward[case.attributes.get("direction", "forward")]
    parts = np.split(ys, len(turned), axis=-1)
    return np.concatenate(
        [part[:, 0 if back else -1] for part, back in zip(parts, turned, strict=True)], axis=-1
    )


def page() -> str:
    """The text of the page."""
    cases = {case: read_case(case) for case in node_cases()}
    rows = [
        f"| `{case.name}` | `{case.node.op_type}` | {_told(case.attributes)} | "
        f"{_inputs(case)} | {found.read_as} | {found.result} | {', '.join(found.left_out) or '–'} |"
        for case, found in cases.items()
    ]
    matched = sum(bool(found.errors) for found in cases.values())
    own = []
    xs = np.random.default_rng(3).normal(size=(20, 20, 3)).astype(np.float32)
    for name, (operator, attributes) in OPERATORS.items():
        model = of_operator(name, 3, 5)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StreamKindWarning)
            found = read_onnx(model)
        ys, _ = run(found, xs.astype(np.float64))
        good = distance(ys, runtime_answer(model, xs)) <= BOUND
        if "peepholes" in name:
            attributes = {**attributes, "with": "P"}
        if name.startswith("begun"):
            attributes = {**attributes, "constant": "initial states"}
        own.append(
            f"| `{operator}` | {_told(attributes)} | {layers_of(found)} | "
            f"{'matched' if good else 'DIFFERENT'} |"
        )
    return f"""# ONNX's own tests of recurrent operators

The package `onnx` contains tests of its operators, with inputs and expected outputs. This page
shows how edgernn reads those of `RNN`, `GRU` and `LSTM`: {matched} of {len(cases)} are read, and
the float network gives their outputs to within 1e-5.

Generated by `{COMMAND}`. A test compares the page with it.

The weights, biases and peepholes of the tests are constants here, as in a trained network.
Networks that read backward answer whole chunks
([bidirectional networks](../guides/bidirectional.md)). A session keeps the last states of a
network, so `Y_h` and `Y_c` next to `Y` are left out when a network is read, with a warning. Here
they are compared with the last outputs and the last states of the float run, except those in the
last column.

| test | operator | attributes | inputs | read as | result | not compared |
| --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}

## Attributes

ONNX tests few attributes. These networks have the others, with random weights. Their outputs are
compared with those of ONNX Runtime, to within 1e-5. The clip holds what gates and candidates read,
but not the cell state, as in ONNX Runtime.

| operator | attributes | read as | result |
| --- | --- | --- | --- |
{chr(10).join(own)}
"""


def _told(attributes: dict[str, Any]) -> str:
    """Attributes in a cell of a table."""
    told = [
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in attributes.items()
        if name != "hidden_size"
    ]
    return ", ".join(told) or "–"


def _inputs(case: NodeCase) -> str:
    return ", ".join(case.arrays)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
