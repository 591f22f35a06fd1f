"""Unlearning methods behind one protocol; a method's file contains only its objective."""
