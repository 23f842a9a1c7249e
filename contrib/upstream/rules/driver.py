# SPDX-License-Identifier: GPL-2.0-only
"""The driver: what the tree has no use for, and what each patch brings."""

def uapi(t):
    t.re(r"^ \* @KUBUF_BACKING_WRAPPED: .*\n \*\t.*\n")
    t.sub("\tKUBUF_BACKING_WRAPPED = 5,\n")
    t.re(r"^/\* .*PG_reserved\. \*/\n#define KUBUF_CREATE_RESERVED.*\n")
    t.re(r"^/\* PG_reserved .*\*/\n#define KUBUF_INFO_RESERVED.*\n")
    t.between("/**\n * DOC: Ring\n", "/* On /dev/kubuf/control. */\n")


def header(t):
    t.sub("#include <linux/kubuf.h>\n\n#include \"compat.h\"\n", "#include <uapi/linux/kubuf.h>\n")
    t.sub("""\
 *                |-> module, and that of the driver who made the buffer
 *   node (struct miscdevice) --> struct kubuf
 *   driver --> struct kubuf
""", """\
 *                |-> module
 *   node (struct miscdevice) --> struct kubuf
""")
    t.between(" * there. A buffer does not hold the module", " */\n#ifndef _KUBUF_H", """\
 * there. A VMA holds its file, so nothing that a fault reads can go away under it.
 * A pin (GUP) holds a page and nothing else: it can outlive all of these.
""" + t.text[t.text.index(" *\n * Locking\n"):t.text.index(" */\n#ifndef _KUBUF_H")])
    t.sub("""\
 *			around ->open(), and by kubuf_mmap() under mmap_lock;
 *			the lock of a folio is taken under it.
""", """\
 *			around ->open(); the lock of a folio is taken under it.
""")
    t.field("of_driver", "reserved", "owner", "release", "release_data", "map_lock")
    t.between(" *   kubuf.map_lock\t", " *   kubuf.file_lock\t")
    t.sub(" * @nr_mappings: VMAs that map it; from and to 0 under @map_lock\n",
          " * @nr_mappings: VMAs that map it\n")
    t.sub(""" * @was_mapped: since the inode is there; set under @map_lock, reset under
 *	@file_lock when there is no mapping
""", """ * @was_mapped: since the inode is there; reset under @file_lock when there is no
 *	mapping
""")
    t.re(r" for a huge one, and for\n \*\twrapped pages, which are not neighbours\n", " for a huge one\n")
    t.between("/* wrap.c */\n", "/* buffer.c */\n")
    t.sub("void kubuf_get(struct kubuf *buf);\n",
          "void kubuf_get(struct kubuf *buf);\nvoid kubuf_put(struct kubuf *buf);\n")
    t.sub("void kubuf_backing_free(struct kubuf *buf);\n",
          "void kubuf_backing_free(struct kubuf *buf);\n"
          "void *kubuf_kaddr(const struct kubuf *buf, loff_t pos, size_t *len);\n")
    t.sub("/* notify.c */\n", "/* notify.c */\nvoid kubuf_notify(struct kubuf *buf);\n")


def main_c(t):
    t.function("kubuf_register", "kubuf_unregister")
    t.sub("""\
	if (buf && buf->of_driver)
		err = -EBUSY;
	else if (!buf || !claim(buf))
""", """\
	if (!buf || !claim(buf))
""")
    t.sub("#include <linux/export.h>\n")
    t.sub("#ifdef KUBUF_VERSION\nMODULE_VERSION(KUBUF_VERSION);\n#endif\n")


