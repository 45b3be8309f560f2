"""What a real camera adds to a scene: each file measures one effect and can add it."""
