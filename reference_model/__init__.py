"""The reference model: Speech Fusion to Face (SF2F), networks, losses and recipe."""
