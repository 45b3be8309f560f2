"""Pre-training of the built-in VideoMAE: motions, clips, training, measurements, model card."""
