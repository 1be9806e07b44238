"""Scores of meshes by the published protocol, over whole data sets, and the tables made of them."""
