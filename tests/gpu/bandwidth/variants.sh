#!/usr/bin/env bash
# Benchmark only: bench_gpu_kernels for each candidate of batch norm's passes, to be decided on a GPU.
# ATHANOR_VARIANT: unroll and blocks of sums, least rows, unroll and bands of writes, early launches, streaming stores.
cd "$(dirname "${BASH_SOURCE[0]}")"
program=${1:-./bench_gpu_kernels} out=${2:-.}
for v in 4,0,4,4,1,0,0 4,0,4,4,1,1,0 4,0,4,4,4,1,0 4,0,4,4,16,1,0 4,0,4,4,4,1,1 4,1056,4,4,2,1,0 4,2112,4,4,2,1,0 \
  8,396,4,8,2,1,0 8,396,8,4,2,1,0 2,792,4,2,4,1,0 4,0,8,4,2,1,0 4,264,4,4,2,1,0; do
  echo "variant $v"
  ATHANOR_VARIANT=$v timeout 30 "$program" --filter batch_norm >"$out/variant_$v.txt" 2>&1
  grep 'in ResNet' "$out/variant_$v.txt" || tail -n 3 "$out/variant_$v.txt"
done
timeout 30 "$program" >"$out/kernels.txt" 2>&1
cat "$out/kernels.txt"
