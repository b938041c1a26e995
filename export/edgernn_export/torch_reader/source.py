"""What a user passes for a network of PyTorch: modules, wrapped ones, and files of torch.export."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any, Final

from edgernn.errors import BackendUnavailable, UnsupportedModelError
from edgernn.install import hint
from edgernn_export.file_contents.contents import Contents, contents_of
from edgernn_export.keras_reader.findings import Findings
from edgernn_export.torch_reader.wording import TORCH

#: Classes that hold a module, and the attribute in which they do.
_WRAPPERS: Final = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "FullyShardedDataParallel": "module",
    "OptimizedModule": "_orig_mod",
}
_FLOATS: Final = ("float32", "float64")
#: Packages whose modules compute in integers.
_QUANTIZED: Final = (".quantized", ".quantizable", "torchao.")


def holds_program(contents: Contents) -> bool:
    """Whether a path holds a program of torch.export.save."""
    return contents.member("archive_format", "serialized_exported_program.json")


def open_torch(source: Any) -> tuple[Any, str]:
    """A module, or a program of torch.export, and the name of the network.

    Args:
        source: a torch.nn.Module, a torch.export.ExportedProgram, or the path of a .pt2 file.

    Raises:
        BackendUnavailable: torch is not installed.
        FileNotFoundError: there is nothing at the path.
        UnsupportedModelError: it is none of these, or a module that cannot be read; the error has
            all reasons.
    """
    torch = _torch()
    if isinstance(source, (str, PathLike)):
        path = Path(source)
        return _loaded(path), path.stem
    if _is_program(source):
        return source, "program"
    if not isinstance(source, torch.nn.Module):
        kind = f"{type(source).__module__}.{type(source).__qualname__}"
        raise UnsupportedModelError(
            [
                f"source: expected a torch.nn.Module or a file of torch.export.save, got {kind}. "
                "Pass the module itself."
            ]
        )
    module = source
    while type(module).__name__ in _WRAPPERS:
        module = getattr(module, _WRAPPERS[type(module).__name__])
    _check(module)
    return module, type(module).__name__


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise BackendUnavailable(
            f"torch: expected an installed package, got none. Run: {hint('torch')}"
        ) from error
    return torch


def _is_program(source: Any) -> bool:
    return type(source).__name__ == "ExportedProgram" and type(source).__module__.startswith(
        "torch.export"
    )


def _loaded(path: Path) -> Any:
    """The program of a .pt2 file."""
    import torch

    if not holds_program(contents_of(path, "a program of torch.export")):
        raise UnsupportedModelError(
            [
                f"{path.name}: expected a file of torch.export.save (.pt2), got another file. Save "
                "it with torch.export.save(torch.export.export(module, (readings,)), path), or "
                "pass the module itself."
            ]
        )
    try:
        return torch.export.load(path)
    except Exception as error:
        raise UnsupportedModelError(
            [
                f"{path.name}: expected a program that torch.export.load reads, got "
                f"{_first_line(error)}. Export it again with this version of torch, "
                f"{torch.__version__}."
            ]
        ) from error


def _first_line(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {text:.160}".rstrip(".")


def _check(module: Any) -> None:
    """Refuse modules that cannot be exported, or compute in another precision."""
    import torch

    findings = Findings(wording=TORCH)
    quantized: list[str] = []
    for path, one in module.named_modules():
        kind = type(one)
        owner = f"'{path or kind.__name__}' ({kind.__name__})"
        if isinstance(one, torch.jit.ScriptModule):
            findings.add(
                owner, "a torch.nn.Module", "a module of torch.jit",
                "Pass the module from before it was scripted or traced.",
            )  # fmt: skip
            break
        if any(f"{path}.".startswith(f"{other}.") for other in quantized):
            continue
        if any(part in f"{kind.__module__}." for part in _QUANTIZED):
            quantized.append(path)
            findings.add(
                owner, "modules that compute in floats", f"a quantized {kind.__name__}",
                "Pass the float module from before; edgernn does the quantization.",
            )  # fmt: skip
            continue
        _check_tensors(owner, one, findings)
    findings.refuse()


def _check_tensors(owner: str, module: Any, findings: Findings) -> None:
    """Note what is wrong with a module's own weights, each kind of reason once."""
    import torch

    own = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
    lazy = (torch.nn.UninitializedParameter, torch.nn.UninitializedBuffer)
    if any(isinstance(value, lazy) for value in own.values()):
        findings.add(
            owner, "weights with a shape", "a lazy module that was not called yet",
            "Call the module once on readings.",
        )  # fmt: skip
        return
    if any(value.device.type == "meta" for value in own.values()):
        got = "tensors on the device meta"
        findings.add(owner, "weights with values", got, "Load the weights first.")
    kinds = {str(value.dtype).removeprefix("torch.") for value in own.values() if _is_real(value)}
    others = sorted(kinds - set(_FLOATS))
    if others:
        findings.add(
            owner, "weights in float32 or float64", ", ".join(others),
            "Call module.float() before; edgernn does the quantization.",
        )  # fmt: skip


def _is_real(value: Any) -> bool:
    return bool(value.is_floating_point() or value.is_complex())
