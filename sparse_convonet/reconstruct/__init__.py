"""From points to a mesh and a field, in Python."""

from sparse_convonet.plan.settings import ReconstructionSettings as ReconstructionSettings
from sparse_convonet.reconstruct.occupancy_field import OccupancyField as OccupancyField
from sparse_convonet.reconstruct.reconstructor import Reconstruction as Reconstruction
from sparse_convonet.reconstruct.reconstructor import Reconstructor as Reconstructor
