"""Training: a model with lanes and batches of rows come in; trained lanes and histories go out."""
