"""What `tools/bench_translate.py` measures, a module each."""
