"""The account that runs PostgreSQL, which refuses to run as root."""

import contextlib
import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from flagpost.errors import StackFailed

SYSTEM_USER = "flagpost_postgres"


@dataclass(frozen=True)
class Account:
    """Who runs the server: the present user or, when that is root, a system user."""

    stand_in: pwd.struct_passwd | None

    @classmethod
    def choose(cls) -> Self:
        """Take the present user; for root, a system user that is made the first time.

        Raises:
            StackFailed: the user cannot be made.
        """
        if os.geteuid() != 0:
            return cls(None)
        try:
            return cls(_find_or_make_system_user())
        except (OSError, subprocess.CalledProcessError) as error:
            msg = f"PostgreSQL does not run as root, and `useradd {SYSTEM_USER}` failed: {error}"
            raise StackFailed(msg) from error

    def own(self, path: Path) -> None:
        """Give a file or directory to the account, and let it through the directories above."""
        if self.stand_in is not None:
            os.chown(path, self.stand_in.pw_uid, self.stand_in.pw_gid)
            _open_the_way(path)

    def may_run(self, folder: Path) -> None:
        """Let the account read and run what is installed in a folder."""
        if self.stand_in is not None:
            for path in (folder, *folder.rglob("*")):
                mode = path.stat().st_mode
                path.chmod(mode | (mode & stat.S_IRUSR | mode & stat.S_IXUSR) >> 6)
            _open_the_way(folder)


def _find_or_make_system_user() -> pwd.struct_passwd:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    subprocess.run(
        ["/usr/sbin/useradd", "--system", "--shell", "/bin/false", "flagpost_postgres"],
        check=True,
    )
    return pwd.getpwnam(SYSTEM_USER)


def _open_the_way(path: Path) -> None:
    """Let others pass through the directories above a path, without listing what is in them."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
