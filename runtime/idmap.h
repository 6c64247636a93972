/* Id mappings of user namespaces: of containers, and of those that exist only for their mappings, as id-mapped mounts
 * want them. */
#ifndef IDMAP_H
#define IDMAP_H

#include <stddef.h>
#include <sys/types.h>

struct error;
struct spec_id_map;
struct spec_linux;

/* Writes uidMappings and gidMappings for pid, which is in a new user namespace. For who is not root it must be dumpable,
 * else its files in /proc are not the caller's. */
int idmap_write(pid_t pid, const struct spec_linux *l, struct error *err);

/* A user namespace with these mappings and no process in it. Descriptor or negative. */
int idmap_userns(const struct spec_id_map *uids, size_t n_uids, const struct spec_id_map *gids, size_t n_gids,
		 struct error *err);

#endif
