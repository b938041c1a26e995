"""The static bound of the stack: right where it can be known, refused where it cannot."""

import numpy as np
import pytest

from edgernn.errors import EmulationError
from edgernn.model.formats import Precision
from edgernn_export.writers.c.source import write_c
from edgernn_export.writers.file_formats import golden_vector, probe_codes
from edgernn_firmware_sim.emulator import emulate
from edgernn_firmware_sim.emulator.call_graph import static_stack_bytes, tail_calls
from edgernn_firmware_sim.emulator.instructions import Instruction
from tests.support.models.hand_made import EACH_CODE, HEADER, INIT, STEP, core_named
from tests.support.models.integer import CELLS, random_model

pytestmark = pytest.mark.sampled(2)

MODEL = random_model("simple_rnn", inputs=1, units=1, outputs=0)
Q_XS = np.array([[1], [2]], dtype=np.int8)
ONE_OF_EACH = ("cortex-m0", "rv32imc")
LONG = pytest.mark.long
#: Of the others, `make test-long` runs every one.
FEW_CELLS = ("lstm", "gru_before")


def run(core, functions, body, folder):
    step = STEP.decode() + "{\n" + body + "\n    y[0] = 0;\n    state->h[0] = 0;\n}\n"
    sources = {"model.h": HEADER, "model.c": INIT + (functions + step).encode()}
    return emulate(MODEL, sources, core_named(core), Q_XS, folder, np.zeros((2, 2), np.int16))


@pytest.mark.parametrize("core", EACH_CODE)
@pytest.mark.parametrize("precision", [pytest.param(p, id=p.value) for p in Precision])
@pytest.mark.parametrize(
    "cell", [cell if cell in FEW_CELLS else pytest.param(cell, marks=LONG) for cell in CELLS]
)
def test_painted_and_static_stack_agree(cell, precision, core, tmp_path):
    # Maps of one product, of two and of more columns than sums of pairs hold go three ways through
    # the kernels; any can be the deepest.
    shapes = [{"common": True}, {"common": False}]
    if precision is Precision.W8A8:
        shapes.append({"common": False, "inputs": 520})
    painted = []
    for number, shape in enumerate(shapes):
        model = random_model(cell, precision, **{"inputs": 3, "units": 21, "stack": 2, **shape})
        folder = tmp_path / str(number)
        folder.mkdir()
        sources = write_c(model, golden_vector(model))
        result = emulate(model, sources, core_named(core), probe_codes(model, 20, 5), folder)
        assert result.differing == 0
        painted.append(result.stack_bytes)
    # Painting sees what a stream writes: not the padding of frames, to 8 bytes on Arm and to 16 on
    # RISC-V, and not the room of what a path that it does not take would have kept there.
    most, static = max(painted), result.static_stack_bytes
    assert most <= static <= most + (32 if core == "rv32imc" else 16)
    assert result.ram_bytes == result.struct_bytes + static


@pytest.mark.parametrize("core", EACH_CODE)
def test_the_deepest_path_counts_and_not_the_sum_of_all(core, tmp_path):
    leaf = "static __attribute__((noinline, noclone)) void {0}(signed char x)\n"
    leaf += "{{\n    volatile signed char v[{1}];\n    for (int i = 0; i < {1}; i++) v[i] = x;\n"
    leaf += "    (void)v[0];\n}}\n"
    functions = leaf.format("model_small", 64) + leaf.format("model_large", 256)
    body = "    model_small(x[0]);\n    model_large(x[0]);\n    model_small(x[0]);"
    result = run(core, functions, body, tmp_path)
    assert 256 <= result.stack_bytes <= result.static_stack_bytes < 256 + 64


@pytest.mark.parametrize("core", EACH_CODE)
def test_a_path_that_this_stream_does_not_take_counts(core, tmp_path):
    functions = "static __attribute__((noinline)) int model_rare(int x)\n"
    functions += "{\n    volatile int v[50];\n    for (int i = 0; i < 50; i++) v[i] = x;\n"
    functions += "    return v[3];\n}\n"
    body = "    if (x[0] == 77) state->scratch[0] = (int16_t)model_rare(x[0]);"
    result = run(core, functions, body, tmp_path)
    assert result.stack_bytes < 100
    assert 200 <= result.static_stack_bytes < 300
    assert result.ram_bytes == result.struct_bytes + result.static_stack_bytes


