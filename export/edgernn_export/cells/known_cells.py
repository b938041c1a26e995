"""How the Keras cells of this package are read, in Keras and from files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from edgernn.model.formats import FloatArray
from edgernn_export.cells.cell_readers import CellReader
from edgernn_export.float_model.own_cells import FloatCell

#: lecun_tanh, the default of ncps: 1.7159*tanh(2/3 x), as (factor of the argument, of the result).
BACKBONES: Final = {"tanh": (1.0, 1.0), "lecun_tanh": (0.666, 1.7159)}
#: No rate of a CfC is larger in integers: the time is larger instead.
_LARGEST_RATE: Final = 8.0


def _array(values: Any) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _share(number: Any, units: int) -> FloatArray:
    """The sigmoid of a trained number, for every unit."""
    return np.full(units, 1.0 / (1.0 + np.exp(-_array(number).reshape(()))))


def _fast_rnn_variables(_: Mapping[str, Any]) -> Sequence[str]:
    return ("kernel", "recurrent_kernel", "bias", "alpha", "beta")


def _read_fast_rnn(name: str, cell: Any) -> FloatCell:
    weights = {
        "gates.x": _array(cell.kernel).T,
        "gates.h": _array(cell.recurrent_kernel).T,
        "gates.bias": _array(cell.bias),
        "alpha": _share(cell.alpha, cell.units),
        "beta": _share(cell.beta, cell.units),
    }
    return FloatCell.of("fast_rnn", name, {}, weights)


def _fast_grnn_variables(config: Mapping[str, Any]) -> Sequence[str]:
    low = config["rank"] is not None
    recurrent = ("reducing_kernel", "expanding_kernel") if low else ("recurrent_kernel",)
    return ("kernel", *recurrent, "gate_bias", "candidate_bias", "zeta", "nu")


def _read_fast_grnn(name: str, cell: Any) -> FloatCell:
    units, rank, gate = cell.units, cell.rank, _array(cell.gate_bias)
    zeta, nu = _share(cell.zeta, units), _share(cell.nu, units)
    weights = {
        "gates.x": _array(cell.kernel).T,
        "gates.bias": gate,
        "candidate": np.ones(units),
        "candidate.offset": _array(cell.candidate_bias) - gate,
        "mix": -zeta,
        "mix.offset": zeta + nu,
    }
    options = {"gate_activation": cell.gate_activation}
    if rank is None:
        weights["gates.h"] = _array(cell.recurrent_kernel).T
        return FloatCell.of("fast_grnn", name, options, weights)
    weights |= {
        "reduced.h": _array(cell.reducing_kernel).T,
        "reduced.bias": np.zeros(rank),
        "gates.rh": _array(cell.expanding_kernel).T,
    }
    return FloatCell.of("low_rank_fast_grnn", name, options | {"rank": rank}, weights)


def _cfc_variables(_: Mapping[str, Any]) -> Sequence[str]:
    return ("backbone_kernel", "backbone_bias", "head_kernel", "head_bias")


def _read_cfc(name: str, cell: Any) -> FloatCell:
    units, kernel = cell.units, _array(cell.backbone_kernel).T
    inner, outer = BACKBONES[cell.backbone_activation]
    heads, bias = _array(cell.head_kernel).T * outer, _array(cell.head_bias)
    rows = slice(2 * units, 3 * units)
    largest = float(np.max(np.abs(heads[rows]).sum(axis=1) + np.abs(bias[rows])))
    # a*t = (a/u)*(u*t): units of time in which no rate leaves its format, whatever users count in.
    unit = 2.0 ** math.ceil(math.log2(largest / _LARGEST_RATE)) if largest else 1.0
    heads[rows], bias[rows] = heads[rows] / unit, bias[rows] / unit
    seen = kernel.shape[1] - units
    elapsed = np.zeros((units, seen + 1))
    elapsed[:, -1] = unit
    weights = {
        "backbone.x": inner * np.hstack([kernel[:, :seen], np.zeros((len(kernel), 1))]),
        "backbone.h": inner * kernel[:, seen:],
        "backbone.bias": inner * _array(cell.backbone_bias),
        "heads.rh": heads,
        "heads.bias": bias,
        "elapsed.x": elapsed,
        "elapsed.bias": np.zeros(units),
    }
    return FloatCell.of("cfc", name, {"backbone_units": len(kernel)}, weights)


def _variables(config: Mapping[str, Any]) -> Sequence[str]:
    """Those of a cell of Keras."""
    return ("kernel", "recurrent_kernel", *(("bias",) if config["use_bias"] else ()))


def _gate(cell: Any) -> str:
    """The function of the gates, of a live cell or of a stored one."""
    given = cell.recurrent_activation
    return given if isinstance(given, str) else str(given.__name__)


def _shares(units: int, **kept: float) -> dict[str, FloatArray]:
    """The constants of states that keep these shares of themselves."""
    made = {}
    for name, share in kept.items():
        made[f"keep_{name}"] = np.full(units, float(share))
        made[f"take_{name}"] = np.full(units, 1.0 - share)
    return made


def _read_zoneout_lstm(name: str, cell: Any) -> FloatCell:
    weights = {
        "gates.x": _array(cell.kernel).T,
        "gates.h": _array(cell.recurrent_kernel).T,
        "gates.bias": _array(cell.bias) if cell.use_bias else np.zeros(4 * cell.units),
        **_shares(cell.units, c=cell.zoneout_c, h=cell.zoneout_h),
    }
    return FloatCell.of("zoneout_lstm", name, {"gate_activation": _gate(cell)}, weights)


def _read_zoneout_gru(name: str, cell: Any) -> FloatCell:
    units, kernel = cell.units, _array(cell.kernel).T
    recurrent = _array(cell.recurrent_kernel).T
    bias = _array(cell.bias) if cell.use_bias else np.zeros((2, 3 * units))
    gates, candidate = slice(0, 2 * units), slice(2 * units, None)
    weights = {
        "zr.x": kernel[gates],
        "zr.h": recurrent[gates],
        "zr.bias": bias[0, gates] + bias[1, gates],
        "n_x.x": kernel[candidate],
        "n_x.bias": bias[0, candidate],
        "n_h.h": recurrent[candidate],
        "n_h.bias": bias[1, candidate],
        **_shares(units, h=cell.zoneout_h),
    }
    return FloatCell.of("zoneout_gru", name, {"gate_activation": _gate(cell)}, weights)


#: Registered name of a class -> how it is read.
KNOWN: Final = {
    "edgernn>FastRNNCell": CellReader(variables=_fast_rnn_variables, read=_read_fast_rnn),
    "edgernn>FastGRNNCell": CellReader(variables=_fast_grnn_variables, read=_read_fast_grnn),
    "edgernn>CfCCell": CellReader(variables=_cfc_variables, read=_read_cfc),
    "edgernn>ZoneoutLSTMCell": CellReader(variables=_variables, read=_read_zoneout_lstm),
    "edgernn>ZoneoutGRUCell": CellReader(variables=_variables, read=_read_zoneout_gru),
}
