/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: what becomes of a buffer, and what its faults cost. They tell
 * frame numbers; who may trace may know them.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kubuf

#if !defined(_KUBUF_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _KUBUF_TRACE_H

#include <linux/mm.h>
#include <linux/tracepoint.h>

#include "kubuf.h"

/* Of the name of a device, which may be longer. */
#define KUBUF_TRACE_DEVICE	32

TRACE_DEFINE_ENUM(KUBUF_BACKING_KMALLOC);
TRACE_DEFINE_ENUM(KUBUF_BACKING_PAGES);
TRACE_DEFINE_ENUM(KUBUF_BACKING_VMALLOC);
TRACE_DEFINE_ENUM(KUBUF_BACKING_HUGE);
TRACE_DEFINE_ENUM(KUBUF_BACKING_WRAPPED);

/* A buffer came to be: by KUBUF_CREATE, or a driver's, which has no name yet. */
TRACE_EVENT(kubuf_create,
	TP_PROTO(const struct kubuf *buf),
	TP_ARGS(buf),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(unsigned long, pages)
		__field(unsigned int, backing)
		__field(int, node)
		__field(bool, reserved)
		__array(char, name, KUBUF_NAME_SIZE)
	),
	TP_fast_assign(
		__entry->id = buf->id;
		__entry->pages = buf->nr_pages;
		__entry->backing = buf->backing;
		__entry->node = buf->node;
		__entry->reserved = buf->reserved;
		memcpy(__entry->name, buf->name, KUBUF_NAME_SIZE);
	),
	TP_printk("id=%llu name=%s backing=%s pages=%lu node=%d reserved=%d",
		  __entry->id, __entry->name,
		  __print_symbolic(__entry->backing,
				   { KUBUF_BACKING_KMALLOC, "kmalloc" },
				   { KUBUF_BACKING_PAGES, "pages" },
				   { KUBUF_BACKING_VMALLOC, "vmalloc" },
				   { KUBUF_BACKING_HUGE, "huge" },
				   { KUBUF_BACKING_WRAPPED, "wrapped" }),
		  __entry->pages, __entry->node, __entry->reserved)
);

DECLARE_EVENT_CLASS(kubuf_end,
	TP_PROTO(const struct kubuf *buf),
	TP_ARGS(buf),
	TP_STRUCT__entry(
		__field(u64, id)
		__array(char, name, KUBUF_NAME_SIZE)
	),
	TP_fast_assign(
		__entry->id = buf->id;
		memcpy(__entry->name, buf->name, KUBUF_NAME_SIZE);
	),
	TP_printk("id=%llu name=%s", __entry->id, __entry->name)
);

/* Its node is going away. */
DEFINE_EVENT(kubuf_end, kubuf_destroy,
	TP_PROTO(const struct kubuf *buf),
	TP_ARGS(buf)
);

/* Its last user is gone: its memory is given back. */
DEFINE_EVENT(kubuf_end, kubuf_free,
	TP_PROTO(const struct kubuf *buf),
	TP_ARGS(buf)
);

DECLARE_EVENT_CLASS(kubuf_mapping,
	TP_PROTO(const struct kubuf *buf, unsigned long start,
		 unsigned long end, pgoff_t index),
	TP_ARGS(buf, start, end, index),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(unsigned long, start)
		__field(unsigned long, end)
		__field(unsigned long, index)
		__field(int, mappings)
	),
	TP_fast_assign(
		__entry->id = buf->id;
		__entry->start = start;
		__entry->end = end;
		__entry->index = index;
		__entry->mappings = atomic_read(&buf->nr_mappings);
	),
	TP_printk("id=%llu start=%#lx end=%#lx index=%lu mappings=%d",
		  __entry->id, __entry->start, __entry->end, __entry->index,
		  __entry->mappings)
);

/* mmap(): counted, nothing mapped. */
DEFINE_EVENT(kubuf_mapping, kubuf_mmap,
	TP_PROTO(const struct kubuf *buf, unsigned long start,
		 unsigned long end, pgoff_t index),
	TP_ARGS(buf, start, end, index)
);

/* fork(), a split, mremap(): one more. */
DEFINE_EVENT(kubuf_mapping, kubuf_open,
	TP_PROTO(const struct kubuf *buf, unsigned long start,
		 unsigned long end, pgoff_t index),
	TP_ARGS(buf, start, end, index)
);