def buffer_c(t):
    t.sub("\t[KUBUF_BACKING_WRAPPED] = \"wrapped\",\n")
    t.sub("\t/* None of them can be wrapped memory. */\n")
    t.function("__kubuf_create", "__kubuf_wrap", "kubuf_length")
    t.sub("\tbool reserved = args->flags & KUBUF_CREATE_RESERVED;\n\n")
    t.sub("""~(KUBUF_CREATE_RESERVED | KUBUF_CREATE_NODE |
			    KUBUF_CREATE_NAMED) ||""", "~(KUBUF_CREATE_NODE | KUBUF_CREATE_NAMED) ||")
    t.between("\t/* Illegal on the pages of a folio, which", "\tif (args->flags & KUBUF_CREATE_NODE) {\n"
              "\t\tif (args->node >= MAX")
    t.sub("""\
	if (charge_user && args->flags & KUBUF_CREATE_RESERVED &&
	    !capable(CAP_SYS_RAWIO))
		return ERR_PTR(-EPERM);
""")
    t.sub(" * * %-EPERM: a name without CAP_SYS_ADMIN, reserved without CAP_SYS_RAWIO\n",
          " * * %-EPERM: a name without CAP_SYS_ADMIN\n")
    t.sub("""\
	buf->reserved = args->flags & KUBUF_CREATE_RESERVED;
	buf->pfn_path = buf->reserved || buf->backing == KUBUF_BACKING_KMALLOC;
""", """\
	buf->pfn_path = buf->backing == KUBUF_BACKING_KMALLOC;
""")
    t.sub("\tif (buf->release)\n\t\tbuf->release(buf->release_data);\n")
    t.sub("\tmutex_init(&buf->map_lock);\n")
    t.sub("\tif (buf->reserved)\n\t\tinfo->flags |= KUBUF_INFO_RESERVED;\n")
    t.sub("EXPORT_SYMBOL_GPL(kubuf_put);\n")
    t.sub("#include <linux/export.h>\n")


def backing_c(t):
    t.sub("#include <linux/export.h>\n")
    t.sub("#include <linux/minmax.h>\n", "#include <linux/minmax.h>\n#include <linux/mmzone.h>\n")
    t.sub("#define BULK_PAGES\t512UL\n", """\
#define BULK_PAGES\t512UL

/* Events on a node. */
static unsigned long node_memory_failures(int nid)
{
#ifdef CONFIG_MEMORY_FAILURE
	return READ_ONCE(NODE_DATA(nid)->mf_stats.total);
#else
	return 0;
#endif
}
""")
    t.sub("""\
 * One folio where one entry of a page table can map it. Not for a reserved
 * buffer: PG_reserved is illegal on the pages of a folio.
""", """\
 * One folio where one entry of a page table can map it.
""")
    t.sub("\tif (buf->reserved || order > CHUNK_ORDER ||\n\t    !is_power_of_2(buf->nr_pages))\n",
          "\tif (order > CHUNK_ORDER || !is_power_of_2(buf->nr_pages))\n")
    t.sub("size, backing, node and @buf->reserved set", "size, backing and node set")
    t.re(r"^\tcase KUBUF_BACKING_WRAPPED:\n(?:\t\t.*\n)+")
    t.sub("""\
		/* Of a folio in a driver's row there may be a part. */
		if (buf->pages)
			sound = PAGE_SIZE - offset;
""")
    t.sub("EXPORT_SYMBOL_GPL(kubuf_kaddr);\n")


def file_c(t):
    t.sub("""\
	/* Up to here there is a file, which holds the driver's module. */
	spin_lock(&inode->i_lock);
	buf = inode->i_private;
	if (buf && !try_module_get(buf->owner))
		buf = NULL;
""", """\
	spin_lock(&inode->i_lock);
	buf = inode->i_private;
""")
    t.function("put_buffer")
    t.sub("put_buffer(buf)", "kubuf_put(buf)", 4)
    t.sub("""\
		err = -ENODEV;
		if (!try_module_get(buf->owner))
			goto err_free;
""")
    t.sub("""\
 * The file takes a reference of its own, and one to the module, and to that of
 * the driver, which can't be unloaded while it calls this.
""", """\
 * The file takes a reference of its own, and one to the module.
""")
    t.sub("\t__module_get(buf->owner);\n")
    t.sub("\tseq_printf(seq, \"kubuf-reserved:\\t%d\\n\", buf->reserved);\n")
    t.sub("\tCOMPAT_MMAP\n", "\t.mmap_prepare = kubuf_mmap_prepare,\n")


