"""Faults on purpose: what breaks servers, connections and members, to see that no effect is lost.

Nothing outside of this package imports it, so a worker pays nothing for it.
"""
