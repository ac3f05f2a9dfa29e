"""A git repository: each statement is a commit of the note, pushed to a remote if one is named.

The ``git`` program does the work, in argument lists and without a shell, hooks, prompts or signing; what it keeps can
be read with any git. The remote decides what may be overwritten: protect its branch against force pushes.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from audit.anchors.base import AnchorError, Head, Receipt, Statement, printable, refuse_other
from audit.anchors.file import head_of

_SECONDS = 30
_QUIET = (
    *("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "gc.auto=0"),
    *("-c", "user.name=Plimsoll", "-c", "user.email=plimsoll@localhost"),
)


@dataclass
class GitAnchor:
    """Commits to the branch ``branch`` of the repository ``directory``, one file for each log."""

    name: str
    logs: tuple[str, ...]
    min_interval: float
    directory: Path
    remote: str = ""
    branch: str = "main"
    kind: str = "git"
    verifier: str = ""

    def head(self, newest: Statement) -> Head | None:
        """The larger of what is committed here and what the remote has."""
        heads = [self._at("HEAD", newest)]
        if self.remote:
            if self._run("ls-remote", "--exit-code", self.remote, f"refs/heads/{self.branch}", fails={2}).returncode:
                return heads[0]  # the remote is empty
            self._run("fetch", "--quiet", "--no-tags", self.remote, f"refs/heads/{self.branch}")
            heads.append(self._at("FETCH_HEAD", newest))
        return max((head for head in heads if head is not None), key=lambda head: head.size, default=None)

    def submit(self, statement: Statement) -> Receipt:
        held = self._at("HEAD", statement)
        refuse_other(held, statement)
        if held is None or held.size < statement.size:
            path = self._path(statement.log)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(statement.note, encoding="utf-8")
            name = str(path.relative_to(self.directory))
            self._run("add", "--", name)
            self._run("commit", "--quiet", "--message", f"{statement.origin} {statement.size}", "--", name)
        if self.remote:
            self._run("push", "--quiet", self.remote, f"HEAD:refs/heads/{self.branch}")
        return Receipt(f"commit {self._run('rev-parse', 'HEAD').stdout.strip()}")

    def _path(self, log: str) -> Path:
        return self.directory / log / "checkpoint"

    def _at(self, revision: str, newest: Statement) -> Head | None:
        """What a revision holds of this log. Raises AnchorError for a note that this log did not sign."""
        if self._run("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", fails={1, 128}).returncode:
            return None  # nothing is committed yet
        name = f"{revision}:{newest.log}/checkpoint"
        if self._run("cat-file", "-e", name, fails={1, 128}).returncode:
            return None
        held = head_of(self._run("cat-file", "blob", name).stdout, newest.origin, newest.verifiers)
        if held is None:
            raise AnchorError("The newest committed checkpoint is not one that this log signed.")
        return held

    def _run(self, *arguments: str, fails: set[int] | None = None) -> subprocess.CompletedProcess[str]:
        """Run git. Raises AnchorError unless it ends with 0 or one of ``fails``."""
        if not (self.directory / ".git").exists() and not (self.directory / "HEAD").exists():
            raise AnchorError(f"{self.directory.name} is no git repository.")
        environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "SSH_AUTH_SOCK") if name in os.environ},
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
            "LC_ALL": "C",
        }
        try:
            done = subprocess.run(
                ["git", "-C", str(self.directory), *_QUIET, *arguments],
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise AnchorError(f"git {arguments[0]} took longer than {_SECONDS} s.") from None
        except OSError as error:
            raise AnchorError(f"git cannot be run: {error.strerror}.") from None
        if done.returncode and done.returncode not in (fails or set()):
            raise AnchorError(f"git {arguments[0]} failed: {printable(done.stderr)}")
        return done
