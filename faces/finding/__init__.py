"""Finding and following a face: the networks, the detector, the mesh, the eyes and the tracker."""