/* One less. */
DEFINE_EVENT(kubuf_mapping, kubuf_close,
	TP_PROTO(const struct kubuf *buf, unsigned long start,
		 unsigned long end, pgoff_t index),
	TP_ARGS(buf, start, end, index)
);

/*
 * The driver has mapped pages, from @index on: the window of a fault, or the
 * one entry of 1 << @order pages that has @index as its first.
 */
TRACE_EVENT_CONDITION(kubuf_map,
	TP_PROTO(const struct kubuf *buf, pgoff_t index, unsigned int order,
		 unsigned long window),
	TP_ARGS(buf, index, order, window),
	/* Another fault may have been there first. */
	TP_CONDITION(window),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(unsigned long, index)
		__field(unsigned long, pfn)
		__field(unsigned int, order)
		__field(unsigned long, window)
	),
	TP_fast_assign(
		__entry->id = buf->id;
		__entry->index = index;
		__entry->pfn = page_to_pfn(kubuf_page(buf, index));
		__entry->order = order;
		__entry->window = window;
	),
	TP_printk("id=%llu index=%lu pfn=%#lx order=%u window=%lu",
		  __entry->id, __entry->index, __entry->pfn, __entry->order,
		  __entry->window)
);

/*
 * A fault is over for the driver, @ns nanoseconds after it came to it. If it was
 * neither mapped nor an error, the core got the page, and maps or copies it.
 */
TRACE_EVENT(kubuf_fault,
	TP_PROTO(const struct kubuf *buf, const struct vm_fault *vmf,
		 vm_fault_t result, u64 ns),
	TP_ARGS(buf, vmf, result, ns),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(unsigned long, address)
		__field(unsigned long, index)
		__field(unsigned long, pfn)
		__field(bool, write)
		__field(bool, mapped)
		__field(int, error)
		__field(u64, ns)
	),
	TP_fast_assign(
		__entry->id = buf->id;
		__entry->address = vmf->address;
		__entry->index = vmf->pgoff;
		__entry->pfn = vmf->pgoff < buf->nr_pages ?
			page_to_pfn(kubuf_page(buf, vmf->pgoff)) : 0;
		__entry->write = vmf->flags & FAULT_FLAG_WRITE;
		__entry->mapped = result & VM_FAULT_NOPAGE;
		__entry->error = vm_fault_to_errno(result, FOLL_HWPOISON);
		__entry->ns = ns;
	),
	TP_printk("id=%llu address=%#lx index=%lu pfn=%#lx write=%d mapped=%d error=%d ns=%llu",
		  __entry->id, __entry->address, __entry->index, __entry->pfn,
		  __entry->write, __entry->mapped, __entry->error, __entry->ns)
);

DECLARE_EVENT_CLASS(kubuf_device,
	TP_PROTO(const struct kubuf *buf, unsigned long index,
		 unsigned long nr, const char *device),
	TP_ARGS(buf, index, nr, device),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(unsigned long, index)
		__field(unsigned long, pages)
		__array(char, device, KUBUF_TRACE_DEVICE)
	),
	TP_fast_assign(
		__entry->id = buf->id;
		__entry->index = index;
		__entry->pages = nr;
		strscpy(__entry->device, device, KUBUF_TRACE_DEVICE);
	),
	TP_printk("id=%llu index=%lu pages=%lu device=%s", __entry->id,
		  __entry->index, __entry->pages, __entry->device)
);

/*
 * A device was given pages by a dma-buf, or lets them go. Who pins those of a
 * mapping (GUP) does not ask the driver.
 */
DEFINE_EVENT(kubuf_device, kubuf_pin,
	TP_PROTO(const struct kubuf *buf, unsigned long index,
		 unsigned long nr, const char *device),
	TP_ARGS(buf, index, nr, device)
);

DEFINE_EVENT(kubuf_device, kubuf_unpin,
	TP_PROTO(const struct kubuf *buf, unsigned long index,
		 unsigned long nr, const char *device),
	TP_ARGS(buf, index, nr, device)
);

TRACE_EVENT(kubuf_notify,
	TP_PROTO(const struct kubuf *buf, u64 sequence),
	TP_ARGS(buf, sequence),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, sequence)
	),
	TP_fast_assign(
		__entry->id = buf->id;
		__entry->sequence = sequence;
	),
	TP_printk("id=%llu sequence=%llu", __entry->id, __entry->sequence)
);

#endif /* _KUBUF_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
