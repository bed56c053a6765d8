#!/bin/sh
# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# The one CA, and the key pairs of the admin node itself. Only what is missing is made: with a CA it signs by _work/ca.cfg again.
set -eu
umask 077
pki=/etc/pki domain=infra.caasp.local
host=$(hostname)
mkdir -p "$pki/private" "$pki/_work" "$pki/_certs" "$pki/issued_certs" "$pki/trust/anchors"
chmod 755 "$pki" "$pki/issued_certs" "$pki/trust" "$pki/trust/anchors"
# The directory's server reads its key as a user of its own.
chmod 711 "$pki/private"
cd "$pki/_work"

if [ ! -s "$pki/private/ca.key" ]; then
    cat > ca.cfg <<CONFIGURATION
[ca]
default_ca = caasp
[caasp]
dir = $pki
database = $pki/_work/index.txt
serial = $pki/_work/serial
new_certs_dir = $pki/_certs
certificate = $pki/ca.crt
private_key = $pki/private/ca.key
default_days = 365
default_md = sha256
policy = names
copy_extensions = copy
unique_subject = no
x509_extensions = leaf
[names]
commonName = supplied
organizationName = optional
organizationalUnitName = optional
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth,clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
CONFIGURATION
    : > index.txt
    echo 01 > serial
    unit=$(cat /proc/sys/kernel/random/uuid)
    openssl req -new -x509 -config ca.cfg -extensions authority -newkey rsa:4096 -nodes -days 3650 -subj "/O=SUSE/OU=$unit/CN=SUSE CaaSP CA" \
        -keyout "$pki/private/ca.key" -out "$pki/ca.crt" 2> /dev/null
    chmod 444 "$pki/ca.crt"
fi
if [ ! -s "$pki/sa.key" ]; then
    openssl genrsa -traditional -out "$pki/sa.key" 4096 2> /dev/null
    chmod 444 "$pki/sa.key"
fi

# pair NAME SUBJECT-ALTERNATIVE-NAMES
pair() {
    [ ! -s "$pki/$1.crt" ] || return 0
    openssl req -new -config ca.cfg -newkey rsa:2048 -nodes -subj "/O=SUSE/CN=$1" -addext "subjectAltName=$2" -keyout "$pki/private/$1.key" -out "$1.csr" 2> /dev/null
    openssl ca -batch -notext -config ca.cfg -in "$1.csr" -out "$1.crt.new" 2> /dev/null
    rm "$1.csr"
    chmod 444 "$pki/private/$1.key" "$1.crt.new"
    mv "$1.crt.new" "$pki/$1.crt"
}
bundle() {
    cat "$pki/$1.crt" "$pki/private/$1.key" > "$pki/private/$1-bundle.pem"
}
machine="DNS:$host,DNS:$host.$domain"
pair velum "$machine"
pair salt-api "$machine,DNS:localhost,IP:127.0.0.1"
pair ldap "$machine,DNS:ldap,DNS:ldap.$domain"
pair kube-apiserver-proxy "$machine,DNS:api,DNS:api.$domain"
bundle velum
bundle kube-apiserver-proxy
