#!/usr/bin/env bash
# What the tests of real systems need beyond pip, on Debian and as root: etcd and jq are packages (metrics servers: install_metrics.sh);
# a Kubernetes API server is built once from the sources of Debian 12 (some minutes) and kept in the user's cache.
# Prints the path of the API server as its last line. Usage: tests/real/install.sh
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/progressive-tests
server=$cache/kube-apiserver-1.20.2

have() { command -v "$1" >/dev/null; }

packages=()
have etcd || packages+=(etcd-server)
have jq || packages+=(jq)
have chromium || packages+=(chromium) # the pages of reports
have openssl || packages+=(openssl)
[ -x "$server" ] || packages+=(golang-go golang-github-modern-go-reflect2-dev dpkg-dev)

if [ ${#packages[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >&2
fi

# shellcheck source=apt_root.sh
. "$(dirname "$0")/apt_root.sh"

build() {
    local work tree ld package
    work=$(mktemp -d)
    trap 'chmod -R u+w "$work"; rm -rf "$work"' RETURN
    cd "$work"
    apt_root "$work/apt" deb-src bookworm
    APT_CONFIG=$work/apt/apt.conf apt-get -qq source --download-only kubernetes >&2
    tree=$work/go/src/k8s.io
    mkdir -p "$tree"
    tar -xzf kubernetes_*.orig.tar.gz -C "$tree"
    cd "$tree"/kubernetes-* && cd .. && mv kubernetes-* kubernetes && cd kubernetes
    # This tree is older than Go's modules as they are now, so it is built the way it was written: in a GOPATH.
    export GO111MODULE=off GOPATH=$work/go GOCACHE=$work/cache CGO_ENABLED=0
    # Three mends for a Go that is newer than the tree, each found by a crash or a refusal. reflect2 1.0.1 crashes under Go 1.18 and later:
    rm -rf vendor/github.com/modern-go/reflect2
    cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/reflect2
    # reflect.Zero of today makes the validator take an empty string for null:
    sed -i 's/if data == nil || reflect.DeepEqual(reflect.Zero(reflect.TypeOf(data)), reflect.ValueOf(data)) {/if data == nil {/' \
        vendor/k8s.io/kube-openapi/pkg/validation/validate/type.go
    # and the release lacks a generated file:
    go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen >&2
    {
        grep -rl --include='*.go' '+k8s:openapi-gen=' pkg cmd plugin
        grep -Rl --include='*.go' '+k8s:openapi-gen=' staging/src/k8s.io | sed 's#^staging/src/#vendor/#'
    } | grep -vE '_test.go|code-generator/|sample-apiserver/|/testdata/' | xargs -n1 dirname | sort -u |
        sed 's#^#k8s.io/kubernetes/#' | paste -sd, >"$work/packages"
    "$work/openapi-gen" --logtostderr --go-header-file hack/boilerplate/boilerplate.generatego.txt -i "$(cat "$work/packages")" \
        -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi -r "$work/violations" >&2
    ld="-s -w"
    for package in k8s.io/kubernetes/vendor/k8s.io/component-base/version k8s.io/component-base/version; do
        ld="$ld -X $package.gitVersion=v1.20.2 -X $package.gitMajor=1 -X $package.gitMinor=20"
    done
    go build -trimpath -tags "providerless dockerless" -ldflags "$ld" -o "$work/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver >&2
    mkdir -p "$cache"
    mv "$work/kube-apiserver" "$server"
}

[ -x "$server" ] || (build)
echo "$server"
