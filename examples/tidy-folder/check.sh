#!/usr/bin/env bash
# Makes the input again, sorts it here, and compares: every file in its folder, unchanged, and nothing else anywhere.
set -euo pipefail
want=$(mktemp -d)
trap 'rm -rf "$want"' EXIT
(
  cd "$want"
  bash "$TASK_DIR/make_input.sh"
  mkdir texts pictures papers
  mv ./*.txt texts
  mv ./*.jpg pictures
  mv ./*.pdf papers
)
diff -r "$want" .
