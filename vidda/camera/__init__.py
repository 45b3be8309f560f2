"""Effects of a real camera on a video; each module measures one kind and can add it."""
