"""A simulation in the columns of the Fraud Detection Handbook, for `flagpost handbook`."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flagpost.training.simulator.log_writer import whole_or_nothing
from flagpost.training.simulator.simulation import Simulation


def write_handbook(simulation: Simulation, path: Path) -> int:
    """Write the transactions as Parquet and return the file's size in bytes.

    The clock starts at the first day of the simulation; the file does not say which that was.

    Raises:
        BadConfiguration: the file cannot be written.
    """
    payments = simulation.payments
    columns = {  # these need 32 bits, the scenario 8
        "TRANSACTION_ID": np.arange(simulation.transactions),
        "TX_TIME_SECONDS": payments.second,
        "CUSTOMER_ID": payments.customer,
        "TERMINAL_ID": payments.terminal,
        "TX_AMOUNT_CENTS": payments.amount_cents,
    }
    arrays = {name: pa.array(column.astype(np.int32)) for name, column in columns.items()}
    table = pa.table({**arrays, "TX_FRAUD_SCENARIO": pa.array(simulation.scenario)})
    with whole_or_nothing(path) as file:
        pq.write_table(table, file)
    return path.stat().st_size
