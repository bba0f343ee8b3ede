# shellcheck shell=bash
# What tools/quickstart and tools/test share: timed stages and how many jobs this machine can run. Sourced, not run.

stage_names=()
stage_times_ms=()

# Milliseconds since the epoch.
now_ms() { printf '%s' $((${EPOCHREALTIME/[.,]/} / 1000)); }

# 83210 -> "1 min 23 s", 4210 -> "4.2 s".
human_time() {
  local ms=$1
  if ((ms >= 60000)); then
    printf '%d min %d s' $((ms / 60000)) $((ms % 60000 / 1000))
  else
    printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
  fi
}

# stage NAME COMMAND…: runs the command, prints and keeps its elapsed time, returns its exit status.
stage() {
  local name=$1 start status=0 elapsed
  shift
  printf '==> %s\n' "$name"
  start=$(now_ms)
  "$@" || status=$?
  elapsed=$(($(now_ms) - start))
  stage_names+=("$name")
  stage_times_ms+=("$elapsed")
  if ((status == 0)); then
    printf '==> %s: %s\n' "$name" "$(human_time "$elapsed")"
  else
    printf '==> %s: failed (exit %d) after %s\n' "$name" "$status" "$(human_time "$elapsed")" >&2
  fi
  return "$status"
}

# One line with all stages so far and their sum.
stage_summary() {
  local i total=0 line=
  for i in "${!stage_names[@]}"; do
    line+="${stage_names[i]} $(human_time "${stage_times_ms[i]}"), "
    total=$((total + stage_times_ms[i]))
  done
  printf 'time: %stotal %s\n' "$line" "$(human_time "$total")"
}

# Compilers and tests to run side by side: the cores of this process, no more than its cgroup grants, 1 GiB each.
job_count() {
  local jobs quota period memory_gib
  jobs=$(nproc)
  if read -r quota period 2>/dev/null </sys/fs/cgroup/cpu.max && [[ $quota != max ]]; then
    quota=$(((quota + period - 1) / period))
    ((quota >= jobs)) || jobs=$quota
  fi
  memory_gib=$(awk '/^MemAvailable:/ {print int($2 / 1048576)}' /proc/meminfo)
  ((memory_gib >= jobs)) || jobs=$memory_gib
  ((jobs >= 1)) || jobs=1
  printf '%d' "$jobs"
}
