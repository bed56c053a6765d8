# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
mine_functions:
  nodename:
    - mine_function: grains.get
    - nodename
{%- if grains['id'] == 'ca' %}
  ca.crt:
    - mine_function: file.read
    - /etc/pki/ca.crt
  sa.key:
    - mine_function: file.read
    - /etc/pki/sa.key
{%- endif %}
