/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Programs started, processes ended, connections made and taken, as records in a ring buffer.
 *
 * A record is a `struct record` without the part of `body` that it does not use, read by records.py. In `body` follow,
 * one after the other: the executable's path, the working directory, then the arguments as they lie in memory, or the
 * program that was refused, or the socket address. A path is its names, innermost first, each with a NUL behind it.
 *
 * Success of a program's start is told by sched_process_exec, whatever system call and word size it came through; the
 * rest by the end of the native system calls. 32-bit system calls stay with the kernel's audit.
 */
#include "kernel.h"

enum kind { EXEC = 1, REFUSED, CONNECT, BIND, ACCEPT, ACCEPT4, EXIT, KINDS };
enum flag { EXE_DELETED = 1, CWD_DELETED = 2, TRUNCATED = 4, UNREADABLE = 8, BY_DESCRIPTOR = 16 };

#define PATHS_MAX 8192
#define ARGS_MAX 16384
#define NAME_SIZE 256
#define PATH_SIZE 4096
#define DEPTH_MAX 64
#define INET 2
#define INET6 10
#define EBADF 9
#define EPERM 1
#define EACCES 13
#define ENOTSOCK 88
#define EINPROGRESS 115
#define ROOT_CGROUP 1
#define AT_FDCWD (-100)

#if defined(__TARGET_ARCH_x86)
enum { NR_CONNECT = 42, NR_ACCEPT = 43, NR_BIND = 49, NR_EXECVE = 59, NR_ACCEPT4 = 288, NR_EXECVEAT = 322 };
#define NUMBER(regs) ((regs)->orig_ax & ~0x40000000UL) /* without the bit of the x32 ABI */
#define ARGUMENT_1(regs) ((regs)->di)
#define ARGUMENT_2(regs) ((regs)->si)
#define ARGUMENT_3(regs) ((regs)->dx)
#define IS_32_BIT(task) (BPF_CORE_READ(task, thread_info.status) & 2)
#elif defined(__TARGET_ARCH_arm64)
enum { NR_CONNECT = 203, NR_ACCEPT = 202, NR_BIND = 200, NR_EXECVE = 221, NR_ACCEPT4 = 242, NR_EXECVEAT = 281 };
#define NUMBER(regs) ((regs)->syscallno)
#define ARGUMENT_1(regs) ((regs)->orig_x0)
#define ARGUMENT_2(regs) ((regs)->regs[1])
#define ARGUMENT_3(regs) ((regs)->regs[2])
#define IS_32_BIT(task) (BPF_CORE_READ(task, thread_info.flags) & (1UL << 22))
#else
#error "no system call numbers for this architecture"
#endif

/* The process, the same in all its records until it changes; behind `pid`, the same in all that one parent starts. */
struct who {
	__u64 start_ns; /* since boot, as all times here */
	__u32 pid, parent_pid;
	__u64 parent_start_ns;
	__u64 cgroup;
	__u32 uid, euid, gid, egid;
	__u32 auid, session;
	char comm[16];
	char tty[64];
};

/* A socket address, as bind(2) and connect(2) take it. */
struct address {
	__u16 family;
	__be16 port; /* as it travels */
	__be32 ip;
	struct in6_addr ip6;
	__u32 scope;
};

struct record {
	__u64 time_ns;
	__u16 kind, flags;
	__s32 result;
	__u16 exe_size, cwd_size;
	__u32 rest_size, whole_size; /* bytes of arguments here, and that there were; REFUSED: does the name need the cwd? */
	__u32 end; /* of what is in `body` */
	struct who who;
	char body[PATHS_MAX + ARGS_MAX];
};

#define HEAD_SIZE __builtin_offsetof(struct record, body)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} records SEC(".maps");

/* A record while it is written, per CPU and program: the kernel runs none twice at a time on a CPU. */
enum slot { OF_EXEC, OF_SYS_EXIT, OF_EXIT, SLOTS };
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct record);
} scratch SEC(".maps");

