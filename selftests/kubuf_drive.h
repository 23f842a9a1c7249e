/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The module that stands for a driver with buffers.
 */
#ifndef KUBUF_DRIVE_H
#define KUBUF_DRIVE_H

#include "client/kubuf_client.h"
#include "kubuf_module.h"

#define CLIENT_NODE	"/dev/kubuf-client"

static inline int client_load(void)
{
	return module_load_other("kubuf_client", "");
}

static inline int client_unload(void)
{
	return syscall(__NR_delete_module, "kubuf_client", O_NONBLOCK) ?
	       -errno : 0;
}

static inline bool client_is_loaded(void)
{
	return !access("/sys/module/kubuf_client", F_OK);
}

static inline int client_open(int flags)
{
	int fd = open(CLIENT_NODE, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* What needs nothing but the number of an object. */
static inline int client_do(int client, unsigned long cmd, __u32 object)
{
	struct client_args args = { .object = object };

	return kioctl(client, cmd, &args);
}

/* The number of the object, or -errno. */
static inline int client_create(int client, __u32 backing, size_t length,
				__u32 flags)
{
	struct client_args args = {
		.kind = backing,
		.flags = flags,
		.length = length,
		.node = -1,
	};
	int ret = kioctl(client, CLIENT_CREATE, &args);

	return ret ? ret : (int)args.object;
}

static inline int client_wrap(int client, __u32 kind, size_t length,
			      __u32 flags)
{
	struct client_args args = {
		.kind = kind,
		.flags = flags,
		.length = length,
	};
	int ret = kioctl(client, CLIENT_WRAP, &args);

	return ret ? ret : (int)args.object;
}

static inline int client_register(int client, __u32 object, const char *name,
				  __u32 mode)
{
	struct client_args args = { .object = object, .mode = mode };

	for (int i = 0; i < CLIENT_NAME_SIZE - 1 && name[i]; i++)
		args.name[i] = name[i];
	return kioctl(client, CLIENT_REGISTER, &args);
}

/* How often the memory of an object was released, or -errno. */
static inline int client_released(int client, __u32 object)
{
	struct client_args args = { .object = object };
	int ret = kioctl(client, CLIENT_STATUS, &args);

	return ret ? ret : (int)args.released;
}

static inline bool client_reusable(int client, __u32 object)
{
	struct client_args args = { .object = object };

	return !kioctl(client, CLIENT_STATUS, &args) && args.reusable;
}

/* Map an object by the driver's own node. */
static inline char *client_map(int client, __u32 object, size_t length,
			       int prot)
{
	if (client_do(client, CLIENT_SELECT, object))
		return MAP_FAILED;
	return buf_map(client, length, prot);
}

static inline int client_copy(int client, unsigned long cmd, __u32 object,
			      char *p, size_t length)
{
	struct client_args args = {
		.object = object,
		.length = length,
		.address = (uintptr_t)p,
	};

	return kioctl(client, cmd, &args);
}

/* Let the driver store the pattern, at the kernel's address. */
static inline bool client_fill(int client, __u32 object, size_t length,
			       unsigned int seed)
{
	char *tmp = malloc(length);
	bool ok;

	if (!tmp)
		return false;
	fill(tmp, length, seed);
	ok = !client_copy(client, CLIENT_STORE, object, tmp, length);
	free(tmp);
	return ok;
}

/* Let it load: is it the pattern? */
static inline bool client_holds(int client, __u32 object, size_t length,
				unsigned int seed)
{
	char *tmp = malloc(length);
	bool ok = tmp &&
		  !client_copy(client, CLIENT_LOAD, object, tmp, length) &&
		  mismatch(tmp, length, seed) == length;

	free(tmp);
	return ok;
}

#endif /* KUBUF_DRIVE_H */
