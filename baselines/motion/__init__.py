"""The motion latent that DIM, INFP, ARIG and Avatar Forcing share: renderer, features and the method's frame."""
