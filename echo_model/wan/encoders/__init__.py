"""What wan reads with: the latent space of AutoencoderKLWan, wav2vec 2.0 for voices, CLIP for pictures."""
