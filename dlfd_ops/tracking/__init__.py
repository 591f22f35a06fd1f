"""MLflow: runs, packaging of a model version, registry with its lineage."""
