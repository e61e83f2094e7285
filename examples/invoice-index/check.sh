#!/usr/bin/env bash
# Makes the input again and writes the index from it: index.csv has those lines, the invoices are as they were, nothing else is there.
set -euo pipefail
want=$(mktemp -d)
trap 'rm -rf "$want"' EXIT
(
  cd "$want"
  bash "$TASK_DIR/make_input.sh"
  for invoice in invoice-*.txt; do
    echo "$invoice,$(sed -n 's/^Client: //p' "$invoice"),$(sed -n 's/^Total: //p' "$invoice")"
  done > index.csv
)
[ -f index.csv ] || { echo "index.csv is missing"; exit 1; }
diff "$want/index.csv" <(sed '$a\' index.csv)  # with or without a newline at its end
diff -r --exclude=index.csv "$want" .
