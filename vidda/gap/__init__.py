"""The gap between source and target: what differs, which clips to leave out, which to take."""
