/* User namespaces that exist only for their id mappings, as id-mapped mounts want them. */
#ifndef IDMAP_H
#define IDMAP_H

#include <stddef.h>

struct error;
struct spec_id_map;

/* A user namespace with these mappings and no process in it. Descriptor or negative. */
int idmap_userns(const struct spec_id_map *uids, size_t n_uids, const struct spec_id_map *gids, size_t n_gids,
		 struct error *err);

#endif
