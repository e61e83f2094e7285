#!/bin/sh
# What has to be known before a full run, in one call on the GPU machine: are the kernels right and how fast, does the model
# compile and how long does that take, tokens a second and memory at the real shapes, does transformers agree with the export.
#     training/trial.sh [TOKENIZER 'GENERATE COMMAND']      without a command: fake data, copying
set -u
here=$(dirname "$0")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
generate=${2:-"python3 $here/fake_data.py --seed {seed} --out {out} --windows 48"}
export PYTHONUNBUFFERED=1
start=$(date +%s)
say() { echo; echo "== $(($(date +%s) - start)) s: $1"; }

say "delta rule: definition, kernels, speed"
timeout 90 python3 "$here/test_delta_rule.py" --cuda || echo "FAILED: delta rule"

trial() {
    say "training, --compile $1"
    timeout "$2" python3 "$here/train.py" --steps 100 --log-every 20 --compile "$1" --data "$scratch/$1" --generate "$generate" \
        --out "$scratch/out" ${TOKENIZER:+--tokenizer "$TOKENIZER"} || { echo "FAILED: --compile $1"; return 1; }
}
TOKENIZER=${1:-}
trial whole 200 || trial layers 120 || trial none 90

say "the export, against transformers"
timeout 90 python3 "$here/verify.py" "$scratch/out" --transformers || echo "FAILED: verify"
say "done"
