# shellcheck shell=bash
# Makes the virtual environments of this checkout from their locks. Sourced after say.sh and python.sh, never run.

venv_of() {
  case $1 in
    gateway) echo .venv ;;
    ha-test) echo .venv-ha-test ;;
    ha) echo .venv-ha ;;
  esac
}
lock_of() {
  case $1 in
    gateway) echo scripts/locks/dev.txt ;;
    *) echo "scripts/locks/$1.txt" ;;
  esac
}
stamp_of() { { sha256sum <"$(lock_of "$1")" && cat "$CACHE/python-path" && echo 1; } 2>/dev/null | sha256sum; }

venv_is_current() {
  local venv
  venv=$(venv_of "$1")
  [[ -s $venv/stamp && $(<"$venv/stamp") == "$(stamp_of "$1")" ]] && "$venv/bin/python" -c '' 2>/dev/null
}

# Fast when nothing changed. One set-up at a time in a checkout, and one Python made at a time for a user.
ensure_venv() {
  local name=$1 venv began=$SECONDS
  venv_is_current "$name" && return
  venv=$(venv_of "$name")
  mkdir -p "$CACHE"
  {
    flock 8
    ensure_uv
    PYTHON=$(find_python)
  } 8>"$CACHE/lock"
  {
    flock 9
    venv_is_current "$name" || make_venv "$name" "$venv"
  } 9>".venv.lock"
  note "$venv is ready after $((SECONDS - began)) s"
}

make_venv() {
  local name=$1 venv=$2 lock stamp
  lock=$(lock_of "$name")
  say "Installing $venv from $lock ($(grep -c '==' "$lock") packages)"
  # Updated in place where it can be, as something may be running in it.
  if [[ ! -x $venv/bin/python || $(readlink -f "$venv/bin/python") != "$(readlink -f "$PYTHON")" ]]; then
    "$UV" venv -q --clear --python "$PYTHON" "$venv"
  fi
  rm -f "$venv/stamp"
  if [[ $name == ha* ]]; then compiler_for_wheels; fi
  debian_build_flags
  # An environment may forbid Python to write bytecode, and then every start would compile all of it.
  UV_COMPILE_BYTECODE=1 "$UV" pip sync --require-hashes --python "$venv/bin/python" "$lock" 2> >(progress) ||
    die "could not install $lock; run this again when the package index answers"
  stamp=$(stamp_of "$name")
  printf '%s\n' "$stamp" >"$venv/stamp"
}

# What takes long, without the line for each of a hundred small packages; and whatever went wrong.
progress() { sed -un '/^ [-+~] /d; /^Using Python/d; /^ *Downloaded/d; s/^/    /p' >&2; }

# Some of Home Assistant's requirements come as source only for this Python.
compiler_for_wheels() {
  command -v c++ >/dev/null && return
  apt_install g++ || warn "no C++ compiler: packages without a ready wheel will fail to build"
}
