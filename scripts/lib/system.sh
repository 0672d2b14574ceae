# shellcheck shell=bash
# Programs of the system, through apt. Sourced after say.sh, never run.

EXIT_MISSING=3 # something of the system is missing and may not be installed from here

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif sudo -n true 2>/dev/null; then
    sudo "$@"
  else
    return 1
  fi
}

apt_install() {
  command -v apt-get >/dev/null && as_root true || return 1
  say "Installing $* by apt-get"
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@")
  as_root "${install[@]}" >/dev/null 2>&1 ||
    { quietly as_root apt-get -o DPkg::Lock::Timeout=120 update && quietly as_root "${install[@]}"; }
}

find_chromium() {
  local name
  for name in chromium chromium-browser google-chrome-stable google-chrome; do
    command -v "$name" && return
  done
  return 1
}

ensure_browser() {
  local missing=()
  find_chromium >/dev/null || missing+=(chromium)
  [[ $(fc-list 2>/dev/null) == *DejaVu* ]] || missing+=(fontconfig fonts-dejavu-core)
  ((${#missing[@]})) || return 0
  apt_install "${missing[@]}" && find_chromium >/dev/null && return
  warn "Missing, and cannot be installed from here: ${missing[*]}"
  warn "As root: apt-get install ${missing[*]}"
  return "$EXIT_MISSING"
}

# Foreign programs that tests talk to, so that no mistake hides on both sides of our own code.
ensure_peers() {
  command -v mbpoll >/dev/null && return
  apt_install mbpoll && return
  warn "mbpoll is missing and cannot be installed from here: the tests that talk to it will be skipped."
  warn "As root: apt-get install mbpoll"
  return "$EXIT_MISSING"
}
