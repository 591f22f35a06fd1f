"""The section ``prepare``: where the face images come from and how they are split."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dlfd_ops.params.section import LabelName, Section


class Splits(Section):
    """Shares of the subjects; they sum to one."""

    train: Annotated[float, Field(gt=0, lt=1)]
    """The original trains on them; who asks to be forgotten is among them."""
    anchor: Annotated[float, Field(gt=0, lt=1)]
    """Unseen people whom the unlearning may use."""
    validation: Annotated[float, Field(gt=0, lt=1)]
    """Unseen people who steer the unlearning and choose settings."""
    test: Annotated[float, Field(gt=0, lt=1)]
    """Unseen people whom the evaluation alone looks at."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.anchor + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the four shares must sum to 1, received {total:.6g}")
        return self


class PrepareSection(Section):
    """From a source of face images to the manifest and the prepared images."""

    source: Literal["synthetic", "manifest_csv", "image_folder", "mufac", "raf_db", "celeba", "utkface", "lfw"]
    """Adapter that reads the source's published layout."""
    columns: dict[Literal["image", "subject_id", "split", "sha256"], Annotated[str, Field(min_length=1)]] = Field({})
    """The columns of a ``manifest_csv`` that have other names there: ours -> the table's."""
    classes: dict[LabelName, Annotated[tuple[str, ...], Field(min_length=2, max_length=1000)]] = Field({})
    """Class names of a label in the order of the original's outputs, where it is not the order of the source."""
    root: Annotated[str, Field(min_length=1, max_length=4096)]
    """Folder of the source; relative to the repository, or outside of it."""
    split_by: Literal["subject", "source"]
    """``subject``: shares drawn by subject with the seed. ``source``: the published train/validation/test parts;
    people for the parts that it does not publish are then taken as ``draw_from`` says."""
    draw_from: Literal["train", "held_out"] = "train"
    """Whose people become the parts that the source does not publish, usually the anchor. ``train``: those of train,
    whom the stage ``train`` then leaves out. ``held_out``: those of validation (of test, where there is none), for an
    original that was trained elsewhere on all of train."""
    splits: Splits
    on_bad_image: Literal["error", "skip"]
    """A missing, truncated, oversized or undecodable image stops the stage, or is skipped, counted and reported."""
    max_megapixels: Annotated[float, Field(gt=0, le=1000)]
    """Largest image decoded, in megapixels (decompression bombs)."""
    max_file_megabytes: Annotated[float, Field(gt=0, le=1000)]
    """Largest image file read, in megabytes."""

    @model_validator(mode="after")
    def _columns_of_a_table(self) -> Self:
        if self.columns and self.source != "manifest_csv":
            raise ValueError("prepare.columns belongs to the source manifest_csv")
        return self
