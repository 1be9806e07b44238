"""Points to features on cells: voxelise, local-pool PointNet, sparse U-Net."""