/* Records that found no room, by kind. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KINDS);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

char LICENSE[] SEC("license") = "GPL";

/* The verifier only knows a bound if it is checked in the register that is used: hence the barriers. */
static __always_inline __u64 at_most(__u64 value, __u64 most)
{
	barrier_var(value);
	if (value > most)
		value = most;
	barrier_var(value);
	return value;
}

/* The id of the process's cgroup; where version 1 rules, of that for memory, with the highest bit set. */
static __always_inline __u64 cgroup_of(struct task_struct *task)
{
	__u64 id = bpf_get_current_cgroup_id();
	if (id != ROOT_CGROUP || !bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return id;
	int memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *state = 0;
	bpf_probe_read_kernel(&state, sizeof(state), __builtin_preserve_access_index(&set->subsys[0]) + memory);
	return state ? BPF_CORE_READ(state, cgroup, kn, id) | 1ULL << 63 : id;
}

static __always_inline struct record *begin(__u16 kind, struct task_struct *task)
{
	__u32 slot = kind == EXEC ? OF_EXEC : kind == EXIT ? OF_EXIT : OF_SYS_EXIT;
	struct record *record = bpf_map_lookup_elem(&scratch, &slot);
	if (!record)
		return 0;
	record->time_ns = bpf_ktime_get_boot_ns();
	record->kind = kind;
	record->flags = 0;
	record->result = 0;
	record->exe_size = record->cwd_size = 0;
	record->rest_size = record->whole_size = record->end = 0;

	struct who *who = &record->who;
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	who->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	who->parent_start_ns = BPF_CORE_READ(parent, group_leader, start_boottime);
	who->cgroup = cgroup_of(task);
	who->pid = BPF_CORE_READ(task, tgid);
	who->parent_pid = BPF_CORE_READ(parent, tgid);
	who->uid = BPF_CORE_READ(cred, uid.val);
	who->euid = BPF_CORE_READ(cred, euid.val);
	who->gid = BPF_CORE_READ(cred, gid.val);
	who->egid = BPF_CORE_READ(cred, egid.val);
	who->auid = who->session = -1;
	if (bpf_core_field_exists(task->loginuid)) {
		who->auid = BPF_CORE_READ(task, loginuid.val);
		who->session = BPF_CORE_READ(task, sessionid);
	}
	bpf_get_current_comm(who->comm, sizeof(who->comm));
	struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);
	__builtin_memset(who->tty, 0, sizeof(who->tty)); /* what lies behind the NUL is part of the key that records share */
	if (tty)
		bpf_probe_read_kernel_str(who->tty, sizeof(who->tty), BPF_CORE_READ(tty, name));
	return record;
}

/* Append a path's names up to the process's root. Where they end is kept in the record, as the verifier would otherwise
 * follow each length that the names before may have had. */
static __noinline int add_path(struct record *record, struct path *path, struct fs_struct *fs, __u16 deleted)
{
	struct dentry *dentry = BPF_CORE_READ(path, dentry);
	struct mount *mount = container_of(BPF_CORE_READ(path, mnt), struct mount, mnt);
	struct dentry *root = BPF_CORE_READ(fs, root.dentry);
	struct mount *root_mount = container_of(BPF_CORE_READ(fs, root.mnt), struct mount, mnt);

	if (!BPF_CORE_READ(dentry, d_hash.pprev) && dentry != BPF_CORE_READ(mount, mnt.mnt_root))
		record->flags |= deleted;
	for (int i = 0; i < DEPTH_MAX; i++) {
		if (dentry == root && mount == root_mount)
			return 0;
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			struct mount *above = BPF_CORE_READ(mount, mnt_parent);
			if (above == mount)
				return 0;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			continue;
		}
		__u64 at = at_most(record->end, PATHS_MAX - NAME_SIZE);
		long size = bpf_probe_read_kernel_str(record->body + at, NAME_SIZE, BPF_CORE_READ(dentry, d_name.name));
		if (size < 0 || at == PATHS_MAX - NAME_SIZE)
			break;
		record->end = at + size;
		if (dentry == parent) /* no file system holds it: a memory file */
			return 0;
		dentry = parent;
	}
	record->flags |= TRUNCATED;
	return 0;
}

