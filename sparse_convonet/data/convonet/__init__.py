"""The format of Occupancy Networks and Convolutional Occupancy Networks on disk, read and written."""
