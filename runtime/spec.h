/* config.json as C structs, read-only after spec_load(). Everything borrows from the document; spec_free() releases
 * it all. The field tables in spec.c are the support matrix; rules between fields stand in spec_check.c.
 * Source: runtime-spec 1.3.0, config.md and config-linux.md. A `has_x` tells absent from zero where it matters. */
#ifndef SPEC_H
#define SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json.h"
#include "ns.h"

struct error;
struct buf;

struct spec_user {
	uint32_t uid, gid, umask;
	bool has_umask;
	uint32_t *additional_gids;
	size_t n_additional_gids;
};

struct spec_capabilities {
	char **bounding, **effective, **inheritable, **permitted, **ambient;
};

struct spec_rlimit {
	const char *type; /* "RLIMIT_NOFILE" */
	uint64_t soft, hard;
};

struct spec_console_size {
	uint32_t height, width;
};

struct spec_process {
	bool terminal;
	struct spec_console_size *console_size;
	struct spec_user user;
	char **args;
	char **env;
	const char *cwd;
	struct spec_capabilities *capabilities;
	struct spec_rlimit *rlimits;
	size_t n_rlimits;
	bool no_new_privileges;
	int32_t oom_score_adj;
	bool has_oom_score_adj;
	const char *apparmor_profile; /* NULL or "": none */
	/* selinuxLabel, scheduler, ioPriority, execCPUAffinity, commandLine: see the table */
};

struct spec_root {
	const char *path; /* as written; spec_load() leaves it relative to the bundle */
	bool readonly;
};

struct spec_id_map {
	uint32_t container_id, host_id, size;
};

struct spec_mount {
	const char *destination, *type, *source;
	char **options;
	struct spec_id_map *uid_mappings, *gid_mappings;
	size_t n_uid_mappings, n_gid_mappings;
};

struct spec_hook {
	const char *path;
	char **args, **env;
	uint32_t timeout; /* seconds; 0: none */
};

/* In the order in which they run. */
enum hook_kind {
	HOOK_PRESTART,
	HOOK_CREATE_RUNTIME,
	HOOK_CREATE_CONTAINER,
	HOOK_START_CONTAINER,
	HOOK_POSTSTART,
	HOOK_POSTSTOP,
	HOOK_KINDS
};

struct spec_hooks {
	struct spec_hook *list[HOOK_KINDS];
	size_t n[HOOK_KINDS];
};

struct spec_namespace {
	int kind; /* enum ns_kind */
	const char *path; /* join this one; NULL: a new one */
};

struct spec_device {
	const char *type; /* "c", "b", "u", "p" */
	const char *path;
	int64_t major, minor;
	bool has_major, has_minor;
	uint32_t file_mode, uid, gid;
	bool has_file_mode, has_uid, has_gid;
};

/* "name in the container" of the host's interface `key`. Written as an object {"eth0": {"name": "..."}}. */
struct spec_netdev {
	const char *host_name;
	const char *name; /* NULL: keep; may hold one %d */
};

struct spec_device_rule {
	bool allow;
	const char *type; /* "a" (default), "c", "b" */
	int64_t major, minor;
	bool has_major, has_minor; /* absent: all */
	const char *access; /* "rwm" */
};

struct spec_memory {
	int64_t limit, reservation, swap;
	bool has_limit, has_reservation, has_swap;
	int64_t kernel, kernel_tcp; /* ignored: kernels have no such limits any more */
	uint64_t swappiness;
	bool has_swappiness;
	bool disable_oom_killer, has_disable_oom_killer;
	bool use_hierarchy, has_use_hierarchy;
	bool check_before_update;
};

struct spec_cpu {
	uint64_t shares, period, burst;
	int64_t quota, idle;
	bool has_shares, has_period, has_burst, has_quota, has_idle;
	uint64_t rt_period;
	int64_t rt_runtime;
	const char *cpus, *mems;
};

struct spec_pids {
	int64_t limit; /* 0: no process but init; negative: unlimited */
	bool has_limit;
};

/* 0: unset. */
struct spec_weight_device {
	int64_t major, minor;
	uint32_t weight, leaf_weight;
};

struct spec_throttle_device {
	int64_t major, minor;
	uint64_t rate; /* bytes or operations a second; 0: unlimited */
};

struct spec_block_io {
	uint32_t weight, leaf_weight; /* 10..1000; 0: unset */
	struct spec_weight_device *weight_devices;
	struct spec_throttle_device *read_bps, *write_bps, *read_iops, *write_iops;
	size_t n_weight_devices, n_read_bps, n_write_bps, n_read_iops, n_write_iops;
};

struct spec_hugepage_limit {
	const char *page_size; /* "2MB", as the kernel's files have it */
	uint64_t limit;	       /* bytes; 0 is a limit */
};

struct spec_if_priority {
	const char *name; /* of the host's link */
	uint32_t priority;
};

struct spec_network {
	uint32_t class_id; /* 0: unset */
	struct spec_if_priority *priorities;
	size_t n_priorities;
};