def mmap_c(t):
    t.sub("#include <linux/capability.h>\n#include <linux/export.h>\n#include <linux/file.h>\n")
    t.sub("""\
 * number alone is mapped: that is for memory whose pages must not be touched
 * (kmalloc), and for reserved pages.
""", """\
 * number alone is mapped: that is for memory whose pages must not be touched
 * (kmalloc).
""")
    t.sub("""\
		/* The pages of an array are single ones, all of them. */
		n = lock_row(row, sound, row != copy);
		left = n;
""", """\
		left = n;
""")
    t.sub("""\
		sound = adopt_row(row, n, mapping);
		if (!sound)
			break;
""", """\
		n = adopt_row(row, n, mapping);
		if (!n)
			break;
""")
    t.sub("\t\tunlock_row(row);\n")
    t.sub("unsigned long done = 0, n, sound, left;", "unsigned long done = 0, n, left;")
    t.sub("core_maps_folio(vmf, folio)", "folio_test_large(folio)")
    t.sub("/*\n * One entry for a whole folio, or for as much of contiguous memory. Older\n"
          " * kernels make it of the page that page_fault() gives.\n */\n",
          "/* One entry for a whole folio, or for as much of contiguous memory. */\n")
    t.sub("\tbool reserved = buf->reserved;\n")
    t.sub("""\
		/* Test first: the store would take the cache line away. */
		if (reserved && !PageReserved(page))
			SetPageReserved(page);
""")
    t.between("static void count_mapping(", "/* fork(), a split, mremap(). */", """\
static void count_mapping(struct kubuf *buf)
{
	atomic_inc(&buf->nr_mappings);
	/* Test first: the store would take the cache line away. */
	if (!READ_ONCE(buf->was_mapped))
		WRITE_ONCE(buf->was_mapped, true);
}

""")
    t.between("/*\n * The page table entries are gone, so that no fault", "/**\n * kubuf_vma_mapped()", """\
static void kubuf_vma_close(struct vm_area_struct *vma)
{
	struct kubuf *buf = vma->vm_private_data;

	atomic_dec(&buf->nr_mappings);
	trace_kubuf_close(buf, vma->vm_start, vma->vm_end, vma->vm_pgoff);
}

""")
    t.sub("\tCOMPAT_MAPPED\n", "\t.mapped = kubuf_vma_mapped,\n", 2)
    t.sub(""" * * %-EPERM: executable, a reserved buffer without CAP_SYS_RAWIO, or shared and
 *   writable though the buffer is sealed
 */
int kubuf_mmap_prepare""", """ * * %-EPERM: executable, or shared and writable though the buffer is sealed
 */
int kubuf_mmap_prepare""")
    t.between("\t/*\n\t * VFIO takes reserved memory", "\tvma_desc_clear_flags(desc, VMA_MAYEXEC_BIT);\n")
    t.function("kubuf_mmap")


def notify_c(t):
    t.sub("#include <linux/export.h>\n")
    t.sub("EXPORT_SYMBOL_GPL(kubuf_notify);\n")


def trace_h(t):
    t.sub("TRACE_DEFINE_ENUM(KUBUF_BACKING_WRAPPED);\n")
    t.sub(" by KUBUF_CREATE, or a driver's, which has no name yet. */", " by KUBUF_CREATE, or the module parameter. */")
    t.sub("\t\t__field(bool, reserved)\n")
    t.sub("\t\t__entry->reserved = buf->reserved;\n")
    t.sub(" node=%d reserved=%d\"", " node=%d\"")
    t.sub("__entry->node, __entry->reserved)", "__entry->node)")
    t.sub("{ KUBUF_BACKING_HUGE, \"huge\" },\n\t\t\t\t   { KUBUF_BACKING_WRAPPED, \"wrapped\" }),",
          "{ KUBUF_BACKING_HUGE, \"huge\" }),")


def debugfs_c(t):
    t.sub("\tbool pinned, reserved;\n", "\tbool pinned;\n")
    t.sub("\treserved = PageReserved(page);\n")
    t.sub("%u %s%s%s%s\\n", "%u %s%s%s\\n")
    t.sub("""\
		   pinned ? "p" : "", reserved ? "r" : "",
		   nr_mapped || pinned || reserved ? "" : "-");
""", """\
		   pinned ? "p" : "", nr_mapped || pinned ? "" : "-");
""")


