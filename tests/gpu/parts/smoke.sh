# shellcheck shell=bash disable=SC2154
# The first look at a GPU host: what is there, and whether the thinnest path through everything works.
. "$here/parts/training.sh"
. "$here/parts/ops.sh"

describe_host() {
  nvidia-smi -L
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv
  nproc
  command -v nvcc && nvcc --version | tail -n 2
  python3 -c 'import torch; print("torch", torch.__version__, "cudnn", torch.backends.cudnn.version())'
  "$bin/athanor" --version
  echo "note: $(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -n 1)"
}

part_smoke() {
  step host 60 describe_host
  step plan 120 "$bin/athanor" plan "$here/recipes/resnet20.yaml" device="$device"
  step train_one_step 120 train one-step device="$device" train.max_steps=1
  step ops 200 run_op_tests '*'
  step train_cpu 120 train cpu device=cpu
  step train_gpu 120 train gpu device="$device"
  step loss_falls 20 compare falls "$runs/gpu"
  step curves 20 compare alike "$runs/cpu" "$runs/gpu"
}