@pytest.mark.parametrize("core", EACH_CODE)
def test_below_a_tail_call_the_caller_s_frame_is_gone(core, tmp_path):
    leaf = "static __attribute__((noinline, noclone)) void model_{0}(signed char x)\n"
    leaf += "{{\n    volatile signed char v[{1}];\n    for (int i = 0; i < {1}; i++) v[i] = x;\n"
    leaf += "    (void)v[0];\n{2}}}\n"
    functions = leaf.format("last", 256, "")
    jumping = leaf.format("first", 200, "    model_last(x);\n")
    calling = leaf.format("first", 200, "    model_last(x);\n    v[1] = x;\n")
    stacks = {}
    for name, first in (("jumping", jumping), ("calling", calling)):
        folder = tmp_path / name
        folder.mkdir()
        result = run(core, functions + first, "    model_first(x[0]);", folder)
        assert result.stack_bytes <= result.static_stack_bytes <= result.stack_bytes + 32
        stacks[name] = result.static_stack_bytes
    if core != "cortex-m0":  # gcc makes no tail calls from such frames for Thumb-1
        assert 256 <= stacks["jumping"] < 256 + 64
    assert 456 <= stacks["calling"] < 456 + 96


RECURSION = """static __attribute__((noinline)) int model_deep(int n)
{
    volatile int v[4] = {n};
    return n <= 0 ? v[0] : v[0] * model_deep(n - 1) + v[1];
}
"""
DYNAMIC = """static __attribute__((noinline)) int model_deep(int n)
{
    volatile signed char v[n];
    for (int i = 0; i < n; i++) v[i] = 1;
    return v[n - 1];
}
"""
POINTER = """static int model_deep(int n) { return n + 1; }
static int model_other(int n) { return n + 2; }
static int (*const pointer[2])(int) = {model_deep, model_other};
"""
DIVISION = "static __attribute__((noinline)) int model_deep(int n) { return 1000 / n; }\n"


@pytest.mark.parametrize("core", ONE_OF_EACH)
@pytest.mark.parametrize(
    ("functions", "call", "message"),
    [
        (RECURSION, "model_deep(x[0] & 3)", "no recursion, got .* calls itself .*model_deep > "),
        (
            DYNAMIC,
            "model_deep((x[0] & 3) + 1)",
            r"stack frames of fixed size, got .*\(model_step > ",
        ),
        (POINTER, "pointer[x[0] & 1](x[0])", "only calls by name, got a call through a pointer"),
    ],
)
def test_what_has_no_bound_is_refused(core, functions, call, message, tmp_path):
    with pytest.raises(EmulationError, match=rf"stack of model_step: expected {message}"):
        run(core, functions, f"    state->scratch[0] = (int16_t){call};", tmp_path)


def test_a_library_function_is_refused(tmp_path):
    message = r"got none of a library function \(model_step > model\.c:model_deep > __aeabi_idiv\)"
    with pytest.raises(EmulationError, match=message):
        run("cortex-m0", DIVISION, "    state->scratch[0] = (int16_t)model_deep(x[0]);", tmp_path)


def test_the_bound_is_that_of_the_call_graph(tmp_path):
    # Two ways from a to d: 8 + 100 + 4 over b, 8 + 16 + 4 over c.
    frames = {"a": 8, "b": 100, "c": 16, "d": 4, "unused": 1000}
    calls = ["ab", "ac", "bd", "cd"]
    one, two = tmp_path / "one.ci", tmp_path / "two.ci"
    node = 'node: {{ title: "{0}" label: "{0}\\nx.c:1:1\\n{1} bytes (static)" }}\n'
    edge = 'edge: {{ sourcename: "{0}" targetname: "{1}" label: "x.c:1:1" }}\n'
    texts = [node.format(n, b) for n, b in frames.items()] + [edge.format(*c) for c in calls]
    one.write_text('graph: { title: "one.c"\n' + "".join(texts[::2]) + "}\n")
    two.write_text('graph: { title: "two.c"\n' + "".join(texts[1::2]) + "}\n")
    assert static_stack_bytes([one, two], "a") == 8 + 100 + 4
    assert static_stack_bytes([two, one], "c") == 16 + 4
    assert static_stack_bytes([one, two], "a", frozenset({("b", "d")})) == 8 + 100
    assert static_stack_bytes([one, two], "a", frozenset({("a", "b")})) == 100 + 4


def instruction(function, kind, target):
    return Instruction(
        function=function, mnemonic="-", operands="", kind=kind, registers=0, target=target
    )


def test_only_what_is_never_called_is_a_tail_call():
    listing = {
        0: instruction("a", "branch", 8),
        2: instruction("a", "branch", 4),  # within the function
        4: instruction("a", "call", 12),
        6: instruction("a", "branch", 12),
        8: instruction("b", "branch", 14),  # into the middle of a function
        10: instruction("b", "branch", 12),
        12: instruction("c", "alu", None),
        14: instruction("c", "branch", 8),
        16: instruction("c", "call", None),  # through a register: may be any function
    }
    assert tail_calls(listing) == {("a", "b"), ("b", "c")}
