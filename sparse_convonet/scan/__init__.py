"""Scan files in, a folder of results out."""
