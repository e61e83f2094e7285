#!/usr/bin/env bash
# Writes 5 to 7 notes of two or three projects into the current folder; the same for the same $SEED.
set -euo pipefail
RANDOM=${SEED:-1}

names=(visit-report call-with-anna budget-draft delivery-plan open-questions first-sketch site-photos)
projects=(Harbor Willow Lantern Orchard Summit)
people=("Anna Keller" "Tom Weber" "Mira Novak" "Paul Jensen")
sentences=("The measurements are done and look fine." "We wait for the second offer." "The roof comes first, then the windows."
  "Ask again next week." "Everyone was happy with the colours.")

count=$((5 + RANDOM % 3)) first=$((RANDOM % 5)) kinds=$((2 + RANDOM % 2))
for ((i = 0; i < count; i++)); do
  project=${projects[(first + (i < kinds ? i : RANDOM % kinds)) % 5]}
  {
    echo "Project: $project"
    echo "Author: ${people[RANDOM % 4]}"
    echo "${sentences[RANDOM % 5]}"
  } > "${names[i]}.txt"
done
