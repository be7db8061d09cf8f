#!/usr/bin/env bash
# Builds etcd, kube-apiserver, kube-controller-manager and kubectl from Go modules into a folder keyed by go.sum,
# outside `target/`, so that a fresh clone on the same machine finds them again. Prints that folder.
set -euo pipefail
cd "$(dirname "$0")"
version=v1.36.3
key=$(cat go.sum build.sh | sha256sum | cut -c1-16)
folder="${LOCKMASTER_CONTROL_PLANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lockmaster/control-plane}/$key"
flags="-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
mkdir -p "$folder"

build() { # NAME PACKAGE
  [ -x "$folder/$1" ] && return
  echo "building $1" >&2
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$flags" -o "$folder/$1.part.$$" "$2"
  mv "$folder/$1.part.$$" "$folder/$1"
}

build etcd go.etcd.io/etcd/server/v3
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
build kubectl k8s.io/kubernetes/cmd/kubectl
build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager
echo "$folder"
