#!/bin/sh
# Installs the service edgernn-@NAME@: a Python environment, the model, the config and a systemd unit.
# It can be run again: it then updates what changed. The config of an earlier run is kept.
#
# For tests under an emulator, EDGERNN_RUN is the command in front of every program of the device.
set -eu
umask 022
unset PYTHONPATH PYTHONHOME

NAME=@NAME@
SERVICE="edgernn-$NAME"
NUMPY_FLOOR="1 24"
OFFLINE=@OFFLINE@

usage() {
    cat <<END
usage: sh install.sh [options]

Installs the service $SERVICE. Run it as root.

  --prefix FOLDER  install below FOLDER: no user, no running service (for tests and images)
  --python PYTHON  the interpreter to use (default: python3)
  --no-apt         never install Debian packages
  --no-start       install the unit, but do not start it
  --packaged       the config and the unit belong to a package: leave them alone
  --help           show this text
END
}

say() { echo "install: $*"; }
stop() { echo "install: $*" >&2; exit 1; }

prefix="" python=python3 apt=yes start=yes packaged=no
while [ $# -gt 0 ]; do
    case "$1" in
        --prefix|--python) [ $# -ge 2 ] || stop "$1: expected a value, got none. See: sh install.sh --help" ;;
    esac
    case "$1" in
        --prefix) prefix=$2; shift ;;
        --python) python=$2; shift ;;
        --no-apt) apt=no ;;
        --no-start) start=no ;;
        --packaged) packaged=yes ;;
        --help) usage; exit 0 ;;
        *) stop "unknown option '$1'. See: sh install.sh --help" ;;
    esac
    shift
done

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
app="$prefix/opt/edgernn/$NAME"
config="$prefix/etc/edgernn/$NAME.toml"
unit="$prefix/etc/systemd/system/$SERVICE.service"
run=${EDGERNN_RUN:-}

# ------------------------------------------------------------------ checks, before anything changes

[ -n "$prefix" ] || [ "$(id -u)" = 0 ] || stop "expected root, got user $(id -un). Run: sudo sh $0"
(cd "$here" && sha256sum --quiet --check SHA256SUMS) >&2 ||
    stop "expected the files of SHA256SUMS, got damaged or missing ones. Copy the bundle again."
case "$here" in
    *" "*) stop "expected a folder without spaces in its path, got '$here'. Copy the bundle elsewhere." ;;
esac
[ -z "$run" ] || [ -x "$python" ] || stop "EDGERNN_RUN needs --python with the path of a program."

