"""ECHO at the paper's own scale: a pretrained Wan video DiT with SDCM in every block, adapted by LoRA."""
