#!/usr/bin/env bash
# Writes 3 to 6 notes into the current folder; the same for the same $SEED.
set -euo pipefail
RANDOM=${SEED:-1}

names=(roof-repair garden-plan book-ideas open-questions first-sketch site-visit)
sentences=("The measurements are done and look fine." "We wait for the second offer." "Ask again next week."
  "Everyone was happy with the colours.")

count=$((3 + RANDOM % 4)) first=$((RANDOM % 6))
for ((i = 0; i < count; i++)); do
  { echo "${sentences[RANDOM % 4]}"; echo "${sentences[RANDOM % 4]}"; } > "${names[(first + i) % 6]}.txt"
done
