"""A report on a training: one HTML page with charts, a map of the embeddings, and example images."""
