"""The scorer with the least rights does all of its work."""

from collections.abc import Callable

from flagpost.postgres.engine import create_engine
from flagpost.postgres.roles import SCORER, set_up_roles
from tests.end_to_end.pipeline import LOG, Pipeline, Scores
from tests.logins import login_with
from tests.stack import Servers


def test_a_member_needs_no_more_than_the_role_of_the_scorer(
    new_pipeline: Callable[..., Pipeline], stack: Servers, offline: Scores
) -> None:
    pipeline = new_pipeline(keep_scores="all")
    owner_url = str(pipeline.settings["database_url"])
    engine = create_engine(owner_url)
    set_up_roles(engine)
    engine.dispose()
    pipeline.produce(LOG)

    with login_with(SCORER, owner_url, stack) as url:
        pipeline.score_all(database_url=url)

    assert pipeline.flagged() == offline
    assert len(pipeline.seen()) == pipeline.counts().n_in
