"""INFP (Zhu et al. 2024): two voices query two memory banks of motion, and a small diffusion transformer moves."""
