/* The field tables of config.json's "linux" (runtime-spec config-linux.md). spec.c says how refusals work. */
#include "json.h"
#include "spec.h"
#include "spec_parts.h"

static const struct json_field id_map_fields[] = {
	F_U32(struct spec_id_map, "containerID", container_id, JSON_REQUIRED),
	F_U32(struct spec_id_map, "hostID", host_id, JSON_REQUIRED),
	F_U32(struct spec_id_map, "size", size, JSON_REQUIRED),
	F_END,
};
JSON_TYPE(spec_id_map_type, struct spec_id_map, id_map_fields);

static const struct word namespace_words[] = {
	{"user", NS_USER}, {"cgroup", NS_CGROUP}, {"ipc", NS_IPC},   {"uts", NS_UTS}, {"network", NS_NET},
	{"pid", NS_PID},   {"time", NS_TIME},	  {"mount", NS_MOUNT}, {NULL, 0},
};

static const struct json_field namespace_fields[] = {
	F_WORD(struct spec_namespace, "type", kind, namespace_words, JSON_REQUIRED),
	F_STRING(struct spec_namespace, "path", path, 0),
	F_END,
};
static JSON_TYPE(namespace_type, struct spec_namespace, namespace_fields);

static const struct json_field device_fields[] = {
	F_STRING(struct spec_device, "type", type, JSON_REQUIRED),
	F_STRING(struct spec_device, "path", path, JSON_REQUIRED | JSON_ABSOLUTE),
	F_I64_HAS(struct spec_device, "major", major, has_major, 0),
	F_I64_HAS(struct spec_device, "minor", minor, has_minor, 0),
	F_U32_HAS(struct spec_device, "fileMode", file_mode, has_file_mode, 0),
	F_U32_HAS(struct spec_device, "uid", uid, has_uid, 0),
	F_U32_HAS(struct spec_device, "gid", gid, has_gid, 0),
	F_END,
};
static JSON_TYPE(device_type, struct spec_device, device_fields);

/* --- seccomp ------------------------------------------------------------------------------------------------ */

static const struct json_field syscall_arg_fields[] = {
	F_U32(struct spec_syscall_arg, "index", index, JSON_REQUIRED),
	F_U64(struct spec_syscall_arg, "value", value, JSON_REQUIRED),
	F_U64(struct spec_syscall_arg, "valueTwo", value_two, 0),
	F_STRING(struct spec_syscall_arg, "op", op, JSON_REQUIRED),
	F_END,
};
static JSON_TYPE(syscall_arg_type, struct spec_syscall_arg, syscall_arg_fields);

static const struct json_field syscall_fields[] = {
	F_STRINGS(struct spec_syscall, "names", names, JSON_REQUIRED | JSON_NONEMPTY),
	F_STRING(struct spec_syscall, "action", action, JSON_REQUIRED),
	F_U32_HAS(struct spec_syscall, "errnoRet", errno_ret, has_errno_ret, 0),
	F_LIST(struct spec_syscall, "args", args, n_args, &syscall_arg_type, 0),
	F_END,
};
static JSON_TYPE(syscall_type, struct spec_syscall, syscall_fields);

static const struct json_field seccomp_fields[] = {
	F_STRING(struct spec_seccomp, "defaultAction", default_action, JSON_REQUIRED),
	F_U32_HAS(struct spec_seccomp, "defaultErrnoRet", default_errno_ret, has_default_errno_ret, 0),
	F_STRINGS(struct spec_seccomp, "architectures", architectures, 0),
	F_STRINGS(struct spec_seccomp, "flags", flags, 0),
	F_STRING(struct spec_seccomp, "listenerPath", listener_path, 0),
	F_STRING(struct spec_seccomp, "listenerMetadata", listener_metadata, 0),
	F_LIST(struct spec_seccomp, "syscalls", syscalls, n_syscalls, &syscall_type, 0),
	F_END,
};
static JSON_TYPE(seccomp_type, struct spec_seccomp, seccomp_fields);

/* --- all of it ---------------------------------------------------------------------------------------------- */

static const struct json_field linux_fields[] = {
	F_LIST(struct spec_linux, "namespaces", namespaces, n_namespaces, &namespace_type, 0),
	F_LIST(struct spec_linux, "uidMappings", uid_mappings, n_uid_mappings, &spec_id_map_type, 0),
	F_LIST(struct spec_linux, "gidMappings", gid_mappings, n_gid_mappings, &spec_id_map_type, 0),
	F_REFUSED("timeOffsets", "nsrun cannot set the clocks of a time namespace yet"),
	F_LIST(struct spec_linux, "devices", devices, n_devices, &device_type, 0),
	F_RAW(struct spec_linux, "netDevices", net_devices_raw, 0),
	F_STRING(struct spec_linux, "cgroupsPath", cgroups_path, 0),
	F_POINTER(struct spec_linux, "resources", resources, &spec_resources_type, 0),
	F_POINTER(struct spec_linux, "seccomp", seccomp, &seccomp_type, 0),
	F_MAP(struct spec_linux, "sysctl", sysctl, 0),
	F_STRINGS(struct spec_linux, "maskedPaths", masked_paths, 0),
	F_STRINGS(struct spec_linux, "readonlyPaths", readonly_paths, 0),
	F_STRING(struct spec_linux, "rootfsPropagation", rootfs_propagation, 0),
	F_REFUSED("mountLabel", "nsrun cannot set SELinux labels yet"),
	F_REFUSED("intelRdt", "nsrun cannot use Intel RDT yet"),
	F_REFUSED("memoryPolicy", "nsrun cannot set memory policies yet"),
	F_REFUSED("personality", "nsrun cannot set the execution domain yet"),
	F_END,
};
JSON_TYPE(spec_linux_type, struct spec_linux, linux_fields);
