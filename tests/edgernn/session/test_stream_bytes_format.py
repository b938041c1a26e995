"""The bytes of a stream, read by FORMAT.md section 10 alone; damage, other models, migration."""

import binascii
import dataclasses
import hashlib
import re
import struct
from pathlib import Path

import numpy as np
import pytest

import edgernn
from edgernn import StateError
from edgernn.backends.native import is_available
from edgernn.model.formats import Precision
from edgernn.model.interface import Rate, Window
from tests.support.container.examples import example_model
from tests.support.models.integer import random_model
from tests.support.models.programs import pair, shared
from tests.support.models.rates import strided_chain

pytestmark = [
    pytest.mark.device,
    pytest.mark.filterwarnings("ignore::edgernn.ClippedReadingsWarning"),
]

FORMAT = Path(edgernn.__file__).parent / "container" / "FORMAT.md"
MODEL = random_model("gru_after", outputs=2)
NAN = float("nan")


@pytest.fixture(params=["reference", "native"])
def backend(request):
    if request.param == "native" and not is_available():
        pytest.skip("needs edgernn._native: a C compiler, then pip install -e .")
    return request.param


def parsed(blob, inputs, outputs, code, widths):
    """The parts of section 10.1; ``code`` and ``widths`` are formats of `struct`."""
    magic, version, n, model, form, border = struct.unpack_from("<4sBB16s8s4s", blob)
    assert (magic, version) == (b"ErSt", 1)
    name, at = blob[34 : 34 + n].decode(), 34 + n
    flags, sequence, bad = struct.unpack_from("<BqQ", blob, at)
    at += 17
    assert flags < 16

    def take(there, form):
        nonlocal at
        if not there:
            return None
        values = struct.unpack_from("<" + form, blob, at)
        at += struct.calcsize("<" + form)
        return list(values)

    clipped = take(flags & 8, f"{inputs}Q")
    state = [take(True, width) for width in widths]
    held = take(flags & 3, f"{inputs}{code}")
    known = take(flags & 2, f"{inputs}B")
    last = take(flags & 4, f"{outputs}h")
    assert len(blob) == at + 4
    assert struct.unpack_from("<I", blob, at)[0] == binascii.crc32(blob[:-4])
    found = {"model": model, "name": name, "form": form, "border": border, "sequence": sequence}
    parts = {"bad": bad, "clipped": clipped, "held": held, "known": known, "last": last}
    return found | parts | {"state": state, "flags": flags & 7}


def test_a_stream_of_steps(backend):
    session = edgernn.load(MODEL, backend, "hold")
    blank = parsed(session.to_bytes(), 3, 2, "b", ["8h"])
    assert blank["model"].hex() == MODEL.sha256[:32]
    assert blank["name"] == MODEL.name
    empty = {"flags": 0, "sequence": 0, "bad": 0, "clipped": None, "state": [[0] * 8]}
    assert empty.items() <= blank.items()
    session.step([0.5, NAN, NAN])
    early = parsed(session.to_bytes(), 3, 2, "b", ["8h"])
    code = int(session.interface.quantize(np.full(3, 0.5))[0])
    waiting = {"flags": 2, "sequence": 1, "bad": 1, "held": [code, 0, 0], "known": [1, 0, 0]}
    assert waiting.items() <= early.items()
    session.step([0.5, 1e6, -0.25], sequence=9)
    y = session.step([NAN] * 3, sequence=12)
    full = parsed(session.to_bytes(), 3, 2, "b", ["8h"])
    last = np.array(full["last"]) * session.interface.output.scale
    assert last.tolist() == y.tolist()
    q_x = session.interface.quantize(np.array([0.5, 1e6, -0.25])).tolist()
    wanted = {"flags": 5, "sequence": 12, "bad": 2, "held": q_x, "clipped": [0, 1, 0]}
    assert wanted.items() <= full.items()
    assert full["state"] == [q.tolist() for q in session.state.values()]
    assert full["form"] == blank["form"]


def test_a_window_and_a_rate(backend):
    window = dataclasses.replace(MODEL, window=Window(steps=4, hop=3))
    session = edgernn.load(window, backend, warm_up="pad")
    assert parsed(session.to_bytes(), 3, 2, "b", ["12b", "h"])["state"] == [[0] * 12, [0]]
    xs = np.random.default_rng(1).normal(size=(6, 3)).clip(-2, 2)
    session.run(xs)
    found = parsed(session.to_bytes(), 3, 2, "b", ["12b", "h"])
    codes = session.interface.quantize(xs).astype(int)
    assert (found["flags"], found["held"]) == (5, codes[-1].tolist())
    assert found["state"] == [codes[-4:].ravel().tolist(), [1]]
    rate = strided_chain(Precision.W8A16, Rate(readings=2, first=4))
    session = edgernn.load(rate, backend)
    xs = np.random.default_rng(1).normal(size=(3, rate.input.width)).clip(-2, 2)
    session.run(xs)
    inputs, outputs = rate.input.width, rate.output.width
    widths = [f"{2 * inputs}h", "h", *(f"{spec.units}h" for spec in rate.states)]
    found = parsed(session.to_bytes(), inputs, outputs, "h", widths)
    codes = session.interface.quantize(xs).astype(int)
    assert (found["flags"], found["held"], found["last"]) == (1, codes[-1].tolist(), None)
    assert found["state"][1] == [1]
    assert found["state"][0][:inputs] == codes[-1].tolist()


