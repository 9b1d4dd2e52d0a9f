"""Looks up the locked packages among the known vulnerabilities, and never says more than it knows.

    python .ci/audit.py -r requirements-dev.txt

The options are those of pip-audit. It fails on a known vulnerability. Where the advisories cannot
be had, it says that nothing was audited and passes: a machine without network must be able to lint.
pip-audit itself reports a package that its service does not know as free of vulnerabilities.
"""

import json
import subprocess
import sys
from typing import Any

OPTIONS = ["--require-hashes", "--disable-pip", "--format=json", "--progress-spinner=off"]
_AWAY = ("ConnectionError", "Could not connect", "ServiceError", "Timeout")


def main(arguments: list[str]) -> int:
    """Run pip-audit; returns the exit code."""
    command = [sys.executable, "-m", "pip_audit", *OPTIONS, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if not done.stdout:
        return _report_failure(done.stderr)
    packages = json.loads(done.stdout)["dependencies"]
    audited = [package for package in packages if "vulns" in package]
    if not audited:
        return _say_nothing_was_audited(f"the service knows none of {len(packages)} packages")
    found = [(package, each) for package in audited for each in package["vulns"]]
    for package, vulnerability in found:
        _say(f"{package['name']} {package['version']}: {_line(vulnerability)}")
    _say(f"{len(audited)} of {len(packages)} locked packages audited, {len(found)} vulnerabilities")
    return 1 if found else 0


def _report_failure(complaint: str) -> int:
    last = (complaint.strip() or "pip-audit said nothing").splitlines()[-1]
    if any(word in complaint for word in _AWAY):
        return _say_nothing_was_audited(f"no advisory service answers: {last[:200]}")
    _say(f"the audit failed: {last}")
    return 1


def _say_nothing_was_audited(why: str) -> int:
    _say(f"NOTHING WAS AUDITED: {why}")
    return 0


def _line(vulnerability: dict[str, Any]) -> str:
    fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
    return f"{vulnerability['id']}, fixed in {fixed}: {vulnerability['description'][:200]}"


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
