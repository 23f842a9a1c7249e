// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//! hello: the kernel, this program and another one use the same memory
//!
//!     rustc -O -o hello tools/examples/hello.rs
//!     ./hello [BYTES [kmalloc|pages|vmalloc|huge]]
//!
//! As hello.c, with the standard library alone; the child has the descriptor as stdin.

use std::io::{self, Error, Seek, SeekFrom};
use std::os::raw::{c_int, c_long, c_ulong, c_void};
use std::os::unix::fs::FileExt;
use std::os::unix::io::{AsFd, AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::{env, fmt::Display, fs::File, mem, process::Command, ptr, slice};

extern "C" {
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn mmap(at: *mut c_void, n: usize, p: c_int, f: c_int, fd: c_int, o: c_long) -> *mut c_void;
    fn munmap(at: *mut c_void, n: usize) -> c_int;
}
const PROT_READ_AND_WRITE: c_int = 1 | 2;
const MAP_SHARED: c_int = 1;

// From <linux/kubuf.h>: _IO(0xbc, 0), enum kubuf_backing, and struct kubuf_create, which
// is size, flags, length, backing, node, mode, reserved, name.
const KUBUF_CREATE: c_ulong = 0xbc00;
const BACKINGS: [&str; 5] = ["", "kmalloc", "pages", "vmalloc", "huge"];
#[repr(C)]
struct Create(u32, u32, u64, u32, u32, u32, u32, [u8; 32]);

fn create(control: &File, length: u64, backing: usize) -> io::Result<File> {
    let size = mem::size_of::<Create>() as u32;
    let mut args = Create(size, 0, length, backing as u32, 0, 0, 0, [0; 32]);
    // SAFETY: the kernel stores to no more than the first `size` bytes of `args`.
    match unsafe { ioctl(control.as_raw_fd(), KUBUF_CREATE, &mut args as *mut Create) } {
        -1 => Err(Error::last_os_error()),
        // SAFETY: it is open, and new: nobody else closes it.
        fd => Ok(unsafe { File::from_raw_fd(fd) }),
    }
}

/// All of a buffer. Others store to it at any time: so its bytes are atomic.
struct Mapping(*mut c_void, usize);

impl Mapping {
    fn new(mut file: &File) -> io::Result<Mapping> {
        let length = file.seek(SeekFrom::End(0))? as usize;
        let (prot, fd) = (PROT_READ_AND_WRITE, file.as_raw_fd());
        // SAFETY: without MAP_FIXED it takes no room that is in use.
        match unsafe { mmap(ptr::null_mut(), length, prot, MAP_SHARED, fd, 0) } {
            at if at as isize == -1 => Err(Error::last_os_error()),
            at => Ok(Mapping(at, length)),
        }
    }

    fn bytes(&self) -> &[AtomicU8] {
        // SAFETY: they are mapped as long as `self` is there.
        unsafe { slice::from_raw_parts(self.0 as *const AtomicU8, self.1) }
    }

    fn store(&self, who: &str, text: &str) {
        let pairs = self.bytes().iter().zip(text.bytes());
        pairs.for_each(|(to, byte)| to.store(byte, Relaxed));
        println!("{who} stores \"{text}\"");
    }

    fn load(&self, who: &str, n: usize) {
        let text: Vec<u8> = self.bytes()[..n].iter().map(|b| b.load(Relaxed)).collect();
        println!("{who} loads  \"{}\"", String::from_utf8_lossy(&text));
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: no reference to the bytes outlives `self`.
        unsafe { munmap(self.0, self.1) };
    }
}

/// What there was to be had, or why not, and of what.
fn named<T, E: Display>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

fn run_child() -> Result<(), String> {
    let file = named("dup", io::stdin().as_fd().try_clone_to_owned())?;
    let own = named("mmap", Mapping::new(&file.into()))?;
    own.load("child    ", 3);
    own.store("child    ", "three");
    Ok(())
}

fn main() -> Result<(), String> {
    let args: Vec<String> = env::args().collect();
    let bytes = args.get(1).map_or("1048576", String::as_str);
    let name = args.get(2).map_or("vmalloc", String::as_str);
    if bytes == "--child" {
        return run_child();
    }
    let length = named(bytes, bytes.parse())?;
    let backing = BACKINGS.iter().position(|&known| known == name);
    let backing = named(name, backing.ok_or("no such backing"))?;
    let control = named("open /dev/kubuf/control", File::open("/dev/kubuf/control"))?;
    let file = named("KUBUF_CREATE", create(&control, length, backing))?;
    let buffer = named("mmap", Mapping::new(&file))?;
    println!("created   {} bytes, {name}", buffer.1);
    buffer.store("mapping  ", "one");
    let mut seen = [0; 3];
    named("pread", file.read_exact_at(&mut seen, 0))?;
    println!("pread()   loads  \"{}\"", String::from_utf8_lossy(&seen));
    named("pwrite", file.write_all_at(b"two", 0))?;
    println!("pwrite()  stores \"two\"");
    buffer.load("mapping  ", 3);
    let mut child = Command::new("/proc/self/exe");
    let status = named("the child", child.arg("--child").stdin(file).status())?;
    named("the child", status.success().then_some(()).ok_or(status))?;
    buffer.load("mapping  ", 5);
    Ok(())
}
