#!/usr/bin/env bash
# Makes the figures of README.md and docs/ from real runs and measurements: see usage().
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    cat <<'TEXT'
Usage: bash docs/figures.sh [--draw | --unit]

Trains three networks and a Kneser-Ney model on the built-in corpus (about five minutes on two CPU
cores) and writes what they measured to docs/figures/data.json; trains a network on the characters
of Tiny Shakespeare (a few minutes) and writes what one of its units does to docs/figures/unit.json;
and draws the figures from these files and from the table of PyTorch in benches/RESULTS.md.

  --draw   only draw, from the files that are there
  --unit   train the network of characters only, and draw
  --help   print this text

Environment:
  ELMAN=PROGRAM          the elman program (default: target/release/elman)
  ELMAN_SHARED=DIR       has corpora/tinyshakespeare.txt (default: ../shared); without that file, the
                         docs/figures/unit.json that is there stays
  ELMAN_PYTHON=PROGRAM   Python with matplotlib (default: python3)
TEXT
}

elman=$(realpath -m "${ELMAN:-target/release/elman}")
python=${ELMAN_PYTHON:-python3}
figures=$PWD/docs/figures
text=$(realpath -m "${ELMAN_SHARED:-../shared}/corpora/tinyshakespeare.txt")

measure() {
    local work
    work=$(mktemp -d)
    # shellcheck disable=SC2064  # expanded now: the variable is local
    trap "rm -rf '$work'" EXIT
    cd "$work"
    # The networks differ in their cell alone: Adam, 100 units, an embedding of 100.
    local recipe=(--embedding 100 --hidden 100 --optimizer adam --lr 0.003 --schedule cosine
        --clip 1 --epochs 8 --device cpu)
    for cell in elman gru lstm; do
        "$elman" train "${recipe[@]}" --cell "$cell" --out "$cell" --json >"$cell.train.json"
    done
    # The text that `elman train` uses; its last tenth is the validation text.
    "$elman" corpus --json --sentences 150000 >corpus.json
    "$python" "$figures/draw.py" split corpus.json train.txt valid.txt
    "$elman" ngram --order 5 --text train.txt --test valid.txt --json >ngram.json
    printf '%s\n' 'the dogs who the cat chases bark' 'the dogs who the cat chases barks' >pair.txt
    for model in elman lstm; do
        "$elman" score --device cpu --model "$model" --per-token --json pair.txt >"$model.score.json"
        "$elman" inspect --json "$model" >"$model.inspect.json"
    done
    "$elman" report elman gru lstm --text valid.txt --device cpu --json report.json
    "$python" "$figures/draw.py" collect "$figures/data.json"
    cd "$OLDPWD"
}

# A network of characters, and its unit that follows the lines with the names of speakers.
measure_unit() {
    if [ ! -e "$text" ]; then
        echo "docs/figures.sh: no $text: docs/figures/unit.json stays" >&2
        return
    fi
    local work
    work=$(mktemp -d)
    # shellcheck disable=SC2064  # expanded now: the variable is local
    trap "rm -rf '$work'" EXIT
    "$elman" train --train "$text" --unit char --cell lstm --embedding 64 --hidden 128 \
        --optimizer adam --lr 0.004 --schedule cosine --clip 1 --batch 32 --bptt 64 --epochs 3 \
        --device cpu --out "$work/characters" --json >/dev/null
    head -n 4000 "$text" >"$work/start.txt"
    "$elman" report "$work/characters" --text "$work/start.txt" --excerpt 400 --device cpu \
        --json "$work/report.json"
    "$python" "$figures/draw.py" unit "$work/report.json" "$figures/unit.json"
}

case ${1:-} in
    --help | -h) usage && exit ;;
    --draw) ;;
    --unit) measure_unit ;;
    '')
        measure
        measure_unit
        ;;
    *) usage >&2 && exit 2 ;;
esac
"$python" "$figures/draw.py" draw "$figures"
