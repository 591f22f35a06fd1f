"""The JSON Schemas of the statements; ``python -m dlfd_ops.audit.schemas docs/schemas`` publishes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dlfd_ops.audit.envelope import Document, Envelope
from dlfd_ops.audit.statement import EvaluationStatement, ModelStatement, RequestStatement
from dlfd_ops.files import write_text

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PUBLISHED: dict[str, type[Document]] = {
    "envelope.schema.json": Envelope,
    "evaluation-v1.schema.json": EvaluationStatement,
    "model-version-v1.schema.json": ModelStatement,
    "deletion-request-v1.schema.json": RequestStatement,
}


def schema(model: type[Document]) -> str:
    """Return the JSON Schema of a model as the text of a file."""
    return (
        json.dumps({"$schema": DIALECT, **model.model_json_schema(by_alias=True, mode="serialization")}, indent=2)
        + "\n"
    )


def publish(folder: Path) -> None:
    """Write every schema into ``folder``."""
    for name, model in PUBLISHED.items():
        write_text(folder / name, schema(model))


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
