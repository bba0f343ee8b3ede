# shellcheck shell=bash disable=SC2154
# Steps of a part of tests/gpu/run: each with a limit, its output in a file of its own, its outcome kept. Sourced.

# begin_part NAME
begin_part() {
  part=$1
  folder=$out/$part
  [[ -z $again ]] || rm -rf "$folder"
  mkdir -p "$folder" "$runs"
  part_end=$((SECONDS + seconds))
  part_steps=()
  printf '\n==> %s\n' "$part"
}

# outcome TEXT SECONDS NOTE: of the step under way.
outcome() {
  printf '%s|%s|%s\n' "$1" "$2" "$3" >"$folder/$step.outcome"
}

# step NAME LIMIT_S COMMAND…: a function or a program. Passed before: left alone. Exit code 77: skipped. What follows
# "note: " in its output stands in the table.
step() {
  step=$1
  local limit=$2 left start status note
  shift 2
  part_steps+=("$step")
  if grep -qs '^\(passed\|skipped\)|' "$folder/$step.outcome"; then return 0; fi
  left=$((part_end - SECONDS))
  if ((left < 5)); then
    outcome "not run" 0 "no time left: start the part again"
    return 0
  fi
  ((limit <= left)) || limit=$left
  start=$EPOCHREALTIME
  # Jobs have process groups of their own, so that what a step started ends with it.
  (
    set -m
    "$@" &
    watched=$!
    (sleep "$limit" && echo "note: not done within $limit s" && kill -TERM -- -$watched && sleep 5 &&
      kill -KILL -- -$watched) 2>/dev/null &
    watcher=$!
    wait $watched
    status=$?
    kill -KILL -- -$watcher
    exit $status
  ) >"$folder/$step.log" 2>&1 </dev/null
  status=$?
  note=$(sed -n 's/^note: //p' "$folder/$step.log" | tail -n 1)
  [[ -n $note || $status == 0 ]] || note=$(grep -v '^ *$' "$folder/$step.log" | tail -n 1 | cut -c 1-160)
  case $status in
    0) status=passed ;;
    77) status=skipped ;;
    *) status="failed ($status)" ;;
  esac
  outcome "$status" "$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.1f", b - a}')" "$note"
  {
    printf '\n---- %s %s: %s\n' "$part" "$step" "$status"
    cat "$folder/$step.log"
  } >>"$out/log.txt"
  printf '%-32s %s\n' "$step" "$status"
}

# The part's table; fails where a step did.
end_part() {
  local name status time note bad=0
  {
    printf '\n%-30s %-12s %7s  %s\n' "$part" result s note
    for name in "${part_steps[@]}"; do
      IFS='|' read -r status time note <"$folder/$name.outcome"
      printf '%-30s %-12s %7s  %s\n' "$name" "$status" "$time" "$note"
      [[ $status == passed || $status == skipped ]] || bad=1
    done
  } >"$folder/table.txt"
  cat "$folder/table.txt"
  [[ ! -s $folder/speeds.txt ]] || cat "$folder/speeds.txt"
  return $bad
}
