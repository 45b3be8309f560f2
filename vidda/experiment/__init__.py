"""The main job, `vidda run`: from videos to a transfer report, each stage a vidda command."""