def test_the_hashes_are_those_of_the_document():
    blob = edgernn.load(MODEL).to_bytes()
    found = parsed(blob, 3, 2, "b", ["8h"])
    floats = (MODEL.input.offset, MODEL.input.scale, MODEL.output.scale)
    border = hashlib.sha256(b'["w8a8",[]]' + b"".join(v.astype("<f8").tobytes() for v in floats))
    assert found["border"] == border.digest()[:4]
    name = MODEL.states[0].name
    form = f'[[["{name}",8,16,15,false]],3,2]'.encode()
    assert found["form"] == hashlib.sha256(form).digest()[:8]
    window = dataclasses.replace(MODEL, window=Window(steps=4))
    form = b'[[["window.codes",12,8,0,false],["window.due",1,16,0,false]],3,2]' + border.digest()
    found = parsed(edgernn.load(window).to_bytes(), 3, 2, "b", ["12b", "h"])
    assert found["form"] == hashlib.sha256(form).digest()[:8]


def test_the_example_of_the_document(backend):
    section = FORMAT.read_text().partition("## 10 ")[2]
    example = bytes.fromhex(re.search(r"```hex\n(.*?)```", section, re.S)[1])
    session = edgernn.load(example_model(), backend)
    session.step([21.5])
    assert session.to_bytes() == example


def test_a_long_name_is_cut_between_characters():
    model = dataclasses.replace(MODEL, name="a" + "é" * 30)
    assert parsed(edgernn.load(model).to_bytes(), 3, 2, "b", ["8h"])["name"] == "a" + "é" * 19


def test_programs_by_the_document():
    programs = shared()
    session = edgernn.load(programs)
    first, second = session.programs
    session.step(second, np.zeros(session.interface(second).input.width))
    blob = session.to_bytes()
    magic, version, n, sha, count, states = struct.unpack_from("<4sBB16sBH", blob)
    assert (magic, version, sha.hex()) == (b"ErPs", 1, programs.sha256[:32])
    assert (count, states) == (2, len(programs.interfaces().shared))
    assert blob[25 : 25 + n].decode() == programs.name
    at = 25 + n
    assert list(blob[at : at + 2]) == [1, 1]
    assert list(blob[at + 2 : at + 2 + states]) == [1] * states
    at += 2 + states
    for name in (first, second):
        (length,) = struct.unpack_from("<I", blob, at)
        part = blob[at + 4 : at + 4 + length]
        assert part == session._sessions[name].to_bytes()
        at += 4 + length
    assert struct.unpack("<I", blob[at:]) == (binascii.crc32(blob[:-4]),)


def used(backend, model=MODEL):
    session = edgernn.load(model, backend, "hold")
    session.run([[0.5, -0.25, 1e6], [0.1, NAN, 0.2]])
    return session


def test_every_flipped_bit_and_every_cut_is_refused(backend):
    blob = used("reference").to_bytes()
    session = used(backend)
    session.step([0.25] * 3)
    before = session.to_bytes()
    damaged = [blob[:count] for count in range(len(blob))]
    for place in range(8 * len(blob)):
        spoilt = bytearray(blob)
        spoilt[place // 8] ^= 1 << place % 8
        damaged.append(bytes(spoilt))
    for bad in damaged:
        with pytest.raises(StateError, match=r"state: expected (bytes|the bytes) "):
            session.from_bytes(bad)
    assert session.to_bytes() == before
    session.from_bytes(blob)
    assert session.to_bytes() == blob != before


def test_every_flipped_bit_of_a_set_is_refused():
    blob = edgernn.load(pair()).to_bytes()
    session = edgernn.load(pair())
    for place in range(8 * len(blob)):
        spoilt = bytearray(blob)
        spoilt[place // 8] ^= 1 << place % 8
        with pytest.raises(StateError, match=r"state: expected (bytes|the bytes) "):
            session.from_bytes(bytes(spoilt))
    for count in range(len(blob)):
        with pytest.raises(StateError, match=r"state: expected (bytes|the bytes) "):
            session.from_bytes(blob[:count])
    assert session.to_bytes() == blob


def sealed(blob):
    """With a checksum that fits what was changed."""
    return blob[:-4] + binascii.crc32(blob[:-4]).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:4] + b"\x02" + b[5:], "expected version 1, got 2. A newer edgernn"),
        (lambda b: b[:-4] + b"\0" + b[-4:], "expected the parts that its flags announce"),
        (lambda b: b[:-5] + b[-4:], "expected the parts that its flags announce"),
        (lambda b: flagged(b, 16), "expected the parts that its flags announce"),
        (lambda b: flagged(b, 2), "expected the parts that its flags announce"),
        (lambda b: flagged(b, 1), "expected the parts that its flags announce"),
        (lambda b: part_changed(b, 8, b"\x80"), "expected the parts that its flags announce"),
        (lambda b: part_changed(b, 17, bytes(24)), "expected the parts that its flags announce"),
    ],
)
def test_bytes_with_a_good_checksum_and_wrong_parts(backend, change, message):
    session = used(backend)
    before = session.to_bytes()
    with pytest.raises(StateError, match=re.escape(message)):
        session.from_bytes(sealed(change(before)))
    assert session.to_bytes() == before