def same(t):
    pass


def buffer_kunit(t):
    t.function("reserved_backings")
    t.sub("\tKUNIT_CASE(reserved_backings),\n")
    t.re(r'^\tKUNIT_EXPECT_EQ\(test, kubuf_backing_parse\("wrapped".*\n')
    t.sub("KUBUF_BACKING_WRAPPED", "KUBUF_BACKING_HUGE + 1")


def mmap_kunit(t):
    t.function("the_last_one_unreserves")
    t.sub("\tKUNIT_CASE(the_last_one_unreserves),\n")


def backing_kunit(t):
    t.function("pages_to_be_reserved")
    t.sub("\tKUNIT_CASE(pages_to_be_reserved),\n")


def main_kunit(t):
    t.re(r'^\t\t\{ "a:1:wrapped", -EINVAL \},\n')


def makefile(t):
    t.sub(" notify.o wrap.o debugfs.o", " notify.o debugfs.o")
    t.sub("kubuf-$(CONFIG_64BIT) += ring.o\n")


def kconfig(t):
    t.sub("\tdepends on MMU && NET\n", "\tdepends on MMU && NET && !MIPS\n")
    t.sub("""\
	  the edges of their types, the tables of pages, the count of mappings,
	  the interface for drivers, and the ring in a buffer, with what only
	  an attacker would store there.
""", """\
	  the edges of their types, the tables of pages, and the count of
	  mappings.
""")


RULES = {
    "main.c": main_c, "buffer.c": buffer_c, "backing.c": backing_c,
    "file.c": file_c, "mmap.c": mmap_c, "notify.c": notify_c,
    "dmabuf.c": same, "debugfs.c": debugfs_c, "trace.h": trace_h,
    "kubuf.h": header, "kubuf_kunit.h": same, "main_kunit.c": main_kunit,
    "buffer_kunit.c": buffer_kunit, "backing_kunit.c": backing_kunit,
    "mmap_kunit.c": mmap_kunit, "Makefile": makefile, "Kconfig": kconfig,
}


# Without what a patch brings: each is given the files as they are after it.


def without_kunit(f):
    for name in ("main", "buffer", "backing", "mmap"):
        del f[f"{name}_kunit.c"]
        f[f"{name}.c"].sub(f"""
#if IS_ENABLED(CONFIG_KUBUF_KUNIT_TEST)
#include "{name}_kunit.c"
#endif
""")
    del f["kubuf_kunit.h"]
    f["Kconfig"].re(r"\nconfig KUBUF_KUNIT_TEST\n(?:.*\n)*")


def without_debugfs(f):
    del f["debugfs.c"]
    f["Makefile"].sub(" debugfs.o")
    t = f["kubuf.h"]
    t.between("\n/* debugfs.c */\n", "\n#endif /* _KUBUF_H */")
    t.field("debugfs")
    t.sub("struct dentry;\n")
    t = f["buffer.c"]
    t.sub("\tkubuf_debugfs_add(buf);\n")
    t.sub("\tkubuf_debugfs_remove(buf);\n")
    t = f["main.c"]
    t.sub("\tkubuf_debugfs_init();\n")
    t.sub("\tkubuf_debugfs_exit();\n", times=2)


