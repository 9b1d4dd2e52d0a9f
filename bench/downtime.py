"""How long nothing happens after a kill: the benchmark's short form of `bench.recovery`."""

from bench.messages import find_log
from bench.parts import Bench, OnProgress, in_turns
from bench.recovery import CASES, EVENTS, measure_once
from bench.results import Section, Table, row
from flagpost.settings import KafkaClient
from flagpost.torture.feed import parts_of
from flagpost.torture.site import SESSION_SECONDS

HOW = (
    "The only member is killed (kill -9) while transactions come; from that moment to the first "
    "new effect of the next, whose process is started at once. Without a member id the broker "
    f"first misses the dead one for its session timeout, {SESSION_SECONDS} s here. "
    "`python -m bench.recovery` measures orderly ends, too."
)


def measure_downtime(bench: Bench, on_progress: OnProgress) -> Section:
    """Kill the only member some times, with and without a member id."""
    [part] = parts_of(find_log(EVENTS), 1)
    kills = [case for case in CASES if case.startswith("kill")]
    plan = [(case, client) for case in kills for client in bench.clients]
    found: dict[tuple[str, KafkaClient], list[float]] = {}
    for case, client in in_turns(bench.repeats, plan, on_progress):
        seconds = measure_once(bench.stack, part, *CASES[case], client)
        found.setdefault((case, client), []).append(seconds)
    rows = [row(case, [found[case, client] for client in bench.clients], 1) for case in kills]
    table = Table("Seconds to the first new effect", list(bench.clients), rows)
    return Section("recovery", "Kill to first new effect", HOW, [table])
