"""edgernn: recurrent networks on small devices, one integer model, one answer."""

from __future__ import annotations

__version__ = "0.1.0"