def part_changed(blob, place, part):
    """With other bytes at a place behind the flags."""
    at = 34 + blob[5] + place
    return blob[:at] + part + blob[at + len(part) :]


def flagged(blob, flips):
    at = 34 + blob[5]
    return blob[:at] + bytes([blob[at] ^ flips]) + blob[at + 1 :]


@pytest.mark.parametrize(("place", "part"), [(0, b"\0"), (0, b"\2"), (-2, b"\5")])
def test_first_values_that_contradict_themselves_are_refused(backend, place, part):
    session = edgernn.load(MODEL, backend, "hold")
    session.step([0.5, NAN, NAN])
    blob = session.to_bytes()
    spoilt = part_changed(blob, len(blob) - 34 - blob[5] - 7 + place, part)
    with pytest.raises(StateError, match="expected the parts that its flags announce"):
        session.from_bytes(sealed(spoilt))
    assert session.to_bytes() == blob


def test_codes_off_the_grid_are_refused(backend):
    model = random_model("gru_after", Precision.W8A16)
    blob = used(backend, model).to_bytes()
    at = len(blob) - 4 - 2 * model.output.width - 2
    wrong = sealed(blob[:at] + b"\x02\0" + blob[at + 2 :])
    with pytest.raises(StateError, match=r"expected input codes \(NUMERICS.md clause 2.3\) as the"):
        used(backend, model).from_bytes(wrong)


@pytest.mark.parametrize("given", [None, "text", 3, b"", b"ErSt", bytes(200), bytearray(5)])
def test_what_is_no_state_is_refused(backend, given):
    with pytest.raises(StateError, match="state: expected "):
        edgernn.load(MODEL, backend).from_bytes(given)


def test_another_model_is_refused_by_name_and_taken_by_hand(backend):
    other = random_model("gru_after", seed=3, outputs=2)
    other = dataclasses.replace(other, name="other", input=MODEL.input, output=MODEL.output)
    source, session = used(backend, other), used(backend)
    before = session.to_bytes()
    named = (
        f"state: expected one of '{MODEL.name}' (sha256 {MODEL.sha256[:8]}), got one of 'other' "
        f"(sha256 {other.sha256[:8]}). Load that model, or pass migrate=True"
    )
    with pytest.raises(StateError, match=re.escape(named)):
        session.from_bytes(source.to_bytes())
    assert session.to_bytes() == before
    session.from_bytes(source.to_bytes(), migrate=True)
    assert session.sequence == source.sequence == 2
    assert session.clipped_readings == source.clipped_readings
    twin = edgernn.load(MODEL, backend, "hold")
    twin.state = source.state
    held = source.interface.quantize(np.array([0.1, -0.25, 0.2]))
    assert session.step([NAN] * 3).tolist() == (
        session.interface.dequantize(twin.step_codes(held)).tolist()
    )


def test_a_reading_in_another_scale_does_not_migrate(backend):
    scaled = dataclasses.replace(MODEL.input, scale=2 * MODEL.input.scale)
    other = dataclasses.replace(MODEL, name="other", input=scaled)
    source, session = used(backend), edgernn.load(other, backend, "hold")
    session.from_bytes(source.to_bytes(), migrate=True)
    assert {n: q.tolist() for n, q in session.state.items()} == (
        {n: q.tolist() for n, q in source.state.items()}
    )
    assert np.isnan(session.step([NAN] * 3)).all()
    window = dataclasses.replace(other, window=Window(steps=4))
    former = edgernn.load(dataclasses.replace(MODEL, window=Window(steps=4)), backend)
    with pytest.raises(StateError, match="read and hold readings in different scales"):
        edgernn.load(window, backend).from_bytes(former.to_bytes(), migrate=True)


def test_another_form_does_not_migrate(backend):
    for other in (random_model("lstm", outputs=2), random_model("gru_after", units=9, outputs=2)):
        with pytest.raises(StateError, match="the two models keep different states"):
            used(backend).from_bytes(edgernn.load(other).to_bytes(), migrate=True)


def test_another_set_is_refused_by_name_and_taken_by_hand():
    programs, other = pair(), dataclasses.replace(pair(), name="other")
    source, session = edgernn.load(other), edgernn.load(programs)
    source.step("encode", [0.5] * 3)
    with pytest.raises(StateError, match=r"expected one of the set 'pair' .* got one of 'other'"):
        session.from_bytes(source.to_bytes())
    session.from_bytes(source.to_bytes(), migrate=True)
    assert session.sequence == source.sequence
    with pytest.raises(
        StateError, match="expected 2 programs that share 0 states, got 2 that shar"
    ):
        session.from_bytes(edgernn.load(shared()).to_bytes(), migrate=True)
