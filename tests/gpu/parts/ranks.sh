# shellcheck shell=bash disable=SC2154
# Several ranks: on one GPU they are for tests alone, and their sums go through the host.
. "$here/parts/training.sh"

# train_ranks N NAME KEY=VALUE…
train_ranks() {
  local ranks=$1 name=$2
  shift 2
  rm -rf "${runs:?}/$name"
  local mpirun=$bin/mpirun
  [[ -x $mpirun ]] || mpirun=mpirun
  "$mpirun" -np "$ranks" --oversubscribe --bind-to none "$bin/athanor" train "$here/recipes/resnet20.yaml" \
    --run "$runs/$name" "${small[@]}" "$@"
}

part_ranks() {
  local ranks gpus
  gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU')
  step ranks_1 120 train ranks-1 device="$device"
  for ranks in 2 4; do
    step "ranks_$ranks" 150 train_ranks "$ranks" "ranks-$ranks" device="$device"
    step "bits_of_1_and_$ranks" 20 compare same "$runs/ranks-1" "$runs/ranks-$ranks"
  done
  step nccl 200 several_gpus "$gpus"
}

several_gpus() {
  if (($1 < 2)); then
    echo "note: not run: NCCL wants several GPUs, this host has $1"
    return 77
  fi
  train_ranks "$1" nccl device="$device" train.shards="$1" || return
  train nccl-1 device="$device" train.shards="$1" || return
  compare same "$runs/nccl-1" "$runs/nccl"
}