floor() { $run "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
floor || stop "expected Python 3.11 or newer as '$python', got none. Use Debian 12 or newer, or --python."

has_numpy() {
    $run "$python" -c 'import sys, numpy
sys.exit([int(n) for n in numpy.__version__.split(".")[:2]] < [int(n) for n in sys.argv[1:]])' $NUMPY_FLOOR 2>/dev/null
}
shipped_numpy() { ls "$here"/wheels/numpy-*.whl >/dev/null 2>&1; }

if ! has_numpy && ! shipped_numpy; then
    if [ $apt = yes ] && [ -z "$prefix" ] && command -v apt-get >/dev/null; then
        say "NumPy is missing: installing the Debian package python3-numpy"
        apt-get install -y -q --no-install-recommends python3-numpy >&2 || apt=failed
    fi
    has_numpy || [ $OFFLINE = no ] ||
        stop "expected NumPy 1.24 or newer, got none. Run: sudo apt-get install python3-numpy"
fi

# ------------------------------------------------------------------ the environment of this release

release=$(sha256sum "$here/SHA256SUMS" | cut -c 1-12)
folder="$app/releases/$release"
mkdir -p "$app/releases" "$app/models" "$prefix/etc/edgernn" "$prefix/var/lib/edgernn"

if [ -e "$folder/complete" ]; then
    say "release $release is installed already"
else
    say "release $release: creating the environment"
    rm -rf "$folder"
    mkdir -p "$folder"
    if ls "$here"/wheels/pip-*.whl >/dev/null 2>&1; then
        $run "$python" -m venv --system-site-packages --without-pip "$folder/venv"
        pip=$(ls "$here"/wheels/pip-*.whl)/pip
    else
        $run "$python" -m venv --system-site-packages "$folder/venv" >&2 ||
            stop "expected the module venv, got none. Run: sudo apt-get install python3-venv"
        pip="-m pip"
    fi
    [ $OFFLINE = no ] || export PIP_NO_INDEX=1
    compile=""
    [ -z "$run" ] || compile=--no-compile
    PIP_FIND_LINKS="$here/wheels" PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
        PIP_NO_INPUT=1 PIP_NO_CACHE_DIR=1 \
        $run "$folder/venv/bin/python" $pip install --quiet $compile -r "$here/requirements.txt" >&2 ||
        stop "expected pip to install requirements.txt, got an error (above). Nothing was switched; the service runs on as it was."
    cp "$here/uninstall.sh" "$here/requirements.txt" "$folder/"
    touch "$folder/complete"
fi

say "smoke test: comparing this device with the test vectors"
$run "$folder/venv/bin/python" "$here/smoke_test.py" ||
    stop "expected the bits of the test vectors, got others (above). Nothing was switched; the service runs on as it was."

# ------------------------------------------------------------------ model, config, unit

point() {  # point LINK TARGET: switch a symbolic link in one step
    ln -sfn "$2" "$1.new"
    mv -Tf "$1.new" "$1"
}

model=@MODEL@
sync  # a power cut from here on leaves the old release or the new one, each of them whole
mkdir -p "$app/models/$model"
cp "$here/model/model.edgernn" "$here/model/vectors.npz" "$app/models/$model/"
# Another model for an installed service comes last: it takes the streams with it, or does not come.
exchange=no
if [ -z "$prefix" ] && [ -e "$app/model" ] && [ "$(readlink "$app/model")" != "models/$model" ]; then
    exchange=yes
else
    point "$app/model" "models/$model"
fi
previous=$(readlink "$app/release" 2>/dev/null || true)
point "$app/release" "releases/$release"
cp "$here/manifest.json" "$app/manifest.json"

if [ $packaged = no ]; then
    if [ ! -e "$config" ]; then
        cp "$here/serve.toml" "$config"
        say "config: $config"
    elif ! cmp -s "$here/serve.toml" "$config"; then
        cp "$here/serve.toml" "$config.new"
        say "config: $config is kept; the one of this bundle is $config.new"
    fi
    mkdir -p "$(dirname "$unit")"
    cp "$here/$SERVICE.service" "$unit"
fi

# Older releases go, except the one that ran until now.
for old in "$app"/releases/*; do
    case "releases/${old##*/}" in
        "releases/$release"|"$previous") ;;
        *) rm -rf "$old" ;;
    esac
done

if [ -n "$prefix" ]; then
    say "installed below $prefix"
    exit 0
fi

if ! id edgernn >/dev/null 2>&1; then
    say "creating the system user edgernn"
    useradd --system --user-group --home-dir /var/lib/edgernn --shell /usr/sbin/nologin edgernn
fi
chown root:edgernn "$config" && chmod 640 "$config"
[ -e /usr/local/bin/edgernn ] || ln -s "$app/release/venv/bin/edgernn" /usr/local/bin/edgernn
install -d -o edgernn -g edgernn -m 750 "/var/lib/edgernn/$NAME"
(cd "/var/lib/edgernn/$NAME" && "$app/release/venv/bin/python" -P -m edgernn serve --check "$config" >/dev/null) ||
    stop "expected a config without errors, got those above. Correct $config, and run this again."

switch_model() {  # as edgernn deploy --model does it, with a way back
    [ $exchange = yes ] || return 0
    "$app/release/venv/bin/python" -P -m edgernn deploy --name "$NAME" \
        --model "$here/model/model.edgernn" --vectors "$here/model/vectors.npz" ||
        stop "expected to exchange the model, got the error above. The release is new, the model is the one before."
}

if [ ! -d /run/systemd/system ]; then
    switch_model
    say "systemd does not run here. Start the service with: $app/release/venv/bin/python -P -m edgernn serve $config"
    exit 0
fi
systemctl daemon-reload
if [ $start = yes ]; then
    systemctl enable --quiet "$SERVICE"
    systemctl restart "$SERVICE" ||
        stop "expected $SERVICE to start, got an error. See: journalctl -u $SERVICE -n 50"
    switch_model
    say "$SERVICE runs. Its log: journalctl -u $SERVICE -f"
else
    switch_model
    say "start the service with: sudo systemctl enable --now $SERVICE"
fi
