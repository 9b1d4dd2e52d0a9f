"""Members of a run: one that is asked to end, and one that ends by itself."""

from pathlib import Path

from flagpost.torture.crew import Crew
from flagpost.torture.dying_member import Step
from flagpost.torture.member import obey

LISTENS_LATE = """
import pathlib, signal, sys, time
time.sleep(0.5)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
pathlib.Path(sys.argv[1], "attempts").touch()
time.sleep(60)
"""


def test_a_member_that_still_starts_is_asked_to_end_when_it_can_end_well(tmp_path: Path) -> None:
    crew = Crew(tmp_path, ("-c", LISTENS_LATE), {})
    member = crew.start()

    member.stop()

    assert member.process.returncode == 0
    assert crew.failed() == []


OBEYS = """
import pathlib, sys
from flagpost.torture.dying_member import Step
from flagpost.torture.member import obey
while True:
    obey(pathlib.Path(sys.argv[1], "order"), Step.BEFORE_KAFKA_COMMIT)
"""


def test_an_order_for_another_step_is_left_alone(tmp_path: Path) -> None:
    order = tmp_path / "order"
    order.write_text(f"SIGKILL {Step.AFTER_SCORING}")

    obey(order, Step.BEFORE_KAFKA_COMMIT)

    assert order.exists()


def test_a_member_that_looks_all_the_time_reads_whole_orders_alone(tmp_path: Path) -> None:
    crew = Crew(tmp_path, ("-c", OBEYS), {})
    member = crew.start()

    for _ in range(500):
        member.order("SIGKILL", Step.AFTER_SCORING)
    member.order("SIGKILL", Step.BEFORE_KAFKA_COMMIT)

    assert crew.await_death(member, 60)
    assert crew.failed() == []
