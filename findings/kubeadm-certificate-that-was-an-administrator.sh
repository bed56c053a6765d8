#!/bin/sh
# Copyright: (c) 2026, the contributors of this project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# kubeadm 1.35.4 and 1.36.3 (k8s.io/kubernetes, Go modules).
#
# One would guess: pki/apiserver-kubelet-client.crt, which lies on every control plane of a kubeadm cluster, opens the API to whoever is root there. Tools for
# backups, monitoring and upgrades have used it so for years, since it needs no kubeconfig.
# Seen: until 1.35 its organization is kubeadm:cluster-admins, a group that is bound to cluster-admin (system:masters before 1.29). Since 1.36 it has no
# organization; its name alone is bound to the role system:kubelet-api-admin. So every other question is answered 403, and only on clusters whose
# certificates were made or renewed by a newer kubeadm: a cluster that works today stops with its next "kubeadm certs renew". admin.conf has the group in both.
#
# Needs go and openssl. Builds both programs (minutes). Prints what it saw, and fails if that changes.
set -eu
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
build() { # release: a kubeadm of it, whose staging modules are those that were published with it
    mkdir "$work/$1"
    cd "$work/$1"
    printf 'module example.org/finding\n\ngo 1.25\n' >go.mod
    printf '//go:build tools\n\npackage tools\n\nimport _ "k8s.io/kubernetes/cmd/kubeadm"\n' >tools.go
    go mod edit "-require=k8s.io/kubernetes@v$1"
    mod=$(go mod download -json "k8s.io/kubernetes@v$1" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
    sed -n 's|^[[:space:]]*\(replace \)\{0,1\}\(k8s\.io/[a-z-]*\) => \./staging/.*|\2|p' "$mod" | while read -r name; do
        go mod edit "-replace=$name=$name@v0.${1#1.}"
    done
    go mod tidy -e 2>/dev/null
    CGO_ENABLED=0 go build -ldflags "-X k8s.io/component-base/version.gitVersion=v$1" -o kubeadm k8s.io/kubernetes/cmd/kubeadm
}
organization() { # release: that of the certificate that its kubeadm makes, empty without one
    build "$1" >&2
    ./kubeadm init phase certs ca --cert-dir "$work/$1/pki" --kubernetes-version "v$1" >&2
    ./kubeadm init phase certs apiserver-kubelet-client --cert-dir "$work/$1/pki" --kubernetes-version "v$1" >&2
    openssl x509 -in "$work/$1/pki/apiserver-kubelet-client.crt" -noout -subject -nameopt multiline | sed -n 's/^ *organizationName *= *//p'
}
older=$(organization 1.35.4)
newer=$(organization 1.36.3)
echo "organization of apiserver-kubelet-client: 1.35.4 '$older', 1.36.3 '$newer'"
if [ "$older" = kubeadm:cluster-admins ] && [ -z "$newer" ]; then
    echo "as described"
else
    echo "CHANGED"
    exit 1
fi
