#!/usr/bin/env bash
# Six metrics servers for the tests, as programs NAME-VERSION in the user's cache; nothing is installed on the machine (Debian).
# Those of Debian 12, 13 and its unstable suite are unpacked from packages, newer ones built once from their Go modules (some minutes),
# with the Go of unstable where the machine has none that is new enough. Prints their folder as its last line.
# Usage: tests/real/install_metrics.sh
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/progressive-tests/metrics
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
what="an apt beside the machine's own"
trap 'echo "install_metrics.sh: $what could not be had" >&2' ERR
trap 'rm -rf "$work"' EXIT
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9 # two at once would build everything twice

# shellcheck source=apt_root.sh
. "$here/apt_root.sh"

# unpack FOLDER PACKAGE/SUITE...
unpack() {
    local folder=$1 package
    shift
    [ -d "$work/apt" ] || apt_root "$work/apt" deb bookworm trixie sid
    mkdir -p "$folder"
    cd "$folder"
    APT_CONFIG=$work/apt/apt.conf apt-get -qq download "$@" >&2
    for package in *.deb; do dpkg-deb -x "$package" .; done
    cd "$here"
}

# packaged NAME SUITE: whatever version the suite has now, once.
packaged() {
    local name=$1 suite=$2 folder=$work/$1-$2 version
    compgen -G "$cache/$name-$suite-*" >/dev/null && return
    what="the package $name of Debian's $suite"
    unpack "$folder" "$name/$suite"
    version=$(basename "$folder/$name"_*.deb | cut -d_ -f2)
    mv "$folder/usr/bin/$name" "$cache/$name-$suite-${version%%+*}"
}

new_enough() {
    local version
    version=$(go env GOVERSION 2>/dev/null) && printf 'go1.26\n%s\n' "$version" | sort -VC
}

# built NAME VERSION MODULE@VERSION PACKAGE [ARGUMENT-OF-BUILD]...: of a module of its own, as theirs have replacements.
built() {
    local name=$1 version=$2 module=$3 package=$4
    shift 4
    [ -x "$cache/$name-$version" ] && return
    what="$name $version from its Go module"
    if ! new_enough; then
        unpack "$work/go" golang-1.26-go/sid golang-1.26-src/sid
        export PATH=$work/go/usr/lib/go-1.26/bin:$PATH GOROOT=$work/go/usr/lib/go-1.26
    fi
    export GOFLAGS="-mod=mod -modcacherw" GOMODCACHE=$work/modules GOCACHE=$work/compiled CGO_ENABLED=0
    mkdir -p "$work/$name"
    cd "$work/$name"
    go mod init tests >&2
    go get "${module%@*}/$package@${module#*@}" >&2
    go build -trimpath -o built "$@" "${module%@*}/$package" >&2
    mv built "$cache/$name-$version"
    cd "$here"
}

packaged prometheus bookworm
packaged prometheus trixie
packaged victoria-metrics bookworm
packaged victoria-metrics sid
built victoria-metrics 1.151.0 github.com/VictoriaMetrics/VictoriaMetrics@v1.151.0 app/victoria-metrics -ldflags \
    "-s -w -X github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version=victoria-metrics-1.151.0"
# Without the tag it compiles the clients of every cloud, to find targets by.
built prometheus 3.16.0 github.com/prometheus/prometheus@v0.316.0 cmd/prometheus -tags remove_all_sd -ldflags \
    "-s -w -X github.com/prometheus/common/version.Version=3.16.0"
ls "$cache" >&2
echo "$cache"
