"""Drawing the synthetic world: canvas, faces, scenes, frames, and a preview of them."""
