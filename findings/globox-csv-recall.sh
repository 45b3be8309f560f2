#!/usr/bin/env bash
# globox 2.9.0 (numpy 2.4.6): the columns of average recall hold average precision.
#
# Expected: COCOEvaluator.save_csv and show_summary write COCO's twelve figures for each class; "AR 1",
#   "AR 10" and "AR 100" are the average recall with 1, 10 and 100 detections in a picture.
# Seen: for a class, these three columns hold the average *precision* with as many detections; "AR 100"
#   is a copy of "AP 50:95". The last line of the summary ("Total") and the methods ar_1(), ar_10()
#   and ar_100() are right, so that with one class the table contradicts itself.
# Hurts: detectors of people compared class by class or data set by data set: a detector that finds
#   everybody, with false alarms before them, is reported as missing half of them, and one cannot
#   tell missed people (the usual harm of a domain gap) from false alarms.
# Remedy: evaluator.ndets_100_evaluation()[label]["ar"].
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    globox==2.9.0 numpy==2.4.6 rich==15.0.0 tqdm==4.70.1

"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import csv
import sys

from globox import Annotation, AnnotationSet, BoundingBox, COCOEvaluator


def box(left, confidence=None):
    return BoundingBox(
        label="person", xmin=left, ymin=0, xmax=left + 40, ymax=90, confidence=confidence
    )


people = [0, 100, 200]
alarms = [300, 400, 500, 600]  # more confident than the people, who are all found exactly
labelled = AnnotationSet([Annotation("frame", boxes=[box(left) for left in people])])
found = AnnotationSet([Annotation("frame", boxes=[box(x, 0.9) for x in alarms] + [box(x, 0.5) for x in people])])
evaluator = COCOEvaluator(ground_truths=labelled, predictions=found)
evaluator.save_csv(f"{sys.argv[1]}/coco.csv")
with open(f"{sys.argv[1]}/coco.csv", newline="") as file:
    (row,) = csv.DictReader(file)

right = {"AR 1": evaluator.ar_1(), "AR 10": evaluator.ar_10(), "AR 100": evaluator.ar_100()}
print(f"three people, all found behind four false alarms; AP 50:95 {evaluator.ap():.3f}")
for name, value in right.items():
    print(f"{name}: in the CSV of the only class {float(row[name]):.3f}, by the method {value:.3f}")
assert right["AR 100"] == 1
if abs(float(row["AR 100"]) - 1) < 1e-6:
    sys.exit("The behaviour has changed: the column of recall holds recall.")
PYTHON
