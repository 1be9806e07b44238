"""Data sets in the papers' format: ScanNet, Matterport3D, ShapeNet, and rooms made here."""
