"""The hash-chained ledger and the compliance report."""
