#!/usr/bin/env bash
# Puts 1 to 3 pictures into the current folder, which are to stay where they are; the same for the same $SEED.
set -euo pipefail
RANDOM=${SEED:-1}

pictures=(terrace rose-bed old-gate pond)

count=$((1 + RANDOM % 3)) first=$((RANDOM % 4))
for ((i = 0; i < count; i++)); do
  printf '\xFF\xD8\xFF\xE0\x00\x10JFIF\x00\x01 %d\xFF\xD9' $RANDOM > "${pictures[(first + i) % 4]}.jpg"
done
