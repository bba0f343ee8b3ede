# shellcheck shell=bash disable=SC2154
# Every op against the double reference, by the same cases that the emulation runs.

# run_op_tests FILTER: cases of test_gpu_ops, on the device that ATHANOR_TEST_DEVICE names.
run_op_tests() {
  local program=$tests/test_gpu_ops status=0 report=$folder/$step.json
  if [[ ! -x $program ]]; then
    echo "note: there is no test_gpu_ops here"
    return 77
  fi
  "$program" --gtest_filter="$1" --gtest_brief=1 --gtest_output="json:$report" || status=$?
  python3 -c '
import json, sys
report = json.load(open(sys.argv[1]))
cases = [case for suite in report["testsuites"] for case in suite["testsuite"]]
skipped = sum(case.get("result") == "SKIPPED" for case in cases)
failed = [case["classname"] + "." + case["name"] for case in cases if "failures" in case]
text = f"note: {len(cases)} cases, {len(failed)} failed, {skipped} skipped"
print(text + (": " + ", ".join(failed) if failed else ""))' "$report" || echo "note: ended early, see the log"
  return $status
}

part_ops() {
  local suite suites
  suites=$("$tests/test_gpu_ops" --gtest_list_tests 2>/dev/null | sed -n 's/^\([A-Za-z].*\)\. *\(#.*\)\{0,1\}$/\1/p')
  for suite in ${suites:-'*'}; do
    step "${suite//\//_}" 300 run_op_tests "$suite.*"
  done
}
