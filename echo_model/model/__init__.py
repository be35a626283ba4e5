"""What the paper draws: LCU, SDCM, the generator and the layers under them, with their options."""
