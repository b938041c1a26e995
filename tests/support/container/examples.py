"""The models of the examples in FORMAT.md, the smallest of their versions."""

from __future__ import annotations

import dataclasses

import numpy as np

from edgernn.model.affine import Affine8, Source, Term8
from edgernn.model.formats import Precision
from edgernn.model.integer_model import IntegerModel, Provenance
from edgernn.model.interface import InputSpec, OutputSpec, Port
from edgernn.model.layers import CellActivation, SimpleRNN
from edgernn.model.merges import Merge, MergeOperation
from edgernn.model.program_sets.handovers import Handover
from edgernn.model.program_sets.program_set import ProgramSet
from edgernn.model.routes import MODEL_INPUT, RoutePart
from edgernn.model.scales import ScaleVector


def example_model() -> IntegerModel:
    term = Term8(
        source=Source.XH,
        weights=np.array([[64, -32]], dtype=np.int8),
        multiplier=np.array([3000], dtype=np.int32),
    )
    rnn = SimpleRNN(
        name="rnn",
        inputs=1,
        units=1,
        activation=CellActivation.TANH,
        state_exponent=15,
        gates=Affine8(terms=(term,), bias=np.array([-700], dtype=np.int32), shift=9),
    )
    return IntegerModel(
        name="smallest",
        precision=Precision.W8A8,
        layers=(rnn,),
        input=InputSpec(
            names=("temperature",),
            units=("degC",),
            scale=np.array([0.25]),
            offset=np.array([20.0]),
        ),
        output=OutputSpec(
            names=("change",), units=("K",), scale=np.array([2.0**-15]), softmax=False
        ),
        provenance=Provenance(
            float_model_sha256="",
            calibration_sha256="",
            seeds=(("weights", 7),),
            versions=(("edgernn", "0.1.0"),),
        ),
    )


def example_network() -> IntegerModel:
    """The example's cell, and the sum of its output and of a second input."""
    base = example_model()
    terms = tuple(
        ScaleVector(
            multiplier=np.array([gain], np.int16), shift=shift, bias=np.array([bias], np.int16)
        )
        for gain, shift, bias in ((16384, 15, 0), (16384, 7, -50))
    )
    merge = Merge(
        name="sum", inputs=2, units=1, operation=MergeOperation.SUM, terms=terms, shift=0,
        output_scale=2.0**-14,
    )  # fmt: skip
    return dataclasses.replace(
        base,
        layers=(*base.layers, merge),
        routes=(
            (RoutePart(source=MODEL_INPUT, start=0, width=1),),
            (
                RoutePart(source=0, start=0, width=1),
                RoutePart(source=MODEL_INPUT, start=1, width=1),
            ),
            (RoutePart(source=1, start=0, width=1),),
        ),
        input=InputSpec(
            names=("temperature", "correction"),
            units=("degC", "K"),
            scale=np.array([0.25, 2.0**-7]),
            offset=np.array([20.0, 0.0]),
            ports=(Port(name="sensor", width=1), Port(name="correction", width=1)),
        ),
        output=dataclasses.replace(base.output, scale=np.array([2.0**-14])),
    )


def example_programs() -> ProgramSet:
    """The cell of the first example in two programs, and a third that begins with its state."""
    change = dataclasses.replace(example_model(), name="change")
    doubled = OutputSpec(names=("twice",), units=("K",), scale=np.array([2.0**-14]), softmax=False)
    twice = dataclasses.replace(change, name="twice", output=doubled)
    own = dataclasses.replace(change.layers[0], name="own")
    then = dataclasses.replace(change, name="then", layers=(own,))
    return ProgramSet(
        name="smallest",
        programs=(change, twice, then),
        handovers=(Handover(program="then", state="own.h", source="twice", value="output"),),
    )
