#!/usr/bin/env bash
# Gradients on 2, 3 and 4 ranks against the full batch's and the shards' mean, in fp64; the exchange's bytes.
set -euo pipefail
status=0
for ranks in 2 3 4; do
  GTEST_COLOR=no OMP_NUM_THREADS=1 mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 -n "$ranks" \
    "$MUSTER_BUILD/tests/ddp_gradients_test" --gtest_brief=1 "$@" || status=1
done
if ((status == 0)); then echo "verdict: PASS"; else echo "verdict: FAIL"; fi
exit "$status"
