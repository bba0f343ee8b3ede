# shellcheck shell=bash disable=SC2154
# compute-sanitizer over the ops and over two steps, where it works on this host.
. "$here/parts/training.sh"

# sanitize TOOL COMMAND…
sanitize() {
  local tool=$1 program status=0
  shift
  program=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
  if [[ ! -x $program ]]; then
    echo "note: there is no compute-sanitizer here"
    return 77
  fi
  "$program" --tool "$tool" --target-processes all --error-exitcode 9 "$@" >"$folder/$step.full" 2>&1 || status=$?
  tail -n 40 "$folder/$step.full"
  if grep -q 'Device not supported\|Failed to initialize\|not supported on' "$folder/$step.full"; then
    echo "note: compute-sanitizer does not work on this host"
    return 77
  fi
  echo "note: $(grep -o 'ERROR SUMMARY: .*\|RACECHECK SUMMARY: .*' "$folder/$step.full" | tail -n 1)"
  return $status
}

sanitize_train() {
  local tool=$1
  rm -rf "$runs/sanitized-$tool"
  sanitize "$tool" "$bin/athanor" train "$here/recipes/resnet20.yaml" --run "$runs/sanitized-$tool" device="$device" \
    train.max_steps=2 train.batch=16 data.train_size=64 data.test_size=16 eval.batch=16 cuda.graph=false
}

part_sanitizer() {
  step memcheck_train 240 sanitize_train memcheck
  step racecheck_train 240 sanitize_train racecheck
  if [[ -x $tests/test_gpu_ops ]]; then
    step memcheck_ops 300 sanitize memcheck "$tests/test_gpu_ops" --gtest_brief=1
    step racecheck_ops 300 sanitize racecheck "$tests/test_gpu_ops" --gtest_brief=1
  fi
}
