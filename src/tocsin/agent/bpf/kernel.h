/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Of the kernel's own types, the members that the sensor reads. Where they lie is found when the object is loaded, from
 * the running kernel's type information (CO-RE), so that neither its headers nor bpftool are needed to build.
 */
#pragma once

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum bpf_map_type { BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_RINGBUF = 27 };

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct { __u32 val; } kuid_t;
typedef struct { __u32 val; } kgid_t;
typedef struct { int counter; } atomic_t;

struct hlist_bl_node { struct hlist_bl_node **pprev; };
struct qstr { const unsigned char *name; };
struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
};
struct vfsmount { struct dentry *mnt_root; };
struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};
struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};
struct file {
	struct path f_path;
	void *private_data;
};
struct fdtable { struct file **fd; };
struct files_struct { struct fdtable *fdt; };
struct fs_struct { struct path root, pwd; };

struct in6_addr { __u8 bytes[16]; };
struct sock_common {
	__be32 skc_daddr;
	__be16 skc_dport;
	__u16 skc_family;
	struct in6_addr skc_v6_daddr;
};
struct sock { struct sock_common __sk_common; };
struct socket { struct sock *sk; };

enum cgroup_subsys_id { memory_cgrp_id };
struct kernfs_node { __u64 id; };
struct cgroup { struct kernfs_node *kn; };
struct cgroup_subsys_state { struct cgroup *cgroup; };
struct css_set { struct cgroup_subsys_state *subsys[1]; };

struct cred { kuid_t uid, euid; kgid_t gid, egid; };
struct tty_struct { char name[64]; };
struct signal_struct {
	atomic_t live;
	int group_exit_code;
	struct tty_struct *tty;
};
struct mm_struct {
	unsigned long arg_start, arg_end;
	struct file *exe_file;
};
struct thread_info {
	unsigned long flags;
	__u32 status;
};
struct task_struct {
	struct thread_info thread_info;
	int tgid, exit_code;
	__u64 start_boottime;
	struct task_struct *real_parent, *group_leader;
	const struct cred *cred;
	struct mm_struct *mm;
	struct fs_struct *fs;
	struct files_struct *files;
	struct signal_struct *signal;
	struct css_set *cgroups;
	kuid_t loginuid;
	unsigned int sessionid;
	char comm[16];
};
struct linux_binprm { const char *fdpath; };

#if defined(__TARGET_ARCH_x86)
struct pt_regs { unsigned long orig_ax, di, si, dx; };
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 orig_x0;
	__s32 syscallno;
};
#endif

#pragma clang attribute pop
