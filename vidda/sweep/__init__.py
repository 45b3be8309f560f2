"""`vidda sweep`: methods x seeds x tasks and a search over keys; every trial is a run."""
