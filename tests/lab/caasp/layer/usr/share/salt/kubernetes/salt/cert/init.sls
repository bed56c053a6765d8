# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Key pairs of a machine by its roles, signed by the minion "ca" when missing or near their end; the CA and, on masters, the service account key.
{%- set host = grains['host'] %}
{%- set domain = pillar['internal_infra_domain'] %}
{%- set roles = grains['roles'] %}
{%- set master = 'kube-master' in roles %}
{%- set names = [host, host ~ '.' ~ domain, grains['machine_id'], grains['machine_id'] ~ '.' ~ domain] %}
{#- Addresses are in no other certificate of the product, not even those of nodes. #}
{%- set addresses = ', IP:172.24.0.1, IP:' ~ pillar['api:server:extra_ips'] %}
{%- set pairs = [('kubectl-client-cert', 'cluster-admin', 'system:masters')] if master or 'admin' in roles else [] %}
{%- if 'kube-master' in roles or 'kube-minion' in roles %}
{%- do pairs.extend([
      ('minion', host, 'system:nodes'),
      ('kubelet', 'system:node:' ~ host, 'system:nodes'),
      ('kube-proxy', 'system:kube-proxy', 'system:kube-proxy'),
    ]) %}
{%- endif %}
{%- if master %}
{%- do names.extend([
      'api', 'api.' ~ domain, 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc',
      'kubernetes.default.svc.' ~ pillar['cluster_domain'], pillar['api:server:external_fqdn'],
    ]) %}
{%- do pairs.extend([
      ('kube-apiserver', 'kube-apiserver', 'system:masters'),
      ('kube-apiserver-kubelet-client', 'kube-apiserver-kubelet-client', 'system:masters'),
      ('kube-apiserver-proxy-client', 'kube-apiserver-proxy-client', 'system:masters'),
      ('kube-controller-mgr', 'system:kube-controller-manager', 'system:kube-controller-manager'),
      ('kube-scheduler', 'system:kube-scheduler', 'system:kube-scheduler'),
    ]) %}

/etc/pki/sa.key:
  file.managed:
    - contents: {{ salt['mine.get']('ca', 'sa.key')['ca'] | json }}
    - mode: '0444'
    - show_changes: False
{%- endif %}

/etc/pki/trust/anchors/SUSE_CaaSP_CA.crt:
  file.managed:
    - contents: {{ salt['mine.get']('ca', 'ca.crt')['ca'] | json }}
    - mode: '0444'
    - makedirs: True
    - dir_mode: '0755'
{%- for name, common_name, organisation in pairs %}

/etc/pki/{{ name }}.key:
  x509.private_key_managed:
    - keysize: 2048
    - mode: '0444'

/etc/pki/{{ name }}.crt:
  x509.certificate_managed:
    - ca_server: ca
    - signing_policy: minion
    - private_key: /etc/pki/{{ name }}.key
    - CN: {{ common_name }}
    - O: {{ organisation }}
    - subjectAltName: "DNS:{{ names | join(', DNS:') }}{{ addresses if name == 'kube-apiserver' else '' }}"
    - days_remaining: 90
    - mode: '0644'
    - require:
      - x509: /etc/pki/{{ name }}.key
{%- endfor %}
