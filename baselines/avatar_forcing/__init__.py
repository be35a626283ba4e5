"""Avatar Forcing: causal diffusion forcing in the motion latent with a preference stage."""
