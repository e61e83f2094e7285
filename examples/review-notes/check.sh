#!/usr/bin/env bash
# Makes the input again, marks and files it here, and compares: every note in its folder with its new line, and nothing else anywhere.
set -euo pipefail
want=$(mktemp -d)
trap 'rm -rf "$want"' EXIT
(
  cd "$want"
  bash "$TASK_DIR/make_input.sh"
  mkdir reviewed
  for note in *.txt; do
    echo "Reviewed by $INPUT_reviewer" >> "$note"
    mv "$note" reviewed
  done
)
diff -r "$want" .