def without_dmabuf(f):
    del f["dmabuf.c"]
    f["Makefile"].re(r"^kubuf-\$\(CONFIG_DMA_SHARED_BUFFER\).*\n")
    t = f["kubuf.h"]
    t.between("/* dmabuf.c */\n", "/* mmap.c */\n")
    t.field("nr_writers")
    t.between(" *   kubuf.file_lock\t", " *   kubuf.notify_lock\t", """\
 *   kubuf.file_lock	the inode, the number of files, and the seals. Taken
 *			under misc_mtx, which misc_open() holds around
 *			->open(); the lock of a folio is taken under it.
""")
    t.sub("/* inode, nr_files, seals, nr_writers */", "/* inode, nr_files, seals */")
    t = f["file.c"]
    t.function("ioctl_export")
    t.re(r"^\tcase KUBUF_EXPORT:\n.*\n")
    t.sub("""\
	if (args.seals & KUBUF_SEAL_WRITE && buf->nr_writers)
		err = -EBUSY;
	else
		WRITE_ONCE(buf->seals, buf->seals | args.seals);
	mutex_unlock(&buf->file_lock);
	return err < 0 ? err : 0;
""", """\
	WRITE_ONCE(buf->seals, buf->seals | args.seals);
	mutex_unlock(&buf->file_lock);
	return 0;
""")
    t = f["trace.h"]
    t.re(r"^/\* Of the name of a device.*\n#define KUBUF_TRACE_DEVICE.*\n\n")
    t.between("DECLARE_EVENT_CLASS(kubuf_device,", "TRACE_EVENT(kubuf_notify,")


def without_notify(f):
    del f["notify.c"]
    f["Makefile"].sub(" notify.o")
    t = f["kubuf.h"]
    t.between("/* notify.c */\n", "/* mmap.c */\n")
    t.between(" *   kubuf.notify_lock", " *   names_lock")
    t.sub("struct eventfd_ctx;\n")
    t.sub("#include <linux/poll.h>\n#include <linux/spinlock.h>\n")
    t.sub("#include <linux/wait.h>\n")
    t.field("sequence", "wait", "notify_lock", "seen")
    t.re(r"^ \* @watchers: .*\n", times=2)
    t.re(r"^ \* @eventfd: .*\n \*\t.*\n")
    t.re(r"^\tstruct eventfd_ctx \*eventfd;\n")
    t.re(r"^\tstruct list_head watchers;\n", times=2)
    t = f["file.c"]
    t.function("ioctl_notify", "ioctl_eventfd")
    t.re(r"^\tcase KUBUF_(?:NOTIFY|EVENTFD):\n.*\n", times=2)
    t.sub("\t.poll = kubuf_poll,\n")
    t.sub("\tkfile->seen = atomic64_read(&buf->sequence);\n\tINIT_LIST_HEAD(&kfile->watchers);\n")
    t.sub("\tkubuf_clear_eventfd(kfile);\n")
    t.sub("""\
	int size, err;

	size = kubuf_copy_args(&info, sizeof(info), uarg);
""", """\
	int size;

	size = kubuf_copy_args(&info, sizeof(info), uarg);
""")
    t.sub("""\
	err = copy_struct_to_user(uarg, size, &info, sizeof(info), NULL);
	if (!err)
		WRITE_ONCE(kfile->seen, info.sequence);
	return err;
""", """\
	return copy_struct_to_user(uarg, size, &info, sizeof(info), NULL);
""")
    t.sub("""\
	seq_printf(seq, "kubuf-sequence:\\t%lld\\n",
		   atomic64_read(&buf->sequence));
""")
    t = f["buffer.c"]
    t.sub("""\
	init_waitqueue_head(&buf->wait);
	spin_lock_init(&buf->notify_lock);
	INIT_LIST_HEAD(&buf->watchers);
""")
    t.sub("\tinfo->sequence = atomic64_read_acquire(&buf->sequence);\n")
    f["trace.h"].between("TRACE_EVENT(kubuf_notify,", "#endif /* _KUBUF_TRACE_H */")


