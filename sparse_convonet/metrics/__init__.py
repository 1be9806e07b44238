"""How good a reconstruction is: occupancy (IoU), surfaces (distances, F-score), and the surface a scanner could see."""
