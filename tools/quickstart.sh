#!/usr/bin/env bash
# From a fresh clone to a transfer report on the built-in dataset: bash tools/quickstart.sh
# Interrupted, it goes on where it stopped when it is run again; what is complete is not done twice.
source "$(dirname "$0")/venv.sh"

vidda=.venv/bin/vidda
$vidda doctor
$vidda run configs/run/mini.yaml --resume
echo
echo "The built-in dataset is in data/mini, its manifests and splits in data/mini_prepared."
