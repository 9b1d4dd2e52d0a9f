"""Where the time of a batch goes, without a Kafka client: the worker's own path, step by step."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from zlib import crc32

from bench.servers import PARTITIONS, empty_tables
from flagpost.core.effects import Position
from flagpost.core.features import Batch
from flagpost.core.micro_batch import effects_of, score_micro_batch
from flagpost.core.observed import Observed
from flagpost.core.state import State
from flagpost.events import (
    BadMessage,
    Partition,
    TransactionDecoder,
    Transactions,
    message_keys,
)
