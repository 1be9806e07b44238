"""Tiles of a scan: planned, encoded, searched and meshed, each alone."""
