"""Erasure: whose data go, where they lie, the plan, the steps, the receipt."""
