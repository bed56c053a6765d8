# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# A file with what the pillar says and a unit that belongs to it: shows that the admin node configures its cluster.
{%- if grains['id'] == 'ca' %}
# It shares the admin node with that one's own minion.
nothing to do:
  test.nop
{%- else %}
/etc/caasp-flag:
  file.managed:
    - contents: |
        dashboard={{ pillar['dashboard'] }}
        api={{ pillar['api:server:external_fqdn'] }}
        flag={{ pillar['flag'] }}

/etc/systemd/system/caasp-flag.service:
  file.managed:
    - contents: |
        [Unit]
        Description=Unit of the state flag
        [Service]
        Type=oneshot
        RemainAfterExit=yes
        ExecStart=/usr/bin/cp /etc/caasp-flag /run/caasp-flag
        [Install]
        WantedBy=multi-user.target

caasp-flag.service:
  service.running:
    - enable: True
    - watch:
      - file: /etc/caasp-flag
      - file: /etc/systemd/system/caasp-flag.service
{%- endif %}
