#!/bin/sh
# Trains, exports and verifies pebble on all GPUs of the machine:
#     training/run.sh OUT TOKENIZER 'GENERATE COMMAND with {seed} and {out}' [options of train.py]
# The step count decides how long it takes; --deadline-s is the net below it. With QUERN=path/to/quern the model is evaluated as well, on
# episodes from the training's words and on held-out ones (minutes on a few cores).
set -eu
here=$(dirname "$0") out=$1 tokenizer=$2 generate=$3
shift 3
export PYTHONUNBUFFERED=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
start=$(date +%s)
torchrun --nproc-per-node "$(nvidia-smi -L | wc -l)" "$here/train.py" --steps 4000 --deadline-s 470 --data "$scratch" \
    --generate "$generate" --out "$out" --tokenizer "$tokenizer" "$@"
echo "trained and exported after $(($(date +%s) - start)) s"
python3 "$here/verify.py" "$out" --transformers
ls -l "$out"
if [ -n "${QUERN:-}" ]; then
    for split in training held-out; do
        for suite in single chain files mixed; do
            echo "== $split, $suite"
            "$QUERN" eval tools --model "$out" --suite "$suite" --split "$split" --episodes 30 --seed 5
        done
    done
fi
echo "everything: $(($(date +%s) - start)) s"
