/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TCP over a loopback of one's own.
 */
#ifndef KUBUF_NET_H
#define KUBUF_NET_H

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <linux/errqueue.h>

#include "kubuf_util.h"

/* A network of one's own with nothing but a loopback that is up. */
static inline bool own_loopback(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s;
	bool ok;

	if (unshare(CLONE_NEWNET))
		return false;
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ok = !ioctl(s, SIOCSIFFLAGS, &ifr);
	close(s);
	return ok;
}

/* Both ends of a connection over TCP. */
static inline bool tcp_pair(int sv[2])
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sv[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || sv[0] < 0 || bind(s, (struct sockaddr *)&addr, len) ||
	    listen(s, 1) || getsockname(s, (struct sockaddr *)&addr, &len) ||
	    connect(sv[0], (struct sockaddr *)&addr, len))
		return false;
	sv[1] = accept(s, NULL, NULL);
	close(s);
	return sv[1] >= 0;
}

/* The completion that MSG_ZEROCOPY promises: 0, or what went wrong. */
static inline int completion(int fd)
{
	struct pollfd pfd = { .fd = fd };
	char control[128];
	struct msghdr msg = {
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct sock_extended_err err;

	if (poll(&pfd, 1, 10000) != 1 || recvmsg(fd, &msg, MSG_ERRQUEUE) < 0 ||
	    !CMSG_FIRSTHDR(&msg))
		return -ETIME;
	memcpy(&err, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(err));
	return err.ee_origin == SO_EE_ORIGIN_ZEROCOPY ? (int)err.ee_errno :
							-EPROTO;
}

#endif /* KUBUF_NET_H */