static __always_inline void add_exe(struct record *record, struct task_struct *task, struct fs_struct *fs)
{
	struct file *exe = BPF_CORE_READ(task, mm, exe_file);
	if (exe && fs)
		add_path(record, __builtin_preserve_access_index(&exe->f_path), fs, EXE_DELETED);
	record->exe_size = record->end;
}

static __always_inline void add_cwd(struct record *record, struct fs_struct *fs)
{
	add_path(record, __builtin_preserve_access_index(&fs->pwd), fs, CWD_DELETED);
	record->cwd_size = record->end - record->exe_size;
}

/* Where the rest of the body begins. */
static __always_inline char *rest(struct record *record)
{
	return record->body + at_most(record->end, PATHS_MAX);
}

static __always_inline void send(struct record *record, __u32 rest_size)
{
	record->rest_size = rest_size;
	__u64 size = at_most(HEAD_SIZE + record->end + rest_size, sizeof(*record));
	if (bpf_ringbuf_output(&records, record, size, 0)) {
		__u32 kind = record->kind;
		__u64 *count = bpf_map_lookup_elem(&lost, &kind);
		if (count)
			__sync_fetch_and_add(count, 1);
	}
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *binary)
{
	struct record *record = begin(EXEC, task);
	if (!record)
		return 0;
	if (BPF_CORE_READ(binary, fdpath))
		record->flags |= BY_DESCRIPTOR;
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	add_exe(record, task, fs);
	add_cwd(record, fs);

	unsigned long start = BPF_CORE_READ(task, mm, arg_start);
	record->whole_size = BPF_CORE_READ(task, mm, arg_end) - start;
	__u64 size = at_most(record->whole_size, ARGS_MAX);
	if (size < record->whole_size)
		record->flags |= TRUNCATED;
	if (bpf_probe_read_user(rest(record), size, (void *)start)) {
		record->flags |= UNREADABLE;
		size = 0;
	}
	send(record, size);
	return 0;
}

static __always_inline int refused(struct task_struct *task, struct pt_regs *regs, long nr, long result)
{
	if (result != -EACCES && result != -EPERM)
		return 0;
	struct record *record = begin(REFUSED, task);
	if (!record)
		return 0;
	const char *name = (const char *)ARGUMENT_1(regs);
	record->result = result;
	if (nr == NR_EXECVEAT) {
		name = (const char *)ARGUMENT_2(regs);
		record->flags |= BY_DESCRIPTOR;
		record->whole_size = (int)ARGUMENT_1(regs) == AT_FDCWD; /* then the name counts from the working directory */
	}
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	add_exe(record, task, fs);
	add_cwd(record, fs);
	long size = bpf_probe_read_user_str(rest(record), PATH_SIZE, name);
	if (size < 0) {
		record->flags |= UNREADABLE;
		size = 0;
	}
	send(record, size);
	return 0;
}

