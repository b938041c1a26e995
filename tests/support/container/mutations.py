"""Seeded damage to .edgernn files: bytes, lengths, JSON values, JSON text, tensors."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Callable
from typing import Any

from tests.support.container.surgery import canonical, frame, join, split

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 64, 65_536, 65_537, 2**26, 2**31, 2**32, -(2**63),
    2**63 - 1, 2**64, 10**40, 1.5, -0.0, 1e308, float("nan"), float("inf"), "", "x", "xh", "w8a16",
    "F64", "I8", "0x1p-1074", "nan", "0x1p99999", "\u2028", "\x00", "a" * 300, "../../etc", "out",
    "U8", "sparse8", "dense4", "I16", "product", "merge", [-1, 0, 1], [[0, 0, 65_536]] * 3,
    [], {}, [[]], [1, 2], ["x", "h"], [0, 8], [1], {"": 0}, [None] * 50, ["a"] * 2000,
)  # fmt: skip

#: Pieces of JSON text, some of them costly to a careless parser.
TOKENS = (
    "{", "}", "[", "]", ",", ":", '"', "\\", " ", "\n", "0", "-", "1e9", "NaN", "\\ud800", "é",
    "[" * 3000, '{"a":' * 3000, "9" * 6000, '"shape":[1],', '\\"' * 50_000,
)  # fmt: skip

ELEMENT_BYTES = {"F64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}

Json = Any
Spot = tuple[Any, Any]


def spots(value: Json) -> list[Spot]:
    """Every (container, key) inside a JSON value."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], (dict, list)):
            found += spots(value[key])
    return found


def mutate_json(rng: random.Random, value: Json) -> None:
    """Change one place of a JSON value: replace, remove, rename, nest or swap."""
    places = spots(value)
    container, key = rng.choice(places)
    action = rng.choice(("replace", "replace", "remove", "rename", "nest", "swap", "nudge"))
    if action == "remove":
        del container[key]
    elif action == "rename" and isinstance(container, dict):
        renamed = key[rng.randint(0, 1) :] + rng.choice(("", "x", "/", "0"))
        container[renamed] = container.pop(key)
    elif action == "nest":
        for _ in range(rng.choice((1, 5, 8, 40))):
            container[key] = [container[key]] if rng.random() < 0.5 else {"a": container[key]}
    elif action == "swap":
        other, other_key = rng.choice(places)
        container[key] = copy.deepcopy(other[other_key])
    elif action == "nudge" and isinstance(container[key], int):
        container[key] += rng.choice((-8, -4, -1, 1, 4, 8))
    else:
        container[key] = copy.deepcopy(rng.choice(HOSTILE))


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_bytes(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    start = rng.randrange(len(data))
    for index in range(start, min(len(data), start + rng.choice((1, 2, 4, 16)))):
        changed[index] = rng.choice((*b'\x00\x7f\x80\xff"\\[}', rng.randrange(256)))
    return bytes(changed)


def truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.choice((1, 2, 8, 100))) + data[at:]


def cut_out(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 2, 8, 100)) :]


def repeat_slice(rng: random.Random, data: bytes) -> bytes:
    low, high = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    return data[:high] + data[low:high] + data[high:]


def set_length(rng: random.Random, data: bytes) -> bytes:
    (length,) = struct.unpack("<Q", data[:8])
    choices = (0, 1, 7, length - 8, length + 8, length - 1, length + 1, len(data), 2**20, 2**20 + 1)
    wrong = rng.choice((*choices, 2**31, 2**32, 2**63, 2**64 - 1, rng.getrandbits(64)))
    return struct.pack("<Q", wrong % 2**64) + data[8:]


def edit_header_value(rng: random.Random, data: bytes) -> bytes:
    header, section = split(data)
    for _ in range(rng.choice((1, 1, 2))):
        mutate_json(rng, header)
    return join(header, section)


def edit_record_value(rng: random.Random, data: bytes) -> bytes:
    header, section = split(data)
    record = json.loads(header["__metadata__"]["model"])
    for _ in range(rng.choice((1, 1, 2))):
        mutate_json(rng, record)
    header["__metadata__"]["model"] = canonical(record)
    return join(header, section)


def edit_header_text(rng: random.Random, data: bytes) -> bytes:
    """Damage the JSON text: tokens, repeated members, deep nesting, endless numbers."""
    header, section = split(data)
    text = canonical(header)
    at = rng.randrange(len(text))
    token = rng.choice(TOKENS)
    return frame((text[:at] + token + text[at + rng.randint(0, 3) :]).encode(), section)


def edit_tensor_values(rng: random.Random, data: bytes) -> bytes:
    """Overwrite elements of one tensor with extremes."""
    header, section = split(data)
    entry = rng.choice([v for k, v in header.items() if k != "__metadata__"])
    size, low = ELEMENT_BYTES[entry["dtype"]], entry["data_offsets"][0]
    changed = bytearray(section)
    elements = (entry["data_offsets"][1] - low) // size
    for _ in range(rng.choice((1, 1, 4))):
        at = low + size * rng.randrange(elements)
        fill = rng.choice((b"\0", b"\x7f", b"\x80", b"\xff", b"\1", rng.randbytes(1)))
        changed[at : at + size] = fill * size if rng.random() < 0.5 else rng.randbytes(size)
    return join(header, bytes(changed))


MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    flip_bits, set_bytes, truncate, insert, cut_out, repeat_slice, set_length,
    edit_header_value, edit_record_value, edit_header_text, edit_tensor_values,
)  # fmt: skip
