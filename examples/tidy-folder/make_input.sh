#!/usr/bin/env bash
# Fills the current folder with 5 to 9 loose files, at least one of each type; the same for the same $SEED.
set -euo pipefail
RANDOM=${SEED:-1}

texts=(shopping-list meeting-notes packing-list phone-numbers book-ideas garden-plan)
pictures=(beach kitchen birthday old-bridge cat-on-sofa mountain-lake)
papers=(rent-contract train-ticket tax-letter insurance-card manual-dishwasher school-form)
sentences=("Call the plumber about the tap in the cellar." "Two loaves of bread, butter, and the good coffee."
  "We agreed to meet again on the first Monday of the month." "The blue suitcase is still at Martha's place." "Water the tomatoes before it gets hot.")

# Never inside $(…): a subshell draws other numbers each time.
sentence() { echo "${sentences[RANDOM % ${#sentences[@]}]}"; }

first=$((RANDOM % 6)) count=$((1 + RANDOM % 3))
for ((i = 0; i < count; i++)); do
  { sentence; sentence; } > "${texts[(first + i) % 6]}.txt"
done
first=$((RANDOM % 6)) count=$((2 + RANDOM % 2))
for ((i = 0; i < count; i++)); do
  printf '\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01 %d %d\xFF\xD9' $RANDOM $RANDOM > "${pictures[(first + i) % 6]}.jpg"
done
first=$((RANDOM % 6)) count=$((2 + RANDOM % 2))
for ((i = 0; i < count; i++)); do
  printf '%%PDF-1.4\n%% %s\n%%%%EOF\n' "${sentences[RANDOM % 5]}" > "${papers[(first + i) % 6]}.pdf"
done
