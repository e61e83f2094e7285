#!/usr/bin/env bash
# Makes the input again, files it by its Project: lines, and compares: every note in its folder, unchanged, and nothing else anywhere.
set -euo pipefail
want=$(mktemp -d)
trap 'rm -rf "$want"' EXIT
(
  cd "$want"
  bash "$TASK_DIR/make_input.sh"
  for note in *.txt; do
    project=$(sed -n 's/^Project: //p' "$note")
    mkdir -p "$project"
    mv "$note" "$project/"
  done
)
diff -r "$want" .
