#!/bin/sh
# Runs a compiler of CUDA, and keeps what ptxas says of every kernel, registers and spills, in a file
# beside the object: OBJECT.usage, for scripts/cuda_usage.py. The last line is the time that took, of
# the user and the system.
out=
before=
for argument; do
  [ "$before" = -o ] && out=$argument
  before=$argument
done
said=$out.said
"$@" 2>"$said"
status=$?
grep -E '^ptxas info|^ +[0-9]+ bytes stack frame' "$said" >"$out.usage"
times >>"$out.usage"
grep -vE '^ptxas info|^ +[0-9]+ bytes (stack frame|cumulative stack)' "$said" >&2
rm -f "$said"
exit $status
