"""Labeled metrics and their intervals, from files of predictions; transfer tables."""
