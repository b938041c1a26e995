"""Hostile files of tensors: one clear error each, quickly, and without a large array."""

from __future__ import annotations

import io
import json
import pickle
import random
import re
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections import Counter

import numpy as np
import pytest

from edgernn.errors import UnsupportedModelError
from edgernn_export.weight_files.tensors.tensor_file import read_tensors
from tests.support.container.mutations import (
    cut_out,
    edit_header_text,
    edit_header_value,
    flip_bits,
    insert,
    repeat_slice,
    set_bytes,
    set_length,
    truncate,
)

#: More than any of these files may make, in bytes.
MOST_BYTES = 64 << 20
#: What is no hang, on any machine.
LONGEST_S = 20.0

FLOATS = np.arange(12, dtype=np.float32)
BYTES_OF_FLOATS = FLOATS.tobytes()


def safetensors_file(entries, data=BYTES_OF_FLOATS):
    header = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + data


def entry(low=0, high=48, shape=(12,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [low, high]}


GOOD_SAFETENSORS = safetensors_file(
    {"a": entry(0, 16, (4,)), "b.weight": entry(16, 40, (2, 3)), "c": entry(40, 48, (1, 1, 2)),
     "__metadata__": {"format": "pt"}}
)  # fmt: skip


def zip_file(members, way=zipfile.ZIP_STORED):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", way) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return made.getvalue()


def storage(key="0", count=12, cls=b"ctorch\nFloatStorage\n"):
    """Opcodes that push a storage."""
    return b"(X\x07\0\0\0storage" + cls + text(key) + text("cpu") + number(count) + b"tQ"


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def sizes(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(stored=None, offset=0, shape=(12,), strides=(1,)):
    """Opcodes that push a tensor."""
    arguments = (stored or storage()) + number(offset) + sizes(shape) + sizes(strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"\x89}tR"


def state(*pairs):
    """The pickle of a dictionary of texts and opcodes."""
    inside = b"".join(text(key) + opcodes for key, opcodes in pairs)
    return b"\x80\x02}(" + inside + b"u."


def torch_file(opcodes, *more, data=BYTES_OF_FLOATS):
    members = [("a/data.pkl", opcodes), ("a/byteorder", b"little"), ("a/data/0", data), *more]
    return zip_file(members)


GOOD_PICKLE = state(("a", tensor()), ("b.weight", tensor(None, 1, (2, 3), (1, 2))))
GOOD_TORCH = torch_file(GOOD_PICKLE)


def npy(header="{'descr': '<f4', 'fortran_order': False, 'shape': (12,), }\n", data=None):
    raw = header.encode()
    body = FLOATS.tobytes() if data is None else data
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + body


def of_shape(shape):
    return f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}\n"


GOOD_NPZ = zip_file([("a.npy", npy()), ("b/c.npy", npy(of_shape("3, 4")))], zipfile.ZIP_DEFLATED)


def read(path, data):
    path.write_bytes(data)
    return read_tensors(path)


def refused(path, data):
    """The only reason, found with little memory and in little time."""
    path.write_bytes(data)
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(UnsupportedModelError) as caught:
        read_tensors(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.process_time() - begin < LONGEST_S
    assert peak < MOST_BYTES + 2 * len(data)
    (reason,) = caught.value.reasons
    assert len(reason) < 1000
    assert reason.startswith(path.name)
    assert ": expected " in reason
    return reason


def test_the_whole_files_are_read(tmp_path):
    found = [read(tmp_path / "a", data) for data in (GOOD_SAFETENSORS, GOOD_TORCH, GOOD_NPZ)]
    assert [list(tensors) for tensors in found] == [
        ["a", "b.weight", "c"], ["a", "b.weight"], ["a", "b/c"],
    ]  # fmt: skip
    np.testing.assert_array_equal(found[1]["b.weight"], [[1, 3, 5], [2, 4, 6]])


HUGE = 1 << 62
SAFETENSORS = {
    "truncated header": (GOOD_SAFETENSORS[:30], "truncated|expected .* bytes"),
    "truncated data": (GOOD_SAFETENSORS[:-1], r"an integer in \[0, 47\]"),
    "more data": (GOOD_SAFETENSORS + b"\0", "expected 48 bytes, got 49"),
    "header longer than any": (struct.pack("<Q", HUGE) + b"{" * 40, "at most 16777216 bytes"),
    "no JSON": (safetensors_file(b"{" + b"a" * 40), "expected JSON text in UTF-8"),
    "deep JSON": (safetensors_file(b'{"a":' * 100_000), "at most 8 levels of nesting"),
    "no tensors": (safetensors_file(b"{}", b""), "expected tensors, got none"),
    "another value": (struct.pack("<Q", 4) + b"{}{}", "expected JSON text"),
    "a name twice": (
        safetensors_file(b'{"a":%s,"a":%s}' % (2 * (json.dumps(entry()).encode(),))),
        "expected distinct keys, got 'a' twice",
    ),
    "huge sizes": (safetensors_file({"a": entry(shape=(HUGE,))}), "a list of sizes"),
    "sizes that overflow": (safetensors_file({"a": entry(shape=(1 << 32, 1 << 32))}), "sizes"),
    "a negative size": (safetensors_file({"a": entry(shape=(-12,))}), "a list of sizes"),
    "a size of another type": (safetensors_file({"a": entry(shape=("12",))}), "a list of sizes"),
    "many axes": (safetensors_file({"a": entry(shape=(1,) * 40)}), "a list of sizes"),
    "overlapping tensors": (
        safetensors_file({"a": entry(0, 32, (8,)), "b": entry(16, 48, (8,))}),
        "data from byte 32, where the tensor before it ends, got from byte 16",
    ),
    "a hole": (
        safetensors_file({"a": entry(0, 16, (4,)), "b": entry(32, 48, (4,))}), "from byte 32",
    ),
    "offsets behind the end": (safetensors_file({"a": entry(0, 4800, (1200,))}), "integer in"),
    "offsets backward": (safetensors_file({"a": entry(48, 0)}), "bytes for float32"),
    "another size": (safetensors_file({"a": entry(shape=(11,))}), "expected 44 bytes"),
    "an unknown type": (safetensors_file({"a": entry(dtype="F8_E4M3")}), "got F8_E4M3"),
    "a type of another type": (safetensors_file({"a": entry(dtype=["F32"])}), "expected a string"),
    "an entry that is none": (safetensors_file({"a": 7}), "an object"),
    "a number with a point": (
        safetensors_file(b'{"a":{"dtype":"F32","shape":[12.0],"data_offsets":[0,48]}}'),
        "expected 64-bit integers",
    ),
    "endless digits": (
        safetensors_file(b'{"a":{"dtype":"F32","shape":[' + b"9" * 99_999 + b"]}}"),
        "expected 64-bit integers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAFETENSORS)
def test_safetensors(tmp_path, name):
    data, pattern = SAFETENSORS[name]
    assert re.search(pattern, refused(tmp_path / "a", data))


def laughs(count):
    """Tuples of tuples: 2 ** count values in a few bytes."""
    opcodes = b"(K\x01q\x00"
    for _ in range(count):
        opcodes += b"h\x00h\x00\x86q\x00"
    return opcodes + b"t"


class Bomb:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


def nested_dictionaries(count):
    """Dictionaries that each have the one before twice."""
    opcodes = b"(}q\x00"
    for _ in range(count):
        opcodes += b"}(" + text("a") + b"h\x00" + text("b") + b"h\x00uq\x00"
    return opcodes + b"t"


PICKLES = {
    "os.system": (pickle.dumps({"a": Bomb(print, "executed")}, 2), "print"),
    "eval": (pickle.dumps(Bomb(eval, "1/0"), 4), "builtins.eval"),
    "eval in old letters": (b"c__builtin__\neval\n(S'1/0'\ntR.", "__builtin__.eval"),
    "nested calls": (pickle.dumps({"a": Bomb(map, Bomb(eval, "1"), ())}, 2), "map|eval"),
    "a call of a tensor": (state(("a", tensor() + b"(tR")), "a value is called"),
    "an instance": (b"(i__builtin__\nobject\n.", "has the operation INST"),
    "an extension": (b"\x80\x02\x82\x01.", "a damaged one|operation EXT1"),
    "a name of texts": (b"\x80\x04" + text("os") + text("system") + b"\x93.", "os.system"),
    "a name of numbers": (b"\x80\x04K\x01K\x01\x93.", "a name is no text"),
    "many laughs": (state(("a", laughs(100)), ("t", tensor())), "deep|most"),
    "laughs as a key": (b"\x80\x02}" + laughs(100) + b"K\x01s.", "a key is no text or number"),
    "laughing dictionaries": (state(("a", nested_dictionaries(25))), "deep|at most 131072"),
    "deep dictionaries": (state(("a", nested_dictionaries(100))), "at most 131072|deep"),
    "a dictionary in itself": (b"\x80\x02}q\x00" + text("a") + b"h\x00s.", "at most 32 deep"),
    "a place in memory far away": (b"\x80\x02}r\xff\xff\xff\xff.", "without any"),
    "memory that is empty": (b"\x80\x02h\x07.", "a damaged one"),
    "a long text": (b"\x80\x02\x8d" + struct.pack("<Q", HUGE) + b"a.", "a damaged one"),
    "a long number": (b"\x80\x02\x8b\xff\xff\xff\x7f\x01.", "a damaged one|operation"),
    "digits": (b"I" + b"9" * 100_000 + b"\n.", "damaged|operation"),
    "no end": (b"\x80\x02}", "a damaged one"),
    "nothing": (b"", "a damaged one"),
    "an empty stack": (b"\x80\x02.", "a damaged one"),
    "marks": (b"\x80\x02(((.", "damaged|list|dictionary"),
    "a mark as a value": (b"\x80\x02}" + text("a") + b"(s.", "a mark stands"),
    "items of nothing": (b"\x80\x02K\x01(" + text("a") + b"K\x02u.", "without a dictionary"),
    "one megabyte of marks": (b"\x80\x02" + b"(" * (1 << 20) + b".", "damaged|list|dict"),
    "too long": (b"\x80\x02" + b"0" * (5 << 20), "a pickle of at most 4194304 bytes"),
    "a storage behind its end": (state(("a", tensor(None, 1))), "beyond its storage"),
    "a negative offset": (state(("a", tensor(None, -1, (1,)))), "beyond its storage"),
    "negative strides": (state(("a", tensor(None, 11, (12,), (-1,)))), "without storage"),
    "huge strides": (state(("a", tensor(None, 0, (2,), (HUGE,)))), "without storage"),
    "huge sizes": (state(("a", tensor(None, 0, (HUGE,), (0,)))), "without storage"),
    "an expanded tensor": (state(("a", tensor(None, 0, (1 << 27,), (0,)))), "at most 65536 values"),
    "many expanded tensors": (
        state(*((f"a{i}", tensor(None, 0, (60_000,), (0,))) for i in range(50))), "values, got",
    ),
    "sizes that overflow": (state(("a", tensor(None, 0, (1 << 28, 1 << 28), (0, 0)))), "without"),
    "unequal axes": (state(("a", tensor(None, 0, (2, 3), (1,)))), "without storage"),
    "no storage": (state(("a", tensor(b"K\x01"))), "without storage"),
    "a storage too large": (state(("a", tensor(storage(count=HUGE)))), "bytes of numbers in"),
    "a storage that is not there": (state(("a", tensor(storage("7")))), "expected a member"),
    "a storage outside": (state(("a", tensor(storage("../../b")))), "expected a member"),
    "a storage of another kind": (
        state(("a", tensor(storage(cls=b"ctorch\nQInt8Storage\n")))), "torch.QInt8Storage",
    ),
    "a name twice": (
        state(("a.b", tensor()), ("a", b"}" + text("b") + tensor() + b"s")), "'a.b' twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_pickles(tmp_path, name, capsys):
    opcodes, pattern = PICKLES[name]
    reason = refused(tmp_path / "a", torch_file(opcodes))
    assert re.search(pattern, reason), reason
    assert capsys.readouterr().out == ""


def lying(data, size):
    """An archive whose directory says another size of its first member."""
    at = data.index(b"PK\x01\x02")
    changed = bytearray(data)
    struct.pack_into("<I", changed, at + 24, size)
    return bytes(changed)


def with_zip64_sizes(data, size):
    """An archive whose directory has sizes of 64 bits for its only member."""
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    record = bytearray(data[at:end])
    name_size = struct.unpack_from("<H", record, 28)[0]
    extra = struct.pack("<HHQQ", 1, 16, size, size)
    struct.pack_into("<II", record, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", record, 30, len(extra))
    record[46 + name_size : 46 + name_size] = extra
    tail = bytearray(data[end:])
    struct.pack_into("<I", tail, 12, len(record))
    return data[:at] + bytes(record) + bytes(tail)


def with_two_of_one_name():
    data = zip_file([("a.npy", npy()), ("b.npy", npy())])
    return data.replace(b"b.npy", b"a.npy")


def sharing_one_body(count):
    """A directory with many names for one packed member: a bomb without nesting."""
    data = zip_file([("a.npy", b"\0" * (1 << 20))], zipfile.ZIP_DEFLATED)
    at, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    record = data[at:end]
    records = b""
    for index in range(count):
        changed = bytearray(record)
        name = b"%d.npy" % index
        old = struct.unpack_from("<H", changed, 28)[0]
        struct.pack_into("<H", changed, 28, len(name))
        changed[46 : 46 + old] = name
        records += bytes(changed)
    tail = bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, count, count, len(records))
    return data[:at] + records + bytes(tail)


ARCHIVES = {
    "truncated": (GOOD_TORCH[:-30], "a whole ZIP archive"),
    "damaged numbers": (GOOD_TORCH.replace(BYTES_OF_FLOATS, b"\1" * 48), "a whole ZIP"),
    "no pickle": (zip_file([("a/data.pkl/b", b"")]), "got another file"),
    "two pickles": (torch_file(GOOD_PICKLE, ("b/data.pkl", GOOD_PICKLE)), "one data.pkl, got 2"),
    "another byte order": (
        zip_file([("a/data.pkl", GOOD_PICKLE), ("a/byteorder", b"middle")]), "little or big",
    ),
    "a member outside": (torch_file(GOOD_PICKLE, ("../b", b"")), "the name '../b'"),
    "a member at the root": (torch_file(GOOD_PICKLE, ("/etc/b", b"")), "the name '/etc/b'"),
    "a member of a drive": (torch_file(GOOD_PICKLE, ("a\\..\\b", b"")), "the name"),
    "a name twice": (with_two_of_one_name(), "'a.npy' twice"),
    "a bomb": (zip_file([("a.npy", npy(data=b"\0" * (40 << 20)))], zipfile.ZIP_DEFLATED), "in all"),
    "one body of many names": (sharing_one_body(2000), "in all"),
    "a larger size": (lying(GOOD_NPZ, 1 << 19), "bytes of 'a.npy'|damaged"),
    "a smaller size": (lying(GOOD_NPZ, 3), "damaged|something else"),
    "a size of 64 bits": (with_zip64_sizes(zip_file([("a.npy", npy())]), HUGE), "in all|damaged"),
    "another compression": (zip_file([("a.npy", npy())], zipfile.ZIP_LZMA), "stored or deflated"),
    "damaged deflate": (
        GOOD_NPZ.replace(zlib.compress(npy())[2:12], b"\xff" * 10), "damaged|stored",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(tmp_path, name):
    data, pattern = ARCHIVES[name]
    reason = refused(tmp_path / "a", data)
    assert re.search(pattern, reason), reason


ARRAYS = {
    "no array": (b"nothing", "an array that NumPy saved"),
    "objects": (npy(of_shape("12,").replace("<f4", "|O")), "of objects or records"),
    "records": (npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (12,), }\n"),
                "of objects or records"),
    "code": (npy("{'descr': '<f4', 'fortran_order': exit(), 'shape': (12,), }\n"), "of objects"),
    "nested header": (npy("(" * 9000), "another header"),
    "long header": (npy(" " * 20_000), "another header"),
    "huge sizes": (npy(of_shape("4611686018427387904,")), "as many bytes as its shape needs"),
    "endless digits": (npy(of_shape("9" * 5000 + ",")), "as many bytes as its shape needs"),
    "negative sizes": (npy(of_shape("-12,")), "another header"),
    "other bytes": (npy(data=b"\0" * 44), "as many bytes as its shape needs"),
    "an unknown type": (npy(of_shape("12,").replace("<f4", "<c8")), "numbers of type"),
    "bfloat16 of JAX": (npy(of_shape("12,").replace("<f4", "<V2")), "bfloat16 of JAX"),
    "no length": (b"\x93NUMPY\x01\x00", "an array that NumPy saved"),
    "another version": (b"\x93NUMPY\x09\x00" + b"\0" * 20, "an array that NumPy saved"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(tmp_path, name):
    data, text = ARRAYS[name]
    assert text in refused(tmp_path / "a", zip_file([("b.npy", data)]))


# --- Seeded damage ---------------------------------------------------------------------------

BYTES = (flip_bits, set_bytes, truncate, insert, cut_out, repeat_slice)


def of_safetensors(rng):
    change = rng.choice((*BYTES, set_length, edit_header_value, edit_header_text))
    return change(rng, GOOD_SAFETENSORS)


def of_torch(rng):
    """Damage to the archive, or to the pickle in a whole archive."""
    if rng.random() < 0.3:
        return rng.choice(BYTES)(rng, GOOD_TORCH)
    opcodes = GOOD_PICKLE
    for _ in range(rng.choice((1, 1, 2))):
        opcodes = rng.choice((*BYTES, exchange, exchange))(rng, opcodes) or b"."
    return torch_file(opcodes)


def exchange(rng, opcodes):
    """Put one operation of pickles in the place of a byte."""
    at = rng.randrange(len(opcodes))
    known = b"(.012FIKJMLNPQRSTUVXabcdeghijlopqrstu}]\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x93\x94"
    return opcodes[:at] + bytes([rng.choice(known)]) + opcodes[at + 1 :]


def of_numpy(rng):
    """Damage to the archive, or to an array in a whole archive."""
    if rng.random() < 0.4:
        return rng.choice(BYTES)(rng, GOOD_NPZ)
    return zip_file([("a.npy", rng.choice(BYTES)(rng, npy(of_shape("3, 4"))))])


DAMAGE = {"safetensors": of_safetensors, "torch": of_torch, "numpy": of_numpy}


def damaged(path, name, count):
    """Read many damaged files; what came of each."""
    rng = random.Random(f"edgernn {name}")
    outcomes = Counter()
    longest = 0.0
    tracemalloc.start()
    for _ in range(count):
        data = DAMAGE[name](rng)
        path.write_bytes(data)
        begin = time.process_time()
        try:
            found = read_tensors(path)
        except UnsupportedModelError as error:
            (reason,) = error.reasons
            assert len(reason) < 1000
            assert ": expected " in reason
            outcomes["refused"] += 1
        else:
            assert sum(values.nbytes for values in found.values()) < 1 << 20
            outcomes["read"] += 1
        longest = max(longest, time.process_time() - begin)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert longest < LONGEST_S
    assert peak < MOST_BYTES
    print(f"\n{name}: {dict(outcomes)}, longest {longest:.3f} s, peak {peak / 2**20:.1f} MiB")
    return outcomes


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files(tmp_path, name):
    outcomes = damaged(tmp_path / "a", name, 300)
    assert outcomes["refused"] > 150
    assert outcomes["read"] > 0


@pytest.mark.long
@pytest.mark.parametrize("name", DAMAGE)
def test_many_damaged_files(tmp_path, name):
    assert damaged(tmp_path / "a", name, 20_000)["refused"] > 10_000
