"""Read PyTorch modules and programs that torch.export saved: torch is imported when one is read.

The graph comes from torch.export, in which recurrent operators stay whole and the number of steps
stays open; `edgernn_export.operator_reader` makes layers of its operators.
"""

from __future__ import annotations

from edgernn_export.torch_reader.reader import read_torch, torch_network

__all__ = ["read_torch", "torch_network"]
