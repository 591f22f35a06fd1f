"""The Accelerate loop with an injected step, resumable, and what watches it."""
