"""From a file or a model in memory to rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgernn.backends import BackendName, open_backend, open_model
from edgernn.backends.base import Backend
from edgernn.backends.rows import BatchStepBackend, RowsBackend, StreamRows
from edgernn.container.defects import FormatDefect
from edgernn.errors import EdgeRnnError, FormatError
from edgernn.model.integer_model import IntegerModel
from edgernn.pool.batched_rows import BatchedRows
from edgernn.pool.session_rows import SessionRows
from edgernn.session.checks import WarmUp, is_padded
from edgernn.session.policies import OnBadReading, Policies, check_policy
from edgernn.session.session import Session


def open_rows(
    source: str | Path | IntegerModel,
    backend: BackendName,
    on_bad_reading: OnBadReading,
    warm_up: WarmUp,
    options: dict[str, Any],
) -> tuple[Backend, StreamRows]:
    """Open a model for many streams; the arguments are those of `edgernn.load`.

    Returns:
        What executes the model, and rows over it, none yet.

    Raises:
        EdgeRnnError, FormatError, BackendUnavailable, BackendMismatch: as `edgernn.load`; programs
            that share states.
    """
    check_policy(on_bad_reading)
    opened = _opened(source, backend, options)
    try:
        policies = Policies(on_bad_reading, opened.interface)
        padded = is_padded(warm_up, opened.interface)
        own = opened.rows(policies, padded) if isinstance(opened, RowsBackend) else None
        if own is not None:
            return opened, own
        interface = opened.interface
        each = interface.carried == interface.states and interface.input.mask is None
        if each and isinstance(opened, BatchStepBackend):
            return opened, BatchedRows(opened, policies)
        return opened, SessionRows(Session(opened, on_bad_reading, warm_up))
    except BaseException:
        opened.close()
        raise


def _opened(
    source: str | Path | IntegerModel, backend: BackendName, options: dict[str, Any]
) -> Backend:
    """The backend of a model that is no set of programs."""
    if isinstance(source, IntegerModel):
        return open_model(source, backend, **options)
    if not isinstance(source, (str, os.PathLike)):
        raise EdgeRnnError(
            f"pool: expected a path or an IntegerModel, got {type(source).__name__}."
        )
    try:
        return open_backend(Path(source), backend, **options)
    except FormatError as error:
        if error.defect != FormatDefect.WRONG_KIND:
            raise
        raise EdgeRnnError(
            f"pool: expected one model over a stream, got a set of programs ('{source}'). Open "
            "programs that share states with edgernn.load_programs, one session per key, and a "
            "network that answers whole chunks with edgernn.load_chunks."
        ) from error
