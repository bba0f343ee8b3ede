# shellcheck shell=bash disable=SC2154
# Speed beside PyTorch, in the same minutes on the same GPU. Whoever takes longest to compile stands last.

# ours RECIPE BATCH PRECISION: one JSON line to speeds.jsonl.
ours() {
  "$bin/athanor" bench step "$here/recipes/$1.yaml" --json --seconds 5 --batch "$2" device="$device" \
    train.precision="$3" train.shards=1 >"$folder/$step.json" || return
  cat "$folder/$step.json" >>"$folder/speeds.jsonl"
  python3 -c 'import json, sys; line = json.load(open(sys.argv[1])); print("note: %.0f images/s" % line["images_per_s"]["median"])' \
    "$folder/$step.json"
}

# torch MODEL BATCH PRECISION MODE LIMIT_S
torch() {
  python3 "$here/peers/torch_bench.py" --model "$1" --batch "$2" --precision "$3" --mode "$4" --limit "$5" \
    --device "$device" >"$folder/$step.json" || return
  cat "$folder/$step.json" >>"$folder/speeds.jsonl"
  python3 -c '
import json, sys
line = json.load(open(sys.argv[1]))
print("note:", line.get("error") or "%.0f images/s" % line["images_per_s"])' "$folder/$step.json"
}

part_bench() {
  local precision mode batch
  for precision in fp16 bf16; do
    step "ours_resnet50_$precision" 60 ours resnet50 256 $precision
    step "torch_resnet50_${precision}_eager" 60 torch resnet50 256 $precision eager 60
    step "torch_resnet50_${precision}_compile" 150 torch resnet50 256 $precision compile 150
  done
  for batch in 128 1024; do
    step "ours_resnet20_$batch" 30 ours resnet20 $batch fp16
    for mode in eager compile reduce-overhead; do
      step "torch_resnet20_${batch}_$mode" 100 torch resnet20 $batch fp16 $mode 100
    done
  done
  step torch_resnet50_bf16_reduce-overhead 150 torch resnet50 256 bf16 reduce-overhead 150
  step torch_resnet20_128_max-autotune 200 torch resnet20 128 fp16 max-autotune 200
  step torch_resnet50_fp16_max-autotune 400 torch resnet50 256 fp16 max-autotune 400
  compare speeds "$folder/speeds.jsonl" >"$folder/speeds.txt"
}
