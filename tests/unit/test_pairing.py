"""Which partitions follow which."""

import pytest

from flagpost.events import Partition
from flagpost.kafka.pairing import GroupTopics, Pairing, followers

TOPICS = GroupTopics("transactions", ("labels",))


def transactions(*numbers: int) -> set[Partition]:
    return {Partition("transactions", number) for number in numbers}


def labels(*numbers: int) -> set[Partition]:
    return {Partition("labels", number) for number in numbers}


def pairing(n_transactions: int, n_labels: int) -> Pairing:
    made = Pairing(TOPICS)
    made.learn({"transactions": n_transactions, "labels": n_labels})
    return made


@pytest.mark.parametrize(
    ("leading", "n_leading", "n_following", "found"),
    [
        ({1, 3}, 4, 4, {1, 3}),
        ({0}, 4, 1, {0}),
        ({1, 2, 3}, 4, 1, set()),
        ({0}, 1, 3, {0, 1, 2}),
        ({1}, 2, 5, {1, 3}),
        (set(), 2, 5, set()),
        ({0, 1}, 2, 0, set()),
    ],
)
def test_a_partition_follows_the_one_of_its_number_modulo_how_many_lead(
    leading: set[int], n_leading: int, n_following: int, found: set[int]
) -> None:
    assert followers(leading, n_leading, n_following) == found


@pytest.mark.parametrize("n_leading", range(1, 9))
@pytest.mark.parametrize("n_following", range(9))
def test_every_partition_follows_one_and_only_one(n_leading: int, n_following: int) -> None:
    found = [number for n in range(n_leading) for number in followers({n}, n_leading, n_following)]

    assert sorted(found) == list(range(n_following))


def test_a_member_has_what_it_was_given_and_what_follows() -> None:
    given = transactions(1, 3)

    assert pairing(4, 6).completed(given) == given | labels(1, 3, 5)


def test_what_was_given_of_a_topic_that_follows_is_left_out() -> None:
    given = transactions(1) | labels(0)

    assert pairing(2, 2).completed(given) == transactions(1) | labels(1)


def test_who_was_given_nothing_has_nothing() -> None:
    assert pairing(4, 4).completed(set()) == set()


@pytest.mark.parametrize("known", [{}, {"transactions": 2}, {"labels": 2}])
def test_nothing_follows_before_both_topics_are_known(known: dict[str, int]) -> None:
    unsure = Pairing(TOPICS)
    unsure.learn(known)

    assert unsure.completed(transactions(0, 1)) == transactions(0, 1)


def test_a_broker_that_has_not_heard_of_added_partitions_changes_nothing() -> None:
    known = pairing(2, 2)
    known.learn({"transactions": 1, "labels": 1})

    assert known.completed(transactions(1)) == transactions(1) | labels(1)


@pytest.mark.parametrize("told", [{}, {"transactions": 2}, {"labels": 2}])
def test_an_answer_that_leaves_a_topic_out_changes_nothing(told: dict[str, int]) -> None:
    known = pairing(2, 4)
    known.learn(told)
    known.learn({"transactions": 2, "labels": 2})

    assert known.completed(transactions(1)) == transactions(1) | labels(1, 3)


def test_a_topic_that_grows_changes_what_follows() -> None:
    known = pairing(2, 4)
    known.learn({"transactions": 4, "labels": 4})

    assert known.completed(transactions(0)) == transactions(0) | labels(0)


def test_a_topic_can_be_read_by_itself() -> None:
    alone = Pairing(GroupTopics("transactions"))
    alone.learn({"transactions": 2})

    assert alone.completed(transactions(0, 1)) == transactions(0, 1)
