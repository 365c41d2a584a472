"""What a verification found."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written, and where."""

    what: str
    user_id: str | None = None
    session_id: str | None = None
    branch: str | None = None
    round: int | None = None
    commit: int | None = None
    """The commit's position in the store."""

    def __str__(self) -> str:
        places = [
            f"{name} {value!r}"
            for name, value in (
                ("user", self.user_id),
                ("session", self.session_id),
                ("branch", self.branch),
                ("round", self.round),
                ("commit", self.commit),
            )
            if value is not None
        ]
        return f"{', '.join(places)}: {self.what}" if places else self.what


@dataclass(slots=True)
class VerifyReport:
    """What `StateStore.verify` found, and how much it looked at."""

    findings: list[Finding] = field(default_factory=list)
    sessions: int = 0
    branches: int = 0
    commits: int = 0
    events: int = 0
    snapshots: int = 0
    erased: int = 0
    """Events whose payload was erased or rewritten, as a commit says."""
    pruned: int = 0
    """Commits of which nothing but the hash is left."""
    unfolded: int = 0
    """Branches of encrypted sessions to which a key is missing: hashes were checked, states were not."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def __str__(self) -> str:
        seen = (
            f"{self.sessions} sessions, {self.branches} branches, {self.commits} commits,"
            f" {self.events} events, {self.snapshots} snapshots"
        )
        seen += f", {self.erased} erased events" if self.erased else ""
        seen += f", {self.pruned} commits of which hashes are left" if self.pruned else ""
        seen += f", {self.unfolded} branches not folded as there is no key" if self.unfolded else ""
        if self.ok:
            return f"ok: {seen}"
        return "\n".join([f"{len(self.findings)} findings in {seen}", *map(str, self.findings)])
