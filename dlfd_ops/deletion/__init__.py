"""Deletion requests, the pinned parent and the resolution to a forget list."""
