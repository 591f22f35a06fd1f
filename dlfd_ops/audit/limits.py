"""What a passed metric proves and what it does not, in the words that the report prints."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Statement(BaseModel):
    """A heading and a paragraph for people who are no engineers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    heading: str
    text: str


SHOWN: tuple[Statement, ...] = (
    Statement(
        heading="What was measured",
        text="A model that remembers a photo is less surprised by it. The attack uses that: from the model's loss on a "
        "photo it guesses whether the photo was among those learned. It is run on the forgotten people and on people "
        "the model never met. An AUC of 0.5 means that the guess is no better than a coin toss.",
    ),
    Statement(
        heading="What a passed gate says",
        text="This attack, on these photos, could tell forgotten people from strangers no better than the policy "
        "allows, and the model lost no more accuracy than the policy allows.",
    ),
    Statement(
        heading="What the ledger says",
        text="Every step was written down when it was taken, and each line contains the hash of the line before. "
        "Whoever noted the head of the chain at an earlier date can tell whether any line up to there was changed, "
        "removed or reordered since.",
    ),
)
NOT_SHOWN: tuple[Statement, ...] = (
    Statement(
        heading="It is evidence, not proof",
        text="A stronger attack, above all one that studies each photo by itself, may find traces that this one does "
        "not. Nothing here says that no trace is left.",
    ),
    Statement(
        heading="It does not bind a dishonest operator",
        text="The operator of the model also runs the measurement and writes the ledger. Someone who controls both can "
        "measure another model, or write a whole ledger anew. Only a head that was noted elsewhere beforehand, and a "
        "measurement repeated by somebody else, speak against that.",
    ),
    Statement(
        heading="The photos may still exist",
        text="This report is about what the model knows. Photos of the forgotten people may still lie in the raw data, "
        "in caches, in backups and in older model versions until they are erased there.",
    ),
    Statement(
        heading="Only what is named here is covered",
        text="Models that were copied, exported or trained elsewhere on the same photos are not seen by this report.",
    ),
    Statement(
        heading="Forgetting too much can be seen as well",
        text="If the model is more surprised by the forgotten people than by strangers, that singles them out too. "
        "An attack AUC well below 0.5 is therefore no better than one well above it.",
    ),
)
