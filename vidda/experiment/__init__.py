"""The main job, `vidda run`: from videos to a transfer report, every stage a command of its own."""
