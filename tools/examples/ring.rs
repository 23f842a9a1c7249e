// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//! ring: take records out of a ring that a driver has put into a kubuf buffer
//!
//!     rustc -O -o ring tools/examples/ring.rs
//!     ./ring /dev/kubuf/NAME [COUNT]
//!
//! Prints each record, as hexadecimal digits, until there are COUNT of them or there
//! will be no more, and then how many there were. With the standard library alone:
//! who stores what, and when, is said by "Ring" in <linux/kubuf.h>. ring.py has the
//! same with more words.

use std::fs::{File, OpenOptions};
use std::io::{self, Error, Write};
use std::os::raw::{c_int, c_long, c_short, c_ulong, c_void};
use std::os::unix::io::AsRawFd;
use std::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering::*};
use std::{env, fmt::Display, mem, ptr, slice};

extern "C" {
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn mmap(at: *mut c_void, n: usize, p: c_int, f: c_int, fd: c_int, o: c_long) -> *mut c_void;
    fn munmap(at: *mut c_void, n: usize) -> c_int;
    fn poll(fds: *mut PollFd, n: c_ulong, timeout: c_int) -> c_int;
    fn sysconf(name: c_int) -> c_long;
}
const PROT_READ_AND_WRITE: c_int = 1 | 2;
const MAP_SHARED: c_int = 1;
const POLLPRI: c_short = 2;
const SC_PAGESIZE: c_int = 30;
#[repr(C)]
struct PollFd(c_int, c_short, c_short);

// From <linux/kubuf.h>. struct kubuf_info begins with size, flags, id, length. The
// kernel wants the first to be the size of all.
const KUBUF_INFO: c_ulong = 0xbc03; // _IO(0xbc, 3)
const KUBUF_NOTIFY: c_ulong = 0xbc04; // _IO(0xbc, 4)
const KUBUF_RING_MAGIC: u32 = 0x6b72_696e;
const KUBUF_RING_BYTES: u32 = 1;
const KUBUF_RING_OVERWRITE: u32 = 2;
#[repr(C)]
struct Info(u32, u32, u64, u64, [u64; 8]);

/// struct kubuf_ring_header: both sides load and store, so all of it is atomic.
#[repr(C)]
struct Header {
    magic: AtomicU32,
    flags: AtomicU32,
    size: AtomicU64,
    _reserved: [AtomicU64; 6],
    head: AtomicU64,
    lost: AtomicU64,
    producer_sleeps: AtomicU32,
    closed: AtomicU32,
    _reserved_producer: [AtomicU64; 5],
    tail: AtomicU64,
    consumer_sleeps: AtomicU32,
    _reserved_consumer: [AtomicU32; 13],
}

/// Bytes of the buffer. From here on a new notification is told of.
fn info(file: &File) -> io::Result<u64> {
    let mut info = Info(mem::size_of::<Info>() as u32, 0, 0, 0, [0; 8]);
    // SAFETY: the kernel stores to no more bytes than the first word says.
    match unsafe { ioctl(file.as_raw_fd(), KUBUF_INFO, &mut info as *mut Info) } {
        -1 => Err(Error::last_os_error()),
        _ => Ok(info.3),
    }
}