def without_huge(f):
    t = f["kubuf.h"]
    t.between("/* A piece of a huge buffer", "enum kubuf_state {")
    t.field("chunks")
    t.re(r"^ \* @head: .*\n", " * @head: its first page, if not\n")
    t.re(r"^( \* @kaddr: the kernel's address of the whole buffer); .*\n", "\\1\n")
    t.sub("\tconst struct kubuf_chunk *chunk;\n\n")
    t.between("\t/* One block of the allocator: its pages", "}\n\n/* backing.c */",
              "\t/* One block of the allocator: its pages are neighbours. */\n"
              "\treturn buf->head + index;\n")
    t = f["buffer.c"]
    t.sub("args->backing > KUBUF_BACKING_HUGE)", "args->backing > KUBUF_BACKING_VMALLOC)")
    t = f["backing.c"]
    t.function("put_folio", "alloc_folio", "alloc_contiguous", "free_contiguous",
               "alloc_fragments", "free_chunk", "free_huge", "alloc_huge")
    t.function("must_keep")
    t.between("static void free_kmalloc(", "/**\n * kubuf_init_folio()", """\
/*
 * The allocator takes a block back whatever its pages are, and gives it to the
 * next who asks. With memory that has failed it is kept for good instead.
 */
static void free_kmalloc(struct kubuf *buf)
{
	unsigned long nr = kubuf_backing_cost(buf);

	if (!kubuf_has_poison(buf->head, nr)) {
		kfree(buf->kaddr);
		return;
	}
	pr_warn("keeping %lu KiB for good: memory has failed in them\\n",
		nr << (PAGE_SHIFT - 10));
	kmemleak_ignore(buf->kaddr);
}

""")
    t.sub("static int alloc_split(struct kubuf *buf, gfp_t gfp, unsigned int order)\n{\n",
          "static int alloc_contiguous(struct kubuf *buf, gfp_t gfp)\n{\n"
          "\tunsigned int order = get_order(kubuf_size(buf));\n")
    t.re(r"^\tcase KUBUF_BACKING_HUGE:\n\t\treturn .*\n")
    t.re(r"^\tcase KUBUF_BACKING_HUGE:\n\t\t.*\n\t\tbreak;\n")
    t.sub("\t\tfree_vmalloc(buf);\n\t\tbreak;\n",
          "\t\tfree_vmalloc(buf);\n\t\tbreak;\n\tdefault:\n\t\tbreak;\n")
    t.sub("\t\tfree_contiguous(buf);\n", "\t\tfree_table(buf->pages, buf->nr_pages);\n")
    t.sub("The four ways to allocate", "The ways to allocate")
    t.sub("#include <linux/log2.h>\n#include <linux/math.h>\n")
    t.sub("""\
	void *kaddr = buf->kaddr;
	struct page *page;
	struct folio *folio;
	size_t sound;
""", """\
	size_t sound;
""")
    t.between("\tif (kaddr) {\n", "\tfor (sound = 0; sound < *len;")
    t.sub("\treturn *len ? kaddr : NULL;\n", "\treturn *len ? buf->kaddr + pos : NULL;\n")
    t = f["mmap.c"]
    t.sub("\tconst unsigned int largest = PMD_ORDER;\n\n")
    t.between("\t/* The page cache has none so large:", "\t/* Another fault may do the same just now. */")
    t.between("/* Pages that are inserted at once, if they", "/*\n * Say whose a folio is.")
    t.function("page_row", "fits_pmd", "huge_fault", "pfn_huge_fault", "mixed_map")
    t.function("kubuf_huge_fault", "kubuf_pfn_huge_fault")
    t.between("/* Map a window of single pages,", "/*\n * This one and the next ones are inline", """\
/* Map a window of pages, as far as they are sound. */
static vm_fault_t insert_pages(struct vm_fault *vmf, const struct kubuf *buf)
{
	struct page **row = buf->pages + vmf->pgoff;
	unsigned long nr, left;
	int err;

	nr = adopt_row(row, window_size(vmf, buf),
		       vmf->vma->vm_file->f_mapping);
	left = nr;
	err = vm_insert_pages(vmf->vma, vmf->address, row, &left);
	trace_kubuf_map(buf, vmf->pgoff, 0, nr - left);
	/* The faulting page is there, or another fault was first. */
	if (left < nr || !err || err == -EBUSY)
		return VM_FAULT_NOPAGE;
	return vmf_error(err);
}

""")
    t.re(r"^static __always_inline vm_fault_t (page|pfn)_fault\(struct vm_fault \*vmf,\n"
         r"\t+ +unsigned int order\)", "static __always_inline vm_fault_t \\1_fault(struct vm_fault *vmf)", 2)
    t.sub("""\
	 * table at hand where there is none yet, copies the page for a private
	 * write, and knows what to do about one that the memory has lost. But
	 * no entry for a whole piece in a mixed mapping, see mixed_map().
	 */
""", """\
	 * table at hand where there is none yet, copies the page for a private
	 * write, and knows what to do about one that the memory has lost.
	 */
""")
    t.sub("""\
	if (vmf->vma->vm_flags & VM_MIXEDMAP &&
	    (!pmd_none(READ_ONCE(*vmf->pmd)) ||
	     (!buf->pages && fits_pmd(vmf))) &&
	    !is_private_write(vmf) && !PageHWPoison(page))
		return insert_pages(vmf, buf);

	folio = page_folio(page);
	adopt(folio, vmf->vma->vm_file->f_mapping);
""", """\
	if (!pmd_none(READ_ONCE(*vmf->pmd)) && !is_private_write(vmf) &&
	    !PageHWPoison(page))
		return insert_pages(vmf, buf);

	adopt(page_folio(page), vmf->vma->vm_file->f_mapping);
""")
    t.between("\t/* But it maps all of a folio,", "\tget_page(page);\n")
    t.sub("\tstruct folio *folio;\n\tstruct page *page;\n\n\tif (unlikely", "\tstruct page *page;\n\n\tif (unlikely")
    t.sub("\tvm_fault_t ret;\n\tint err;\n", "\tint err;\n")
    t.between("\t/*\n\t * Where one entry could be, none but it", "\t/* vmf_insert_pfn() would walk")
    t.sub("""\
/* A fault that somebody looks at; one that falls back comes again. */
static noinline vm_fault_t traced(struct vm_fault *vmf, unsigned int order,
				  vm_fault_t (*fault)(struct vm_fault *vmf, unsigned int order))
{
	u64 start = ktime_get_ns();
	vm_fault_t ret = fault(vmf, order);

	if (!(ret & VM_FAULT_FALLBACK))
		trace_kubuf_fault(vmf->vma->vm_private_data, vmf, ret,
				  ktime_get_ns() - start);
	return ret;
""", """\
/* A fault that somebody looks at. */
static noinline vm_fault_t traced(struct vm_fault *vmf,
				  vm_fault_t (*fault)(struct vm_fault *vmf))
{
	u64 start = ktime_get_ns();
	vm_fault_t ret = fault(vmf);

	trace_kubuf_fault(vmf->vma->vm_private_data, vmf, ret,
			  ktime_get_ns() - start);
	return ret;
""")
    t.re(r"traced\(vmf, 0, (\w+)\)", r"traced(vmf, \1)", 2)
    t.re(r"return (page|pfn)_fault\(vmf, 0\);", r"return \1_fault(vmf);", 2)
    t.re(r"^\t\.huge_fault = .*\n", times=2)
    t.sub("""\
	/* Without it huge_fault() is not called unless for all mappings. */
	vma_desc_set_flags(desc, VMA_HUGEPAGE_BIT);
""")
    t.sub("""\
		if (mixed_map(desc, buf))
			vma_desc_set_flags(desc, VMA_MIXEDMAP_BIT);
""", """\
		vma_desc_set_flags(desc, VMA_MIXEDMAP_BIT);
""")
    t.sub("#include <linux/math.h>\n")
    t = f["file.c"]
    t.sub("\t.get_unmapped_area = thp_get_unmapped_area,\n")


