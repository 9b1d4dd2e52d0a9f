"""A worker that leaves the journal as its batches write it: `python -m bench.programs.unmerged`."""

from flagpost.member import run_member
from flagpost.merging import Merging
from flagpost.scoring import Parts

if __name__ == "__main__":
    Merging.note = lambda *_: None  # type: ignore[method-assign]  # that is the program
    run_member(Parts(), until_caught_up=False)
