"""The classifier (features and logits) and its checkpoint on disk."""
