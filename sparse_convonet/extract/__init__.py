"""From a field to a mesh: MISE, marching cubes, and the same in tiles."""
