"""How vidda's built-in pose estimator is made."""
