"""Metrics of meshes: given vertices, or the 468 points of the mesh reader."""
