# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Defaults; rows of the dashboard's database win.
internal_infra_domain: infra.caasp.local
cluster_domain: cluster.local
services_cidr: 172.24.0.0/16
