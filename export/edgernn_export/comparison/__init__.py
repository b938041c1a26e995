"""Models side by side: layers, size, accuracy, time per step and boards.

from edgernn_export.comparison import compare

print(compare(["small.edgernn", "large.edgernn"], boards=["nucleo-f446"]).table())
"""

from edgernn_export.comparison.compared_model import ComparedModel
from edgernn_export.comparison.comparer import compare
from edgernn_export.comparison.result import Comparison

__all__ = ["ComparedModel", "Comparison", "compare"]
