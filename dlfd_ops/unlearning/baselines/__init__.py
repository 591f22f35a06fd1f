"""Methods to compare with, one a file, each as its own paper states it."""
