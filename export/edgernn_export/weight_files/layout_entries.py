"""What a description says of one layer, and what each framework lets it say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from edgernn_export.weight_files.layer_row import LayerRow
    from edgernn_export.weight_files.tensor_shelf import TensorShelf

#: What an option may be.
OptionValue: TypeAlias = bool | int | float | str
#: How reasons call the types of options.
TYPE_NAMES: Final[Mapping[type, str]] = MappingProxyType(
    {bool: "true or false", int: "an integer", float: "a number", str: "a text"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutEntry:
    """One layer of a network.

    Attributes:
        kind: its class, as the framework calls it.
        module: where its class is, such as "nn."; "" for layers without tensors.
        path: what the names of its tensors begin with; "" where it has none, or all do.
        options: what its tensors do not show, by name.
    """

    kind: str
    module: str = ""
    path: str = ""
    options: tuple[tuple[str, OptionValue], ...] = ()

    @property
    def name(self) -> str:
        """What the layer is called: its path, or its kind in lower case."""
        return self.path or self.kind.lower()

    def origin(self, part: str = "") -> str:
        """How reasons name the layer, or a part of it."""
        return f"{self.name!r} ({self.module}{self.kind}{f', {part}' if part else ''})"

    def option(self, name: str, default: Any = None) -> Any:
        """An option, or what it is where it is not given."""
        return dict(self.options).get(name, default)

    def __str__(self) -> str:
        """As a layout file has it."""
        if not self.path and not self.options:
            return f'"{self.kind}"'
        told = {self.kind: self.path, **dict(self.options)}
        return f"{{{', '.join(f'{key} = {_toml(value)}' for key, value in told.items())}}}"


def _toml(value: OptionValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerKind:
    """One kind of layer of a framework.

    Attributes:
        read: takes the tensors of an entry off the shelf and adds layers to the row.
        options: name -> type of what an entry may say.
        has_tensors: it has a path.
    """

    read: Callable[[LayoutEntry, TensorShelf, LayerRow], None]
    options: Mapping[str, type] = field(default_factory=dict)
    has_tensors: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTable:
    """The layers of a framework.

    Attributes:
        module: where its classes are, such as "nn.".
        kinds: by name.
        cures: what helps against kinds that are not read, by name.
    """

    module: str
    kinds: Mapping[str, LayerKind]
    cures: Mapping[str, str]
