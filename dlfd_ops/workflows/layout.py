"""Where the files of the outside contract lie, relative to the repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlfd_ops.audit.certificates import EVIDENCE
from dlfd_ops.data.trained_on import TRAINED_ON
from dlfd_ops.deletion.parent import PARENT_MODEL


@dataclass(frozen=True)
class Layout:
    """The paths of one repository.

    Attributes:
        root: of the repository.
    """

    root: Path = Path()

    @property
    def prepared(self) -> Path:
        """Prepared images and their manifest."""
        return self.root / "data" / "prepared"

    @property
    def manifest(self) -> Path:
        """One row a sample."""
        return self.prepared / "manifest.parquet"

    @property
    def aliases(self) -> Path:
        """Subjects that the prepare stage merged."""
        return self.prepared / "aliases.csv"

    @property
    def requests(self) -> Path:
        """The intake."""
        return self.root / "deletion" / "requests.csv"

    @property
    def forget_list(self) -> Path:
        """The resolved forget list."""
        return self.root / "deletion" / "forget_list.parquet"

    @property
    def parent(self) -> Path:
        """The pinned parent."""
        return self.root / "deletion" / "parent.json"

    @property
    def parent_model(self) -> Path:
        """The pinned parent's weights, or a note where it is the original."""
        return self.root / PARENT_MODEL

    @property
    def trained_on(self) -> Path:
        """The photos that the original was trained on."""
        return self.model("original") / TRAINED_ON

    @property
    def adopted(self) -> Path:
        """Weights that an original was adopted from, where ``dlfd-ops init`` lays them down."""
        return self.root / "adopted" / "weights.safetensors"

    @property
    def ledger(self) -> Path:
        """The hash-chained ledger."""
        return self.root / "audit" / "ledger.jsonl"

    @property
    def evidence(self) -> Path:
        """The signed evaluation."""
        return self.root / EVIDENCE

    @property
    def receipt(self) -> Path:
        """What the register stage registered."""
        return self.root / "registry" / "version.json"

    def model(self, kind: str) -> Path:
        """The folder of the ``original``, ``unlearned`` or ``retrained`` model."""
        return self.root / "models" / kind

    def metrics(self, name: str) -> Path:
        """A file of numbers."""
        return self.root / "metrics" / f"{name}.json"

    def plot(self, name: str) -> Path:
        """A file of a figure or of the numbers behind it."""
        return self.root / "plots" / name

    def checkpoint(self, stage: str) -> Path:
        """Private folder of a stage's resume checkpoint."""
        return self.root / ".dlfd" / "checkpoints" / stage