static __always_inline struct sock *sock_of(struct task_struct *task, long descriptor)
{
	struct file **files = BPF_CORE_READ(task, files, fdt, fd), *file = 0;
	bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
	struct socket *socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

/* The other end of a socket, as a socket address. */
static __always_inline void read_peer(struct sock *sock, struct address *peer)
{
	peer->family = BPF_CORE_READ(sock, __sk_common.skc_family);
	peer->port = BPF_CORE_READ(sock, __sk_common.skc_dport);
	if (peer->family == INET)
		peer->ip = BPF_CORE_READ(sock, __sk_common.skc_daddr);
	else if (peer->family == INET6)
		peer->ip6 = BPF_CORE_READ(sock, __sk_common.skc_v6_daddr);
}

/* Another thread may have changed the address since the kernel took it: then what the socket has is true. An address of
 * zeros stands for the host itself; it is told as it was given. */
static __always_inline void correct(struct address *given, struct address *peer)
{
	if (given->family != peer->family)
		return;
	if (given->family == INET && given->ip && (given->ip != peer->ip || given->port != peer->port)) {
		given->ip = peer->ip;
		given->port = peer->port;
	}
	__u64 *ours = (__u64 *)&given->ip6, *theirs = (__u64 *)&peer->ip6;
	if (given->family == INET6 && (ours[0] || ours[1]) &&
	    (ours[0] != theirs[0] || ours[1] != theirs[1] || given->port != peer->port)) {
		given->ip6 = peer->ip6;
		given->port = peer->port;
	}
}

/* The address that the caller gave, as audit has it: of the two families of IP only. */
static __always_inline int given(struct task_struct *task, struct pt_regs *regs, __u16 kind, long result)
{
	__u16 family = 0;
	__s32 size = ARGUMENT_3(regs);
	void *address = (void *)ARGUMENT_2(regs);
	if (size < 2 || size > 128 || result == -EBADF || (kind == BIND && result == -ENOTSOCK))
		return 0;
	if (bpf_probe_read_user(&family, sizeof(family), address) || (family != INET && family != INET6))
		return 0;
	struct record *record = begin(kind, task);
	if (!record)
		return 0;
	record->result = result;
	add_exe(record, task, BPF_CORE_READ(task, fs));
	__u64 taken = at_most(size, sizeof(struct address));
	struct address *kept = (struct address *)rest(record);
	if (bpf_probe_read_user(kept, taken, address))
		return 0;
	if (kind == CONNECT && (!result || result == -EINPROGRESS)) {
		struct address peer = {};
		read_peer(sock_of(task, ARGUMENT_1(regs)), &peer);
		correct(kept, &peer);
	}
	send(record, taken);
	return 0;
}

/* The other end, from the socket: most programs do not ask accept for it. */
static __always_inline int accepted(struct task_struct *task, __u16 kind, long result)
{
	if (result < 0)
		return 0;
	struct address peer = {};
	read_peer(sock_of(task, result), &peer);
	if (peer.family != INET && peer.family != INET6)
		return 0;
	struct record *record = begin(kind, task);
	if (!record)
		return 0;
	record->result = result;
	add_exe(record, task, BPF_CORE_READ(task, fs));
	__builtin_memcpy(rest(record), &peer, sizeof(peer));
	send(record, sizeof(peer));
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result)
{
	long nr = NUMBER(regs);
	if (nr != NR_CONNECT && nr != NR_ACCEPT && nr != NR_ACCEPT4 && nr != NR_BIND && nr != NR_EXECVE && nr != NR_EXECVEAT)
		return 0;
	struct task_struct *task = (void *)bpf_get_current_task();
	if (IS_32_BIT(task))
		return 0;
	if (nr == NR_CONNECT)
		return given(task, regs, CONNECT, result);
	if (nr == NR_BIND)
		return given(task, regs, BIND, result);
	if (nr == NR_ACCEPT)
		return accepted(task, ACCEPT, result);
	if (nr == NR_ACCEPT4)
		return accepted(task, ACCEPT4, result);
	return refused(task, regs, nr, result);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	if (BPF_CORE_READ(task, signal, live.counter))
		return 0; /* other threads go on */
	struct record *record = begin(EXIT, task);
	if (!record)
		return 0;
	int code = BPF_CORE_READ(task, signal, group_exit_code);
	record->result = code ? code : BPF_CORE_READ(task, exit_code);
	add_exe(record, task, BPF_CORE_READ(task, fs));
	send(record, 0);
	return 0;
}