def without_kmalloc(f):
    t = f["kubuf.h"]
    t.field("pfn_path", "head")
    t.sub(" * @pages: its pages, if they are single ones; else %NULL\n", " * @pages: its pages\n")
    t.sub("extern unsigned int kubuf_pfn_window;\n")
    t.sub("""\
	if (buf->pages)
		return buf->pages[index];
	/* One block of the allocator: its pages are neighbours. */
	return buf->head + index;
""", """\
	return buf->pages[index];
""")
    t.re(r"^unsigned long kubuf_backing_cost.*\n")
    t.re(r"^bool kubuf_has_poison.*\n")
    f["main.c"].between("module_param_named(pfn_window,", "static struct kubuf *find_name(")
    t = f["buffer.c"]
    t.sub("\tbuf->pfn_path = buf->backing == KUBUF_BACKING_KMALLOC;\n")
    t.sub("\tif (buf->pfn_path)\n\t\tinfo->flags |= KUBUF_INFO_PFN;\n")
    t.sub("\tif (args->backing < KUBUF_BACKING_KMALLOC ||\n", "\tif (args->backing < KUBUF_BACKING_PAGES ||\n")
    t.sub("\tunsigned long nr = kubuf_backing_cost(buf);\n", "\tunsigned long nr = buf->nr_pages;\n")
    t = f["backing.c"]
    t.between("\n/* Events on a node. */", "\n/**\n * kubuf_backing_max()")
    t.function("kubuf_backing_cost", "alloc_kmalloc", "free_kmalloc")
    t.re(r"^\tcase KUBUF_BACKING_KMALLOC:\n\t\treturn .*\n", times=2)
    t.re(r"^\tcase KUBUF_BACKING_KMALLOC:\n\t\t.*\n\t\tbreak;\n")
    t.sub("#define pr_fmt(fmt) KBUILD_MODNAME \": \" fmt\n\n")
    t.sub("#include <linux/kmemleak.h>\n")
    t.sub("#include <linux/mmzone.h>\n")
    t.sub("#include <linux/printk.h>\n")
    t = f["mmap.c"]
    t.between(" *\n * On the page path a page is mapped as any", " */\n#include <linux/lockdep.h>", """\
 *
 * A page is mapped as any page of a file is: it has a reference for each mapping
 * and can be pinned (GUP).
""")
    t.sub("unsigned int kubuf_pfn_window = 512;\n")
    t.sub("makes them parameters.", "makes it a parameter.")
    t.sub("\tif (!buf->was_mapped || buf->pfn_path)\n", "\tif (!buf->was_mapped)\n")
    t.function("pfn_window_size", "insert_pfns", "pfn_fault", "kubuf_pfn_fault", "kubuf_pfn_access")
    t.between("static const struct vm_operations_struct kubuf_pfn_ops", "/**\n * kubuf_mmap_prepare()")
    t.between("\t/* vmf_insert_pfn() stops the kernel", "\tif (READ_ONCE(buf->seals)")
    t.between("\tif (buf->pfn_path) {\n", "\tdesc->private_data = buf;\n", """\
	vma_desc_set_flags(desc, VMA_MIXEDMAP_BIT);
	desc->vm_ops = &kubuf_page_ops;
""")
    t.sub(" * * %-EINVAL: reaches past the end of the buffer, or private on the PFN path\n",
          " * * %-EINVAL: reaches past the end of the buffer\n")
    t.sub("#include <linux/string.h>\n")


