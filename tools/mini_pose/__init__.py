"""Training of vidda's built-in pose estimator."""
