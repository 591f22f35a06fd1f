"""Distribution-Level Feature Distancing (Choi & Na, AAAI 2025, arXiv 2409.14747)."""
