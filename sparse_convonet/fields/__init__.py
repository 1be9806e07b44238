"""Continuous fields of features over space; all answer `sample(queries)` with features and `known`."""
