# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that make a Debian installation a machine ready for kubeadm: units, containerd and sshd settings. Text only."""

from __future__ import annotations

USER = "ops"
USER_ID = 1000

CONTAINERD = """\
version = 2

[plugins."io.containerd.grpc.v1.cri"]
  # Without CAP_SYS_RESOURCE runc cannot lower an oom score and dies; with it this changes nothing that a lab needs.
  restrict_oom_score_adj = true
  sandbox_image = "@PAUSE@"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""

CRICTL = """\
runtime-endpoint: unix:///run/containerd/containerd.sock
image-endpoint: unix:///run/containerd/containerd.sock
timeout: 10
"""

KUBELET_UNIT = """\
[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target containerd.service

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
"""

# As in the Debian package of kubeadm.
KUBELET_KUBEADM_DROP_IN = """\
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"""

# A machine without a cluster has the kubelet enabled but not running, instead of failing every ten seconds.
KUBELET_LAB_DROP_IN = """\
[Unit]
ConditionPathExists=/var/lib/kubelet/config.yaml
"""

# systemd-nspawn mounts the cgroup v1 controllers read-only; they show nothing but the node's own cgroups, so the node may write.
CGROUP_UNIT = """\
[Unit]
Description=Make the cgroup hierarchies of this machine writable
DefaultDependencies=no
Before=sysinit.target containerd.service
ConditionPathIsMountPoint=/sys/fs/cgroup

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/lifeboat-lab/writable-cgroups

[Install]
WantedBy=sysinit.target
"""

CGROUP_SCRIPT = """\
#!/bin/sh
# Remount what of /sys/fs/cgroup is read-only.
set -eu
while read -r _ target kind options _; do
    case "$target" in /sys/fs/cgroup | /sys/fs/cgroup/*) ;; *) continue ;; esac
    case "$kind" in tmpfs | cgroup | cgroup2) ;; *) continue ;; esac
    case ",$options," in *,ro,*) mount -o remount,bind,rw "$target" ;; esac
done < /proc/self/mounts
"""

SSHD = """\
PasswordAuthentication no
HostKey /etc/ssh/ssh_host_ed25519_key
# Ansible with many forks opens more than the default of ten sessions at once.
MaxStartups 100
MaxSessions 100
"""

SUDOERS_FILE = f"etc/sudoers.d/{USER}"
SUDOERS = f"{USER} ALL=(ALL) NOPASSWD: ALL\n"
SUDOERS_WITH_PASSWORD = f"{USER} ALL=(ALL) ALL\n"

# As guides for hardening have it: nothing is executed where everybody may write.
FSTAB_NO_EXECUTION = """\
tmpfs /tmp tmpfs rw,nosuid,nodev,noexec,mode=1777 0 0
/var/tmp /var/tmp none rw,nosuid,nodev,noexec,bind 0 0
"""

JOURNALD = """\
[Journal]
Storage=persistent
SystemMaxUse=64M
# The kernel's messages are those of the whole box.
ReadKMsg=no
"""

# What a node must not do to the kernel it shares with the whole box, and what only costs time.
MASKED_UNITS = (
    *("systemd-sysctl.service", "systemd-modules-load.service", "systemd-networkd.service", "console-getty.service", "getty@tty1.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer"),
    *("sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount", "dev-hugepages.mount"),
    *(
        "modprobe@configfs.service",
        "modprobe@dm_mod.service",
        "modprobe@drm.service",
        "modprobe@efi_pstore.service",
        "modprobe@fuse.service",
        "modprobe@loop.service",
    ),
    *("systemd-update-utmp.service", "systemd-update-utmp-runlevel.service"),
)

ENABLED_UNITS = ("lab-cgroups.service:sysinit.target", "kubelet.service:multi-user.target")


def files(pause_image: str) -> dict[str, tuple[str, int]]:
    """Path to content and mode."""
    return {
        "etc/containerd/config.toml": (CONTAINERD.replace("@PAUSE@", pause_image), 0o644),
        "etc/crictl.yaml": (CRICTL, 0o644),
        "usr/lib/systemd/system/kubelet.service": (KUBELET_UNIT, 0o644),
        "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": (KUBELET_KUBEADM_DROP_IN, 0o644),
        "etc/systemd/system/kubelet.service.d/20-lab.conf": (KUBELET_LAB_DROP_IN, 0o644),
        "etc/systemd/system/lab-cgroups.service": (CGROUP_UNIT, 0o644),
        "usr/lib/lifeboat-lab/writable-cgroups": (CGROUP_SCRIPT, 0o755),
        "etc/ssh/sshd_config.d/lab.conf": (SSHD, 0o644),
        SUDOERS_FILE: (SUDOERS, 0o440),
        "etc/systemd/journald.conf.d/lab.conf": (JOURNALD, 0o644),
    }
