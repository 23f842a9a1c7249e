/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two hosts that reach each other's memory by RDMA: two ends of a veth pair,
 * each with a soft RoCE device (rdma_rxe).
 */
#ifndef KUBUF_RDMA_H
#define KUBUF_RDMA_H

#include <infiniband/verbs.h>

#include "kubuf_util.h"

#define ACCESS	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
		 IBV_ACCESS_REMOTE_READ)

/* Any, that both sides agree on. */
#define FIRST_PSN	7

/* Leave nothing of the hosts. */
#define DOWN								\
	"rdma -f -b - <<END 2>/dev/null\n"				\
	"link delete kubuf0\n"						\
	"link delete kubuf1\n"						\
	"END\n"								\
	"ip -force -batch - <<END 2>/dev/null\n"			\
	"link delete kubuf0\n"						\
	"netns delete kubuf0\n"						\
	"netns delete kubuf1\n"						\
	"END\n"

/* Both in one network: each has to take packets that come from itself. */
#define UP_TOGETHER							\
	"set -e\n"							\
	"ip link add kubuf0 type veth peer name kubuf1\n"		\
	"for i in 0 1; do\n"						\
	"cd /proc/sys/net/ipv4/conf/kubuf$i\n"				\
	"echo 1 >accept_local; echo 0 >rp_filter\n"			\
	"done\n"							\
	"ip -batch - <<END\n"						\
	"address add 192.0.2.10/24 dev kubuf0\n"			\
	"address add 192.0.2.11/24 dev kubuf1\n"			\
	"link set kubuf0 up\n"						\
	"link set kubuf1 up\n"						\
	"END\n"								\
	"rdma -b - <<END\n"						\
	"link add kubuf0 type rxe netdev kubuf0\n"			\
	"link add kubuf1 type rxe netdev kubuf1\n"			\
	"END\n"

/* Each in a network of its own. */
#define UP_APART							\
	"set -e\n"							\
	"ip -batch - <<END\n"						\
	"netns add kubuf0\n"						\
	"netns add kubuf1\n"						\
	"link add kubuf0 netns kubuf0 type veth "			\
	"peer name kubuf1 netns kubuf1\n"				\
	"END\n"								\
	"for i in 0 1; do\n"						\
	"ip -n kubuf$i address add 192.0.2.1$i/24 dev kubuf$i\n"	\
	"ip -n kubuf$i link set kubuf$i up\n"				\
	"ip netns exec kubuf$i"						\
	" rdma link add kubuf$i type rxe netdev kubuf$i\n"		\
	"done\n"

/* Does anybody take what comes for RoCE, to port 4791, in such a network? */
#define LISTENS								\
	"ip netns exec kubuf1 grep -qi ':12b7 ' /proc/net/udp"

/* What a host has of verbs. */
struct host {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	union ibv_gid gid;
	int gid_index;
};

