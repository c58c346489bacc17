"""Numbers from embeddings, samples and class probabilities: arrays in, scores out."""
