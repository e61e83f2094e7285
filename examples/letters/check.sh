#!/usr/bin/env bash
# A letter to every guest in letters, the pictures as they were, and nothing else anywhere.
set -euo pipefail
want=$(mktemp -d)
trap 'rm -rf "$want"' EXIT
(
  cd "$want"
  bash "$TASK_DIR/make_input.sh"
  mkdir letters
  while read -r guest; do
    echo "Dear $guest, the garden opens in $INPUT_month" > "letters/$guest.txt"
  done <<< "$INPUT_guests"
)
diff <(cd "$want" && find . | sort) <(find . | sort)
diff -r --exclude=letters "$want" .
for letter in letters/*.txt; do
  diff "$want/$letter" <(sed '$a\' "$letter")  # with or without a newline at its end
done
