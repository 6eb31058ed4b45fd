"""What other people's tools say of the code, of secrets in it, and of what it depends on: `make audit`.

Every finding is mended, or stands in docs/security.md with the reason why it is none.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from detect_secrets import SecretsCollection
from detect_secrets.settings import default_settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
SOURCES = ("services", "protos", "deploy", "bench")
LOCKS = sorted([*ROOT.glob("requirements*.lock"), *ROOT.glob("deploy/*.lock")])
PIP_AUDIT_SECONDS = 300
_ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| (.+) \|$", re.MULTILINE)
_PINNED = re.compile(r"^[A-Za-z0-9._-]+==[^ ]+( ; [^\\]*)? \\$")


@dataclass(frozen=True)
class Finding:
    """What a tool has found."""

    kind: str
    """What the tool calls it: `B608`, `Secret Keyword`."""
    path: str
    line: int
    said: str

    def explained(self, rows: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """The rows of the page that are about it."""
        return {(kind, pattern) for kind, pattern in rows if kind == self.kind and fnmatch(self.path, pattern)}


def explanations() -> set[tuple[str, str]]:
    """Kind and path of every finding that the page explains."""
    return {(kind, path) for kind, path, _ in _ROW.findall(PAGE.read_text("utf-8"))}


def code() -> list[Finding]:
    """What bandit finds."""
    command = [sys.executable, "-m", "bandit", "--quiet", "--recursive", "--format", "json", *SOURCES]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = json.loads(run.stdout)
    if said["errors"]:
        raise SystemExit(f"bandit could not read {said['errors']}")
    return [
        Finding(each["test_id"], each["filename"].removeprefix("./"), each["line_number"], each["issue_text"])
        for each in said["results"]
    ]


def tracked() -> list[str]:
    """The files that are tracked and written by hand."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if not name.startswith("gen/") and not name.endswith(".lock")]


def secrets() -> list[Finding]:
    """What detect-secrets finds in them."""
    found = SecretsCollection(root=str(ROOT))
    with default_settings():
        for name in tracked():
            found.scan_file(name)
    return [Finding(secret.type, path, secret.line_number, "may be a secret") for path, secret in found]


def pins() -> list[Finding]:
    """What in the lock files is not one version with its hashes, from wherever pip is told to look."""
    found = []
    for lock in LOCKS:
        for number, line in enumerate(lock.read_text("utf-8").splitlines(), 1):
            fine = not line or line.startswith(("#", "    --hash=sha256:")) or _PINNED.match(line)
            if not fine:
                found.append(Finding("unpinned", str(lock.relative_to(ROOT)), number, line))
    return found


def known() -> tuple[list[Finding], str]:
    """What is known against the pinned versions, and a word on what could not be asked."""
    found: list[Finding] = []
    asked = unasked = 0
    for lock in LOCKS:
        program = Path(sysconfig.get_path("scripts")) / "pip-audit"
        options = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
        try:
            run = subprocess.run(
                [program, "-r", lock, *options], capture_output=True, text=True, timeout=PIP_AUDIT_SECONDS
            )
            packages = json.loads(run.stdout)["dependencies"]
        except (subprocess.TimeoutExpired, ValueError, KeyError):
            return found, f"skipped: the database of vulnerabilities did not answer for {lock.name}"
        for package in packages:
            asked += "skip_reason" not in package
            unasked += "skip_reason" in package
            for each in package.get("vulns", []):
                said = f"{package['name']} {package['version']}: {each['id']}, mended in {each['fix_versions']}"
                found.append(Finding("vulnerability", str(lock.relative_to(ROOT)), 0, said))
    if not asked:
        return found, f"skipped: the database of vulnerabilities knows none of the {unasked} versions from here"
    return found, f"{asked} versions looked up, {unasked} not known there"


def main() -> int:
    """Prints what is found and not explained; 1 if there is anything."""
    rows = explanations()
    vulnerabilities, word = known()
    checks = {"code": code(), "secrets": secrets(), "pins": pins(), "vulnerabilities": vulnerabilities}
    open_ = [each for found in checks.values() for each in found if not each.explained(rows)]
    used = {row for found in checks.values() for each in found for row in each.explained(rows)}
    stale = rows - used
    for name, found in checks.items():
        left = [each for each in found if each in open_]
        print(f"{name}: {len(found)} found, {len(found) - len(left)} explained in docs/security.md, {len(left)} not")
    print(f"vulnerabilities: {word}")
    for each in open_:
        print(f"  {each.path}:{each.line}: {each.kind}: {each.said}")
    for kind, path in sorted(stale):
        print(f"  docs/security.md explains {kind} in {path}, which nothing finds")
    return 1 if open_ or stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
