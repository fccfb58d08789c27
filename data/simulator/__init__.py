"""A simulated A-share market with a known answer: every table of the lake, and the expected returns that were planted."""

from data.simulator.settings import KINDS, SimulationSettings
from data.simulator.simulation import Simulation, simulate

__all__ = ["KINDS", "Simulation", "SimulationSettings", "simulate"]