fn notify(file: &File) -> io::Result<()> {
    // struct kubuf_notify: size, flags
    let args: [u32; 2] = [8, 0];
    // SAFETY: the kernel loads no more bytes than the first word says.
    match unsafe { ioctl(file.as_raw_fd(), KUBUF_NOTIFY, args.as_ptr()) } {
        -1 => Err(Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sleep until the other side has called KUBUF_NOTIFY since the last look.
fn sleep(file: &File) -> io::Result<()> {
    let mut fds = PollFd(file.as_raw_fd(), POLLPRI, 0);
    // SAFETY: it is given one, and told of one.
    match unsafe { poll(&mut fds, 1, -1) } {
        -1 => Err(Error::last_os_error()),
        _ => info(file).map(|_| ()),
    }
}

/// A buffer: `size` bytes of data, and a page that begins with the header.
struct Mapping {
    at: *mut c_void,
    length: usize,
    size: usize,
}

impl Mapping {
    fn new(file: &File) -> io::Result<Mapping> {
        // SAFETY: it only tells a number.
        let page = unsafe { sysconf(SC_PAGESIZE) } as usize;
        let (length, fd) = (info(file)? as usize, file.as_raw_fd());
        let (prot, size) = (PROT_READ_AND_WRITE, length.saturating_sub(page));
        // SAFETY: without MAP_FIXED it takes no room that is in use.
        match unsafe { mmap(ptr::null_mut(), length, prot, MAP_SHARED, fd, 0) } {
            at if at as isize == -1 => Err(Error::last_os_error()),
            at => Ok(Mapping { at, length, size }),
        }
    }

    fn header(&self) -> &Header {
        // SAFETY: the last page is mapped as long as `self` is there, and large enough.
        unsafe { &*((self.at as usize + self.size) as *const Header) }
    }

    fn data(&self) -> &[AtomicU64] {
        // SAFETY: so are the pages before it.
        unsafe { slice::from_raw_parts(self.at as *const AtomicU64, self.size / 8) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: no reference to what is there outlives `self`.
        unsafe { munmap(self.at, self.length) };
    }
}

/// The consumer's side of a ring of records.
struct Ring {
    file: File,
    map: Mapping,
    tail: u64,
}

/// What there was to be had, or why not, and of what.
fn named<T, E: Display>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

impl Ring {
    fn open(path: &str) -> Result<Ring, String> {
        let file = named(path, OpenOptions::new().read(true).write(true).open(path))?;
        let map = named(path, Mapping::new(&file))?;
        let (header, size) = (map.header(), map.size as u64);

        // What the other side can store is not believed: it has to agree.
        if header.magic.load(Acquire) != KUBUF_RING_MAGIC
            || header.size.load(Relaxed) != size
            || !size.is_power_of_two()
        {
            return Err(format!("no ring in {path}"));
        }
        let flags = header.flags.load(Relaxed);
        if flags & KUBUF_RING_BYTES != 0 {
            return Err(format!("{path} has bytes, not records"));
        }
        // There both sides move the tail, which kubuf_ring.h knows how to do.
        if flags & KUBUF_RING_OVERWRITE != 0 {
            return Err(format!("{path} overwrites what was not read"));
        }
        let tail = header.tail.load(Relaxed);
        Ok(Ring { file, map, tail })
    }

    /// The eight bytes at a position, which only grows, while the data go round.
    fn word(&self, position: u64) -> [u8; 8] {
        let index = position % self.map.size as u64 / 8;
        self.map.data()[index as usize].load(Relaxed).to_ne_bytes()
    }

    /// Bytes that were produced and not consumed.
    fn available(&self) -> Result<u64, String> {
        // Before the data that it tells of: pairs with the producer's release.
        let head = self.map.header().head.load(Acquire);
        match head.wrapping_sub(self.tail) {
            n if n <= self.map.size as u64 => Ok(n),
            _ => Err(format!("the producer cannot be at {head}")),
        }
    }

    /// Sleep until there is something: 0 bytes if there will be none.
    fn wait(&self) -> Result<u64, String> {
        let header = self.map.header();
        loop {
            // Before the look: the last record was there before it was closed.
            let closed = header.closed.load(Acquire) != 0;
            let n = self.available()?;
            if n != 0 || closed {
                header.consumer_sleeps.store(0, Relaxed);
                return Ok(n);
            }
            // The word before the look, and the look before the sleep.
            header.consumer_sleeps.store(1, Relaxed);
            fence(SeqCst);
            if self.available()? == 0 && header.closed.load(Acquire) == 0 {
                named("poll", sleep(&self.file))?;
            }
        }
    }

    /// The oldest record of so many bytes: a copy, which nobody else stores to.
    fn oldest(&mut self, n: u64) -> Result<Vec<u8>, String> {
        let [a, b, c, d, ..] = self.word(self.tail);
        let length = u32::from_ne_bytes([a, b, c, d]);
        let end = (8 + u64::from(length) + 7) & !7;
        if end > n {
            return Err(format!("{n} bytes with a record of {length}"));
        }
        let words = (1..end / 8).map(|i| self.word(self.tail.wrapping_add(8 * i)));
        let payload = words.flatten().take(length as usize).collect();
        self.release(end)?;
        Ok(payload)
    }

    /// Give bytes back to the producer, who may wait for room.
    fn release(&mut self, n: u64) -> Result<(), String> {
        let header = self.map.header();
        self.tail = self.tail.wrapping_add(n);
        // After the loads of the data, and before the look at the word.
        header.tail.store(self.tail, Release);
        fence(SeqCst);
        if header.producer_sleeps.load(Relaxed) != 0 {
            header.producer_sleeps.store(0, Relaxed);
            named("KUBUF_NOTIFY", notify(&self.file))?;
        }
        Ok(())
    }
}

impl Iterator for Ring {
    type Item = Result<Vec<u8>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.wait() {
            Ok(0) => None,
            Ok(n) => Some(self.oldest(n)),
            Err(error) => Some(Err(error)),
        }
    }
}

fn main() -> Result<(), String> {
    let args: Vec<String> = env::args().skip(1).collect();
    let (path, count) = match &args[..] {
        [path] => (path, usize::MAX),
        [path, count] => (path, named(count, count.parse())?),
        _ => return Err("usage: ring /dev/kubuf/NAME [COUNT]".into()),
    };
    let (mut ring, mut records, mut bytes) = (Ring::open(path)?, 0, 0);
    for payload in ring.by_ref().take(count) {
        let payload = payload?;
        let line: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        named("standard output", writeln!(io::stdout(), "{line}"))?;
        records += 1;
        bytes += payload.len();
    }
    let lost = ring.map.header().lost.load(Relaxed);
    eprintln!("{records} records, {bytes} bytes, {lost} lost");
    Ok(())
}