/* Written as an object {"mlx5_1": {"hcaHandles": 3}}. */
struct spec_rdma {
	const char *device;
	uint32_t handles, objects; /* 0 is a limit */
	bool has_handles, has_objects;
};

struct spec_resources {
	struct spec_device_rule *devices;
	size_t n_devices;
	struct spec_memory *memory;
	struct spec_cpu *cpu;
	struct spec_pids *pids;
	struct spec_block_io *block_io;
	struct spec_hugepage_limit *hugepages;
	size_t n_hugepages;
	struct spec_network *network;
	const struct json_value *rdma_raw;
	struct spec_rdma *rdma; /* from the raw object, in its order */
	size_t n_rdma;
	struct json_map unified; /* file name -> value, cgroup v2 */
};

struct spec_syscall_arg {
	uint32_t index;
	uint64_t value, value_two;
	const char *op; /* "SCMP_CMP_EQ" ... */
};

struct spec_syscall {
	char **names;
	const char *action;
	uint32_t errno_ret;
	bool has_errno_ret;
	struct spec_syscall_arg *args;
	size_t n_args;
};

struct spec_seccomp {
	const char *default_action;
	uint32_t default_errno_ret;
	bool has_default_errno_ret;
	char **architectures;
	char **flags;
	const char *listener_path, *listener_metadata;
	struct spec_syscall *syscalls;
	size_t n_syscalls;
};

struct spec_linux {
	struct spec_namespace *namespaces;
	size_t n_namespaces;
	struct spec_id_map *uid_mappings, *gid_mappings;
	size_t n_uid_mappings, n_gid_mappings;
	struct spec_device *devices;
	size_t n_devices;
	const struct json_value *net_devices_raw;
	struct spec_netdev *net_devices; /* from the raw object, in its order */
	size_t n_net_devices;
	const char *cgroups_path;
	struct spec_resources *resources;
	struct spec_seccomp *seccomp;
	struct json_map sysctl;
	char **masked_paths, **readonly_paths;
	const char *rootfs_propagation;
	const char *mount_label;
};

/* An attachment that the annotations org.nsrun.net.<ifname> (or --net) ask for; sorted by ifname. */
struct spec_attachment {
	const char *ifname;
	const char *file; /* relative to the bundle, or absolute */
};

struct spec {
	const char *oci_version;
	struct spec_root *root;
	struct spec_process *process;
	const char *hostname, *domainname;
	struct spec_mount *mounts;
	size_t n_mounts;
	struct spec_hooks hooks;
	struct json_map annotations;
	struct spec_linux linux_; /* zero when config.json has no "linux" */

	/* Taken from the annotations (specs/bundle.md). */
	const char *netns_name;	  /* org.nsrun.netns */
	const char *services;	  /* org.nsrun.services */
	struct spec_attachment *attachments;
	size_t n_attachments;

	/* Not from the text. */
	struct json_doc *doc;
	char *text; /* the file as it was read, kept for the state directory */
	size_t text_len;
};

/* The namespace entry of that kind, or NULL. */
const struct spec_namespace *spec_namespace(const struct spec *s, enum ns_kind kind);
/* The annotation's value, or NULL. */
const char *spec_annotation(const struct spec *s, const char *key);
/* Adds an attachment (from --net), keeping the order; replaces one of the same name. */
int spec_add_attachment(struct spec *s, const char *ifname, const char *file, struct error *err);

/* Reads, decodes and checks a file (config.json of a bundle, or the state directory's copy). 0 or a negative code;
 * then *s holds nothing. */
int spec_load(struct spec *s, int dirfd, const char *path, struct error *err);
void spec_free(struct spec *s);

/* The same from text (copied); `name` starts the messages. s->text stays NULL. */
int spec_parse(struct spec *s, const char *name, const char *text, size_t len, struct error *err);

/* The rules between fields (spec_check.c); spec_load() has called it. */
int spec_check(const struct spec *s, struct error *err);
/* The rules that depend on the host as it is now: a network namespace joined by path must not be the caller's own when
 * sysctls, netDevices or attachments would change it. For `create`; not for what exists already. */
int spec_check_host(const struct spec *s, struct error *err);

/* "RLIMIT_NOFILE" -> RLIMIT_NOFILE. */
extern const struct word spec_rlimit_words[];
/* True for what the kernel takes as an interface's name, without '%'. */
bool spec_is_ifname(const char *s);

/* Decodes and checks a process object of its own (exec --process, the services file). Memory lives as long as doc. */
int spec_process_decode(struct json_doc *doc, const struct json_value *v, struct spec_process *p, const char *where,
			struct error *err);

/* Decodes and checks a resources object of its own (update). Memory lives as long as doc. */
int spec_resources_decode(struct json_doc *doc, const struct json_value *v, struct spec_resources *r, const char *where,
			  struct error *err);

/* The tables, for `features`, the support matrix and the other decoders. */
extern const struct json_type spec_type, spec_process_type, spec_resources_type, spec_hook_type;

#endif
