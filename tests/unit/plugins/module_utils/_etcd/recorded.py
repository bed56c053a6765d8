# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot as etcd 3.6.16 gave it, of a store with four live keys, one update and one deletion."""

from __future__ import annotations

import base64
import gzip

_TEXT = """
H4sIAAAAAAACA+2cTWwbRRTHvev1R1y3cc2XaaExA+GjcW2vnfhj+VSDkColl5QiKAR37J3Yq+yXdjduomAE4sIFcUJIHBBHbqitKrhx4VSJGycuIECol4gT
18Csd9b2WnXdCgIRvF803v3vvnnzdmZs6T2tEgp5COy4931yj3dPUsHrPn8wIkzH2fHGxcQPC5fONkIAAAAAAAAAAAAAABw6uL+Y/8fYcf7m+uf7b73xDcwo
AAAAAAAAAAAAABw++MExMagHfEabm99nmb7O6gAvMr1H28zI/SgX1HOcVxfwdYV+hEf0OS7o/01m/wHTP9GP2ZH7HO+Nf4U2rGJLm/YweMvpTLbhBudujSMZ
8l5icPuska5iK4bObnP9a4ZK7DsZ8IJNrKmGLXXLdog1zWyT7EwzUQm2yTQjjWjN20YVnAu3rdImy3Kl2iyLpcVKaUOuNneRIiNJXKrXlor1erlaK9dLpfJS
uVbNIZMQ68Laio2k11HHcUypUBBL1XyR/omSWCrXimg9h3SsESQhXUQ9FlPDIprRJfL0R3DwZJvw4LzINuUi0+vsefwXVAjbxK5uGfrGeQc7ZBd1DbocbvC3
ejoaOF1Zo0HnukvD38CqTXq0s63QRdSdhqLLZNvfLNSPvzE5+F0BAAAAAAAAAODwET7A/H+Z6dfG8n91LP9/l9lfZ/oMH8z/V1j+/93/IP8PBneMrQTr9god
gYZXzlfyxX+xRLB1wCWCHGqpCs2vb9enWkfrf28pYfimywtjpQRtrJSwNbIyLtsHXFoQbMewcJuMLv9ItYGHXzEAAAAAAAAAAO4E4R/M/9fCnv5UCPq/JgTz
/0YkmP+/HYH8/+7y/9jg3KTtOG0vMf3lmN5nepnpszSANJt7F5nz7r/H9E2mzzFd4j394cjwg38CkUAFi7RpRmvtFNzEWGlr2LQLdscwCzZxHEVv2yk+w2e5
0yc2a3YoMZvgu2J6Zrlvu4rNdNhQ/bQ+fLduw1l+oludXPa/AEO3pya7bRs6SQkZgUZ68tYuBdeEeYoMfDrTnDK76DCKuWEHm7Qs4jBrE9v2ZcOSU9FMlIZx
kYYhEb0leUZNY1vqihLdFaIU4viwEInG4jOJI8mjx2ZTx9P33Hvf/Q9kHjxx8qGHT81lH0GPPjb/+BNPPnV6IXcmXyiKpfLiUqVaq0tPP/Psc8+zSGLTY7II
lnFTJalYJkZjyvanJtmfmuj5vmE6qehZp0OyLZVgf9/Hh57nh57JNtZMleRbhlZwOu4ieoO4Ux/PxKn/S7sImwr7FiAJjfbounWjTUWX6fWX3d5UugUfGTsY
Sbt+eYk6Q70csk3Scq+yDjJpGTuo14OK2X+jYnYEKmYAAAAAAAAT2Hv1xjs/fzH7+y8rX3/8ibQgXfvot6PGlV+rq/vffhW7+uP7fwKrTbD3IFAAAA==
"""


def snapshot_bytes() -> bytes:
    """The file, trailer included."""
    return gzip.decompress(base64.b64decode(_TEXT))
