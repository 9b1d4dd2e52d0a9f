"""`make bench`: throughput, latency and cost of the whole pipeline beside those of its parts.

Each part is a file that measures and arranges what it found; `programs` are what runs apart.
"""
