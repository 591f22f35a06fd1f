"""What the stores hold: DVC tracking of the intake and of the raw data."""
