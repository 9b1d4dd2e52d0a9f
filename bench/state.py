"""How large the state of a worker is, and how long it takes to load it from the journal."""

import msgspec

from bench.parts import Bench, OnProgress, in_turns
from bench.results import Figure, Goal, Row, Section, Table
from bench.segments import A_CUSTOMERS_EVENTS, DAYS
from bench.servers import empty_tables, run_script

TIMES = 10
OF_A_CUSTOMER, OF_A_TERMINAL = "of a customer", "of a terminal"
LOADED = "{:,} transactions"
LOAD_GOAL_SECONDS = 1

HOW = (
    f"Made-up transactions of {DAYS} days in segments of full polls, {A_CUSTOMERS_EVENTS} of each "
    "customer, twice as many terminals as customers. Loading reads the journal from PostgreSQL "
    "and folds it, which is what a worker does between a rebalance and its first message; its "
    "process is started and its kernels are loaded before."
)


class Loaded(msgspec.Struct, frozen=True):
    """What one load took, and what it left in memory."""

    seconds: float
    state_bytes: int


class Weight(msgspec.Struct, frozen=True):
    """The bytes of a state: without anything, with customers alone, with terminals too."""

    events: int
    customers: int
    terminals: int
    empty_bytes: int
    customers_bytes: int
    all_bytes: int

    @property
    def of_a_customer(self) -> float:
        """Bytes for each customer."""
        return (self.customers_bytes - self.empty_bytes) / self.customers

    @property
    def of_a_terminal(self) -> float:
        """Bytes for each terminal."""
        return (self.all_bytes - self.customers_bytes) / self.terminals


def measure_state(bench: Bench, on_progress: OnProgress) -> Section:
    """Load a journal, and one ten times as long, some times each."""
    weighed = run_script(bench.stack, "-m", "bench.programs.weigh", bench.events)
    weight = msgspec.json.decode(weighed.stdout, type=Weight)
    loads: dict[int, list[Loaded]] = {}
    peaks_mb: dict[int, list[float]] = {}
    sizes = [bench.events, TIMES * bench.events]
    empty_tables(bench.stack)
    for events in sizes:
        run_script(bench.stack, "-m", "bench.programs.write_journal", events)
    for events in in_turns(bench.repeats, sizes, on_progress):
        usage = run_script(bench.stack, "-m", "bench.programs.fold", events)
        loads.setdefault(events, []).append(msgspec.json.decode(usage.stdout, type=Loaded))
        peaks_mb.setdefault(events, []).append(usage.peak_memory_bytes / 1e6)
    empty_tables(bench.stack)
    return section_of(weight, loads, {n: Figure.of(peaks) for n, peaks in peaks_mb.items()})


def section_of(
    weight: Weight, loads: dict[int, list[Loaded]], peaks_mb: dict[int, Figure]
) -> Section:
    """Arrange what was found; the goal is that of the first load."""
    seconds = {
        events: Figure.of([load.seconds for load in of_it]) for events, of_it in loads.items()
    }
    loading = Table(
        "Loading",
        ["s", "us per transaction", "state, MB", "peak memory of the process, MB"],
        [
            Row(
                LOADED.format(events),
                [
                    seconds[events],
                    1e6 * seconds[events].median / events,
                    loads[events][0].state_bytes / 1e6,
                    peaks_mb[events],
                ],
                digits=2,
            )
            for events in loads
        ],
    )
    sizes = Table(
        "Bytes of state",
        ["bytes", "bytes per transaction"],
        [
            Row(
                OF_A_CUSTOMER,
                [weight.of_a_customer, weight.of_a_customer * weight.customers / weight.events],
            ),
            Row(
                OF_A_TERMINAL,
                [weight.of_a_terminal, weight.of_a_terminal * weight.terminals / weight.events],
            ),
        ],
    )
    shortest = next(iter(seconds.items()))
    goal = Goal(
        f"state of {shortest[0]:,} transactions loaded, s",
        shortest[1].median,
        most=LOAD_GOAL_SECONDS,
        digits=2,
    )
    return Section("state", "State", HOW, [loading, sizes], [goal])