static inline struct ibv_context *device_open(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;

	for (int i = 0; list && list[i] && !context; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			context = ibv_open_device(list[i]);
	if (list)
		ibv_free_device_list(list);
	return context;
}

/* Find the IPv4 address of the device, which shows only a moment later. */
static inline bool gid_find(struct host *h)
{
	const unsigned char v4[12] = { [10] = 0xff, [11] = 0xff };

	for (int ms = 0; ms < 10000; ms += 10) {
		for (int i = 0; i < 8; i++) {
			h->gid_index = i;
			if (!ibv_query_gid(h->context, 1, i, &h->gid) &&
			    !memcmp(h->gid.raw, v4, sizeof(v4)))
				return true;
		}
		usleep(10000);
	}
	return false;
}

static inline bool host_open(struct host *h, const char *name)
{
	struct ibv_qp_init_attr attr = {
		.cap = {
			.max_send_wr = 1, .max_recv_wr = 1,
			.max_send_sge = 1, .max_recv_sge = 1,
		},
		.qp_type = IBV_QPT_RC,
	};

	h->context = device_open(name);
	if (!h->context)
		return false;
	h->pd = ibv_alloc_pd(h->context);
	h->cq = ibv_create_cq(h->context, 1, NULL, NULL, 0);
	if (!h->pd || !h->cq || !gid_find(h))
		return false;
	attr.send_cq = h->cq;
	attr.recv_cq = h->cq;
	h->qp = ibv_create_qp(h->pd, &attr);
	return h->qp;
}

static inline void host_close(struct host *h)
{
	if (h->qp)
		ibv_destroy_qp(h->qp);
	if (h->cq)
		ibv_destroy_cq(h->cq);
	if (h->pd)
		ibv_dealloc_pd(h->pd);
	if (h->context)
		ibv_close_device(h->context);
}

/* Make the host ready to send to the other. */
static inline int host_connect(struct host *h, const struct host *to)
{
	struct ibv_qp_attr init = {
		.qp_state = IBV_QPS_INIT, .port_num = 1,
		.qp_access_flags = ACCESS,
	};
	struct ibv_qp_attr receive = {
		.qp_state = IBV_QPS_RTR, .path_mtu = IBV_MTU_1024,
		.dest_qp_num = to->qp->qp_num, .rq_psn = FIRST_PSN,
		.max_dest_rd_atomic = 1, .min_rnr_timer = 12,
		.ah_attr = {
			.is_global = 1, .port_num = 1,
			.grh = {
				.dgid = to->gid, .hop_limit = 1,
				.sgid_index = (__u8)h->gid_index,
			},
		},
	};
	struct ibv_qp_attr send = {
		/* Half a second, seven times. */
		.qp_state = IBV_QPS_RTS, .timeout = 17, .retry_cnt = 7,
		.rnr_retry = 7, .sq_psn = FIRST_PSN, .max_rd_atomic = 1,
	};
	int ret = ibv_modify_qp(h->qp, &init, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
				IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);

	if (!ret)
		ret = ibv_modify_qp(h->qp, &receive, IBV_QP_STATE | IBV_QP_AV |
				    IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
				    IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
				    IBV_QP_MIN_RNR_TIMER);
	if (!ret)
		ret = ibv_modify_qp(h->qp, &send, IBV_QP_STATE |
				    IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
				    IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN |
				    IBV_QP_MAX_QP_RD_ATOMIC);
	return -ret;
}

/* How one transfer from or to the start of both memories ends, or -errno. */
static inline int transfer(struct host *h, enum ibv_wr_opcode how,
			   const struct ibv_mr *here,
			   const struct ibv_mr *there,
			   size_t offset, size_t length)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)here->addr + offset,
		.length = (__u32)length, .lkey = here->lkey,
	};
	struct ibv_send_wr *bad, wr = {
		.sg_list = &sge, .num_sge = 1,
		.opcode = how, .send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = {
			.remote_addr = (uintptr_t)there->addr + offset,
			.rkey = there->rkey,
		},
	};
	struct ibv_wc wc;
	int n = ibv_post_send(h->qp, &wr, &bad);

	if (n)
		return -n;
	for (int ms = 0; ms < 60000 && !n; ms++) {
		n = ibv_poll_cq(h->cq, 1, &wc);
		if (!n)
			usleep(1000);
	}
	return n == 1 ? (int)wc.status : -ETIME;
}

static inline bool commands(const char *text)
{
	return !system(text);
}

/* Make both hosts; WHY if this kernel can't. */
static inline bool hosts_up(struct host h[2], bool apart, const char **why)
{
	memset(h, 0, 2 * sizeof(*h));
	*why = "no soft RoCE: modprobe rdma_rxe fails";
	if (!commands("modprobe -q rdma_rxe 2>/dev/null"))
		return false;
	*why = NULL;
	/* What a test that was killed has left. */
	if (!access("/sys/class/infiniband/kubuf0", F_OK))
		commands(DOWN);
	if (!commands(apart ? UP_APART : UP_TOGETHER))
		return false;
	if (apart && !commands(LISTENS)) {
		*why = "soft RoCE is in the first network namespace only";
		return false;
	}
	return host_open(&h[0], "kubuf0") && host_open(&h[1], "kubuf1") &&
	       !host_connect(&h[0], &h[1]) && !host_connect(&h[1], &h[0]);
}

static inline void hosts_down(struct host h[2])
{
	host_close(&h[0]);
	host_close(&h[1]);
	commands(DOWN);
}

#endif /* KUBUF_RDMA_H */
