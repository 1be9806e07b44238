"""Points and meshes from and to files, and what tools share.  Nothing is imported here: tools start with io.cli."""
