#!/usr/bin/env bash
# Translation of a manifest on a Slurm cluster, one shard in each task of an array:
#
#   sbatch --array=1-8 tools/slurm_translate.sh configs/translate/sd15.yaml input=FILE out=DIR
#
# Arguments are those of vidda translate; the script adds the shard. `out` must be on a disk that all
# nodes share. A task that is killed or requeued resumes, and the last one to finish writes the
# manifest. With --dry-run nothing is translated.
#SBATCH --job-name=vidda-translate
#SBATCH --output=%x-%A-%a.log
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=4
#SBATCH --time=24:00:00
#SBATCH --requeue
set -euo pipefail

# An array may start at any number; shards start at 1.
number=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))
exec vidda translate "$@" shard="$number/$SLURM_ARRAY_TASK_COUNT" --resume