def without_pages(f):
    f["buffer.c"].sub("""\
	if (args->backing < KUBUF_BACKING_PAGES ||
	    args->backing > KUBUF_BACKING_VMALLOC)
""", """\
	if (args->backing != KUBUF_BACKING_VMALLOC)
""")
    t = f["backing.c"]
    t.function("alloc_contiguous")
    t.re(r"^\tcase KUBUF_BACKING_PAGES:\n\t\treturn .*\n", times=2)
    t.sub("\tswitch (backing) {\n\tdefault:\n\t\treturn totalram_pages();\n\t}\n",
          "\treturn totalram_pages();\n")
    t.re(r"^\tcase KUBUF_BACKING_PAGES:\n\t\t.*\n\t\tbreak;\n")


def without_driver(f):
    f.clear()


# What each patch brings, and how it is left out.
PATCHES = [
    ("uapi", None),
    ("core", without_driver),
    ("pages", without_pages),
    ("kmalloc", without_kmalloc),
    ("huge", without_huge),
    ("notify", without_notify),
    ("dma-buf", without_dmabuf),
    ("debugfs", without_debugfs),
    ("kunit", without_kunit),
]

KUNITCONFIG = """\
CONFIG_KUNIT=y
CONFIG_NET=y
CONFIG_KUBUF=y
CONFIG_KUBUF_KUNIT_TEST=y
"""
