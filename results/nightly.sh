#!/usr/bin/env bash
# The nightly: evaluate the embedded models on the suite `smoke`, gate against the committed reference.
# Usage: results/nightly.sh [FOLDER]; exit code: 0 GO, 1 NO-GO, 2 INCONCLUSIVE, 3 BROKEN.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-runs/nightly}
bin=${BIN:-.venv/bin}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}  # the models are tiny: a second thread only waits for the first
mkdir -p "$folder"
broken() { echo "## BROKEN: $1" | tee "$folder/gate.md"; exit 3; }
# Failed items are the gate's to judge.
"$bin/harness" run --suite smoke --max-error-rate 1 --out "$folder/run" || broken "the run failed"
"$bin/harness" leaderboard "$folder/run" --format html --out "$folder/leaderboard.html" || broken "no leaderboard"
"$bin/harness" gate "$folder/run" --baseline "${REFERENCE:-results/reference/embedded}" --policy results/policy.yaml \
  --markdown "$folder/gate.md" --junit "$folder/gate.xml" --json "$folder/gate.json"
