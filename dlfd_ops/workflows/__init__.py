"""The only composers: one module per pipeline stage or command."""
