"""Models as firmware on emulated cores: does it fit, how long does a step take, same values?

from edgernn_export.simulation import board_costs, simulate

report = simulate(model, "nucleo-f446", emulate=True)
costs = board_costs(model, ["nucleo-f446", "pico"])
"""

from edgernn_export.simulation.board_cost import BoardCost, board_costs
from edgernn_export.simulation.simulator import simulate, simulate_programs, simulate_targets

__all__ = ["BoardCost", "board_costs", "simulate", "simulate_programs", "simulate_targets"]
