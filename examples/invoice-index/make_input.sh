#!/usr/bin/env bash
# Writes 4 to 6 invoices into the current folder; the same for the same $SEED.
set -euo pipefail
RANDOM=${SEED:-1}

clients=("Miller Bakery" "Nordlicht" "Garden Studio" "Oak House" "Blue Door" "City Library")

count=$((4 + RANDOM % 3)) number=$((10 + RANDOM % 80))
for ((i = 0; i < count; i++)); do
  {
    echo "Client: ${clients[RANDOM % 6]}"
    printf 'Total: %d.%02d\n' $((20 + RANDOM % 900)) $((RANDOM % 100))
    echo "Thank you for your order."
  } > "invoice-$((number + i)).txt"
done
