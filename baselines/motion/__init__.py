"""What DIM, INFP, ARIG and Avatar Forcing share: motion latent and renderer, a method's frame, parts of networks."""
