from collections import Counter

from flagpost.torture.plan import MOST_MEMBERS, PRODUCER_PATIENCE_SECONDS, Kind, make_plan


def test_the_same_seed_gives_the_same_plan() -> None:
    assert make_plan(7, 40, 10.0) == make_plan(7, 40, 10.0)
    assert make_plan(7, 40, 10.0) != make_plan(8, 40, 10.0)


def test_every_kind_comes_before_any_comes_again() -> None:
    counts = Counter(fault.kind for fault in make_plan(1, 2 * len(Kind) + 1, 10.0).faults)

    assert counts.keys() == set(Kind)
    assert min(counts.values()) == 2


def test_a_plan_keeps_to_its_bounds() -> None:
    for seed in range(20):
        plan = make_plan(seed, 10, 5.0)

        assert 1 <= plan.n_members <= MOST_MEMBERS
        assert all(1 <= fault.seconds <= 5 for fault in plan.faults)
        assert all(0 < fault.moment < 1 and 0 <= fault.victim < 1 for fault in plan.faults)


def test_no_outage_of_the_broker_is_longer_than_a_producer_waits() -> None:
    faults = make_plan(3, 20 * len(Kind), 60.0).faults
    longest = {kind: max(each.seconds for each in faults if each.kind is kind) for kind in Kind}

    for kind in (Kind.BROKER_KILLED, Kind.BROKER_PAUSED):
        assert longest[kind] <= PRODUCER_PATIENCE_SECONDS < longest[Kind.DATABASE_AWAY]
