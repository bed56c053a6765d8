#!/bin/sh
# Copyright: (c) 2026, the contributors of this project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# botocore 1.44.5 (PyPI).
#
# One would guess: put_object(Body=b"...", ChecksumAlgorithm="CRC32") makes the same request over http and over https. The bytes are in memory, so their
# length and their checksum are known before the first byte is sent.
# Seen: over http the checksum is a header and the request has a Content-Length. Over https the body goes in chunks with the checksum behind it, as a trailer,
# and there is no Content-Length. S3-compatible servers that know no trailers answer 411, but only once TLS is switched on. A checksum that the caller works
# out (ChecksumCRC32) is a header with a Content-Length on both.
#
# Needs python3 with venv, and openssl. Prints what it saw, and fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet install botocore==1.44.5
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key" -out "$work/crt" -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 2>/dev/null
cat >"$work/look.py" <<'PYTHON'
"""Put one object into a server that writes down the headers of what it gets."""

import base64
import http.server
import ssl
import sys
import threading
import zlib

import botocore.session

BODY = b"some bytes"
seen = []


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        if self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        seen.append(self.headers)
        length = self.headers.get("Content-Length")
        if length is not None:
            self.rfile.read(int(length))
        else:
            # Chunks, to the empty one; then the line that ends what is behind them.
            while (size := int(self.rfile.readline().split(b";")[0], 16)) > 0:
                self.rfile.read(size + 2)
            self.rfile.readline()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments):
        pass


def put(scheme, work, **asked):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    if scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(work + "/crt", work + "/key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = botocore.session.Session().create_client(
        "s3",
        endpoint_url="%s://127.0.0.1:%d" % (scheme, server.server_address[1]),
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        verify=work + "/crt",
    )
    client.put_object(Bucket="bucket", Key="key", Body=BODY, **asked)
    server.shutdown()
    headers = seen.pop()
    place = "trailer" if headers.get("x-amz-trailer") else "header" if headers.get("x-amz-checksum-crc32") else "nowhere"
    return "%s, %s" % (place, "Content-Length" if headers.get("Content-Length") else "no Content-Length")


work = sys.argv[1]
given = {"ChecksumCRC32": base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()}
print("asked for, http:  " + put("http", work, ChecksumAlgorithm="CRC32"))
print("asked for, https: " + put("https", work, ChecksumAlgorithm="CRC32"))
print("given, http:      " + put("http", work, **given))
print("given, https:     " + put("https", work, **given))
PYTHON
env -u AWS_REQUEST_CHECKSUM_CALCULATION AWS_CONFIG_FILE=/dev/null "$work/venv/bin/python" "$work/look.py" "$work" >"$work/out"
cat "$work/out"
cat >"$work/expected" <<'TEXT'
asked for, http:  header, Content-Length
asked for, https: trailer, no Content-Length
given, http:      header, Content-Length
given, https:     header, Content-Length
TEXT
if cmp -s "$work/out" "$work/expected"; then
    echo "as described"
else
    echo "CHANGED"
    exit 1
fi
