"""Hostile input: every reader and the loader of configurations, fed with damaged files."""
