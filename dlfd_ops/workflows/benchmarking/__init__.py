"""Parts of the benchmark: its models, its cells (one method and one seed each), its table."""
