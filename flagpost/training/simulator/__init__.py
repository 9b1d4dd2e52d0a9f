"""A stream of card payments with three kinds of fraud in it, drawn from a seed.

The population and the frauds are those of Le Borgne, Siblini, Lebichot and Bontempi,
*Reproducible Machine Learning for Credit Card Fraud Detection - Practical Handbook* (2022).
"""

from flagpost.training.simulator.fraud import Scenario
from flagpost.training.simulator.handbook_writer import write_handbook
from flagpost.training.simulator.log_writer import write_log
from flagpost.training.simulator.simulation import Simulation, simulate

__all__ = ["Scenario", "Simulation", "simulate", "write_handbook", "write_log"]
