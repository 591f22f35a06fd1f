"""Utility, membership attack, calibration, NoMUS, retrain gap and the gate's decision."""
