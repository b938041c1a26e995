"""The pickle of a state dict, read as data: the names in it are never imported or called.

`pickletools` takes the bytes apart into operations. The few that a state dict needs build plain
containers and notes of tensors here; every other name in the pickle is noted, and refused.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from edgernn_export.keras_reader.stored.kind import refuse
from edgernn_export.weight_files.tensors.number_types import is_shape

#: Operations on a larger pickle take seconds; a tensor takes a hundred bytes of it.
MAX_PICKLE_BYTES: Final = 4 << 20
SAVE_WEIGHTS: Final = (
    "Load it where it was saved, and save the weights alone: "
    "torch.save(model.state_dict(), 'weights.pt')."
)
#: Classes of storages of torch -> the type of their numbers.
_STORAGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "torch HalfStorage": "float16",
        "torch BFloat16Storage": "bfloat16",
        "torch FloatStorage": "float32",
        "torch DoubleStorage": "float64",
        "torch CharStorage": "int8",
        "torch ShortStorage": "int16",
        "torch IntStorage": "int32",
        "torch LongStorage": "int64",
        "torch ByteStorage": "uint8",
        "torch BoolStorage": "bool",
    }
)
#: Names that say more than that they are not read: what they stand for, and what helps.
_KNOWN: Final = (
    ("_rebuild_sparse", "a sparse tensor", "Save tensor.to_dense() instead."),
    ("_rebuild_nested", "a nested tensor", "Save its parts as tensors."),
    ("_rebuild_qtensor", "a quantized tensor", "Save the weights of the float network."),
    ("_rebuild_meta_tensor", "a tensor without values", "Load the weights before saving."),
    ("_rebuild_tensor_v3", "numbers of a type that edgernn does not read",
     "Save tensor.float() instead."),
    ("_rebuild_wrapper_subclass", "a tensor of another class", "Save plain tensors."),
    ("Storage", "numbers of a type that edgernn does not read", "Save tensor.float() instead."),
)  # fmt: skip
_ORDERED: Final = "collections OrderedDict"


@dataclass(frozen=True, slots=True, eq=False)
class PickledStorage:
    """Numbers that lie outside the pickle.

    Attributes:
        key: name of the member that has them.
        kind: type of the numbers.
        count: how many they are.
    """

    key: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class PickledTensor:
    """A view of a storage.

    Attributes:
        storage: the numbers.
        offset: of the first one.
        shape: of the tensor.
        strides: from number to number along each axis.
    """

    storage: PickledStorage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Named:
    """Something that the pickle names: module and name."""

    name: str


class _Broken(Exception):
    """The pickle is none of a state dict."""


_MARK: Final = object()


def read_state_pickle(data: bytes, owner: str) -> Any:
    """The value of a pickle: containers, texts and numbers of Python, and `PickledTensor`.

    Args:
        data: the pickle.
        owner: how reasons name the file.

    Raises:
        UnsupportedModelError: it is damaged, or names something that a state dict does not need;
            the error lists all such names.
    """
    if len(data) > MAX_PICKLE_BYTES:
        refuse(owner, f"a pickle of at most {MAX_PICKLE_BYTES} bytes", f"{len(data)}", SAVE_WEIGHTS)
    machine = _Machine()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python will not read one day
            for operation, argument, _ in pickletools.genops(data):
                machine.run(operation.name, argument)
        (value,) = machine.stack
    except (_Broken, LookupError, ValueError, TypeError, OverflowError, AttributeError) as error:
        _refuse_strangers(machine, owner)
        got = f"another ({error})" if isinstance(error, _Broken) else "a damaged one"
        refuse(owner, "the pickle of a state dict", got, SAVE_WEIGHTS)
    _refuse_strangers(machine, owner)
    return value


def _refuse_strangers(machine: _Machine, owner: str) -> None:
    """Refuse all names other than those of tensors and dictionaries."""
    names = list(machine.strangers)
    if not names:
        return
    for part, what, cure in _KNOWN:
        found = next((name for name in names if part in name), None)
        if found is not None:
            refuse(owner, "plain tensors of torch", f"{what} ({_dotted(found)})", cure)
    shown = ", ".join(map(_dotted, names[:5]))
    more = f" and {len(names) - 5} more" * (len(names) > 5)
    whole = any(name.startswith(("torch.nn", "__main__")) for name in names)
    got = f"{'a whole module' if whole else 'other objects'}: {shown}{more}"
    refuse(owner, "tensors and dictionaries alone, no code", got, SAVE_WEIGHTS)


def _dotted(name: str) -> str:
    return name.replace(" ", ".", 1)[:80]


class _Machine:
    """The stack machine of pickles, for the operations of state dicts.

    Attributes:
        stack: values so far.
        strangers: names that were met and are not read, in order.
    """

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.strangers: dict[str, None] = {}
        self._memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> None:
        """Apply one operation."""
        if name in _PUSHED:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in _OPERATIONS:
            _OPERATIONS[name](self, argument)
        elif name not in _IGNORED:
            raise _Broken(f"it has the operation {name}")

    def since_mark(self) -> list[Any]:
        """Take off the values behind the last mark, and the mark."""
        found: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            found.append(value)
        return found[::-1]

    def some(self, count: int) -> list[Any]:
        """Take off some values, none of them a mark."""
        found = [self.stack.pop() for _ in range(count)][::-1]
        if any(value is _MARK for value in found):
            raise _Broken("a mark stands where a value should")
        return found

    def put(self, argument: Any) -> None:
        """Remember the last value; without a number, under the next one."""
        number = len(self._memo) if argument is None else int(argument)
        self._memo[number] = self.stack[-1]

    def get(self, argument: Any) -> None:
        """Push a value that is remembered."""
        self.stack.append(self._memo[int(argument)])

    def name(self, argument: Any) -> None:
        """Note a name, and import nothing."""
        if argument is None:
            parts = self.some(2)
            if not all(isinstance(part, str) for part in parts):
                raise _Broken("a name is no text")
            argument = " ".join(parts)
        if argument not in _STORAGES and argument not in _BUILDERS:
            self.strangers[argument] = None
        self.stack.append(_Named(argument))

    def build(self, _: Any) -> None:
        """Call a name with its arguments."""
        named, arguments = self.some(2)
        if not isinstance(named, _Named):
            raise _Broken("a value is called")
        builder = _BUILDERS.get(named.name)
        if builder is None:  # a stranger, noted already, or a storage
            self.stack.append(named)
            return
        if not isinstance(arguments, tuple):
            raise _Broken("arguments are no tuple")
        self.stack.append(builder(*arguments))

    def items(self, values: list[Any]) -> None:
        """Add keys and values to the dictionary below them."""
        target = self.stack[-1]
        if isinstance(target, _Named):
            return
        if type(target) is not dict or len(values) % 2:
            raise _Broken("items without a dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if type(key) not in (str, int):
                raise _Broken("a key is no text or number")
            target[key] = value

    def extend(self, values: list[Any]) -> None:
        """Add values to the list below them."""
        target = self.stack[-1]
        if isinstance(target, _Named):
            return
        if type(target) is not list:
            raise _Broken("elements without a list")
        target += values

    def state(self, _: Any) -> None:
        """Take off the attributes of a value; those of a dictionary are notes of versions."""
        self.some(1)
        if not isinstance(self.stack[-1], (dict, _Named)):
            raise _Broken("attributes of something that has none")

    def storage(self, _: Any) -> None:
        """Take note of numbers outside the pickle."""
        (told,) = self.some(1)
        if type(told) is not tuple or len(told) != 5 or told[0] != "storage":
            raise _Broken("a reference to no storage")
        _, cls, key, _, count = told
        if not isinstance(cls, _Named) or type(key) is not str or type(count) is not int:
            raise _Broken("a storage without type, name or size")
        if cls.name not in _STORAGES:
            self.strangers.setdefault(cls.name)
            self.stack.append(cls)
            return
        self.stack.append(PickledStorage(key, _STORAGES[cls.name], count))


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *_: Any
) -> PickledTensor | PickledStorage | _Named:
    if isinstance(storage, _Named):
        return storage
    good = isinstance(storage, PickledStorage) and type(offset) is int and is_shape(shape)
    good = good and is_shape(strides) and len(shape) == len(strides)
    if not good:
        raise _Broken("a tensor without storage, shape or strides")
    end = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    empty = 0 in shape
    if offset < 0 or (not empty and end >= storage.count):
        raise _Broken("a tensor reaches beyond its storage")
    return PickledTensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(value: Any, *_: Any) -> Any:
    return value


def _dictionary(*given: Any) -> dict[Any, Any]:
    if given:
        raise _Broken("a dictionary with arguments")
    return {}


#: What may be called.
_BUILDERS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        _ORDERED: _dictionary,
        "torch._utils _rebuild_tensor_v2": _tensor,
        "torch._utils _rebuild_parameter": _parameter,
        "torch Size": _parameter,
    }
)
_PUSHED: Final = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
     "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
)  # fmt: skip
_CONSTANTS: Final[Mapping[str, Callable[[], Any]]] = MappingProxyType(
    {
        "NONE": lambda: None,
        "NEWTRUE": lambda: True,
        "NEWFALSE": lambda: False,
        "EMPTY_DICT": dict,
        "EMPTY_LIST": list,
        "EMPTY_TUPLE": tuple,
        "MARK": lambda: _MARK,
    }
)
_OPERATIONS: Final[Mapping[str, Callable[[_Machine, Any], None]]] = MappingProxyType(
    {
        "APPEND": lambda m, _: m.extend(m.some(1)),
        "APPENDS": lambda m, _: m.extend(m.since_mark()),
        "BINGET": _Machine.get,
        "BINPERSID": _Machine.storage,
        "BINPUT": _Machine.put,
        "BUILD": _Machine.state,
        "GLOBAL": _Machine.name,
        "LONG_BINGET": _Machine.get,
        "LONG_BINPUT": _Machine.put,
        "MEMOIZE": lambda m, _: m.put(None),
        "NEWOBJ": _Machine.build,
        "REDUCE": _Machine.build,
        "SETITEM": lambda m, _: m.items(m.some(2)),
        "SETITEMS": lambda m, _: m.items(m.since_mark()),
        "STACK_GLOBAL": _Machine.name,
        "TUPLE": lambda m, _: m.stack.append(tuple(m.since_mark())),
        "TUPLE1": lambda m, _: m.stack.append(tuple(m.some(1))),
        "TUPLE2": lambda m, _: m.stack.append(tuple(m.some(2))),
        "TUPLE3": lambda m, _: m.stack.append(tuple(m.some(3))),
    }
)
_IGNORED: Final = frozenset({"PROTO", "FRAME", "STOP"})
