"""`make bench`: what the client can do alone, what the whole pipeline does, and their ratio."""
