"""Procedural rooms and buildings of several storeys."""
