"""One program for each peer. Each runs in a virtual environment of its own, without Flagpost."""
