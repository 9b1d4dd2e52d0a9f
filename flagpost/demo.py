"""`flagpost demo`: the whole pipeline once, from nothing to flagged transactions."""
