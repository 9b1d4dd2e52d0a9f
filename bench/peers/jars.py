"""The jars of the peers that need some, as their locks name them."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from bench.peers.installation import InstallationFailed
from flagpost.local.kafka_jars import DOWNLOADS_AT_ONCE, download, read_lock


def download_jars(lock: Path, folder: Path) -> list[Path]:
    """Fill a folder that is not there yet; return the jars in the order of the lock. Blocks.

    Raises:
        InstallationFailed: one cannot be downloaded, or is not the one that was locked.
    """
    folder.mkdir()
    try:
        with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
            return list(pool.map(partial(download, folder=folder), read_lock(lock)))
    except (OSError, RuntimeError) as error:
        raise InstallationFailed(str(error)) from error
