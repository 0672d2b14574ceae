# shellcheck shell=bash
# Steps that go on after one fails, and a summary of all. Sourced after say.sh, never run.

SUMMARY=()
FAILED=0

seconds() { printf '%s.%03d' $((($1) / 1000)) $((($1) % 1000)); }
now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

step() {
  local name=$1 began status=0 took
  shift
  say "$name" 2>&1 # in the order of what the step prints
  began=$(now_ms)
  "$@" || status=$?
  took=$(seconds $(($(now_ms) - began)))
  if ((status)); then
    FAILED=1
    SUMMARY+=("FAILED   $name ($took s, exit status $status)")
    warn "$name failed after $took s" 2>&1
  else
    SUMMARY+=("ok       $name ($took s)")
    note "ok, $took s" 2>&1
  fi
}

# Something that was not done, and why.
left_out() { SUMMARY+=("LEFT OUT $1: $2"); }

finish() {
  say "Summary" 2>&1
  printf '%s\n' "${SUMMARY[@]}"
  exit "$FAILED"
}
