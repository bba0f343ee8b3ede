# shellcheck shell=bash disable=SC2154
# Whole runs of ResNet-20: what must have the same bits, and what must come close.

# train NAME KEY=VALUE…: 50 steps of ResNet-20 in the run folder NAME; options of the program may follow.
train() {
  local name=$1
  shift
  rm -rf "${runs:?}/$name"
  "$bin/athanor" train "$here/recipes/resnet20.yaml" --run "$runs/$name" "${small[@]}" "$@"
}

# The checkpoint of step 20, continued to step 40 in another folder, ends where the straight run does.
continue_on() {
  local from=$1 name=$2 file
  shift 2
  file=$(find "$runs/$from/checkpoints" -name '*.h5' | sort | head -n 1)
  echo "from $file"
  train "$name" train.max_steps=40 "$@" --resume "$file"
}

part_training() {
  step cpu 200 train cpu device=cpu
  step gpu 120 train gpu device="$device"
  step curves_fp32 20 compare alike "$runs/cpu" "$runs/gpu"
  step gpu_again 120 train gpu-again device="$device"
  step repeats 20 compare same "$runs/gpu" "$runs/gpu-again"
  step gpu_eager 120 train gpu-eager device="$device" cuda.graph=false
  step graph_as_eager 20 compare same "$runs/gpu" "$runs/gpu-eager"
  local precision precisions=(tf32 bf16 fp16)
  [[ $device != cpu ]] || precisions=(bf16)
  for precision in "${precisions[@]}"; do
    step "gpu_$precision" 120 train "gpu-$precision" device="$device" train.precision="$precision"
    step "falls_$precision" 20 compare falls "$runs/gpu-$precision"
    step "curves_$precision" 20 compare near "$runs/gpu" "$runs/gpu-$precision" 0.1 10
  done
  step straight 120 train straight device="$device" train.max_steps=40 checkpoint.every_steps=20
  step resumed 120 continue_on straight resumed device="$device"
  step resume_same_bits 20 compare same "$runs/straight" "$runs/resumed"
  step straight_cpu 200 train straight-cpu device=cpu train.max_steps=40 checkpoint.every_steps=20
  step cpu_to_gpu 120 continue_on straight-cpu cpu-to-gpu device="$device" train.deterministic=false
  step gpu_to_cpu 200 continue_on straight gpu-to-cpu device=cpu train.deterministic=false
  step moved_runs_close 20 compare near "$runs/cpu-to-gpu" "$runs/gpu-to-cpu" 0.05
}
