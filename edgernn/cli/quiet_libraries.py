"""Libraries that print notes on stderr when they are loaded: TensorFlow, Keras, matplotlib.

Their notes (no GPU found, oneDNN is on, a font cache is built) look like failures and say nothing
about the result. If the environment sets TF_CPP_MIN_LOG_LEVEL below 3, everything is printed.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, Final

_LEVEL: Final = "TF_CPP_MIN_LOG_LEVEL"
_SILENT: Final = "3"
_LOGGERS: Final = ("absl", "matplotlib.font_manager", "tensorflow")


def silence_libraries() -> None:
    """Keep libraries quiet that this process, or one it starts, imports later.

    Setting the variable is not enough: TensorFlow's C++ code prints some notes before it reads it.
    So standard error goes to a file while TensorFlow is imported, and the text is printed if the
    import fails.
    """
    if os.environ.setdefault(_LEVEL, _SILENT) < _SILENT:
        return
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    hooked = any(isinstance(finder, _TensorFlowFinder) for finder in sys.meta_path)
    if "tensorflow" not in sys.modules and not hooked:
        sys.meta_path.insert(0, _TensorFlowFinder())


class _TensorFlowFinder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as usual, and has it loaded without its notes."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of TensorFlow with a quiet loader; None for all other modules."""
        if name != "tensorflow":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _QuietLoader(spec.loader)
        return spec


class _QuietLoader(importlib.abc.Loader):
    """Loads a module while standard error goes to a file."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """The module, as the loader behind this one makes it."""
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, and look for devices, which prints more notes."""
        with _stderr_kept():
            self._loader.exec_module(module)
            module.config.list_physical_devices()
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader


@contextlib.contextmanager
def _stderr_kept() -> Iterator[None]:
    """Keep the text that code writes to descriptor 2; print it if the block raises."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(saved, kept.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
