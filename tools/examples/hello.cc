// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * hello: the kernel, this program and another one use the same memory
 *
 *	c++ -std=c++17 -I driver/include/uapi -o hello tools/examples/hello.cc
 *	./hello [BYTES [kmalloc|pages|vmalloc|huge]]
 *
 * As hello.c, with a class for each thing that has to be given back.
 */
#include <charconv>
#include <cstring>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kubuf.h>

/* What a call returned, or an exception that names it. */
static int check(long result, const char *call)
{
	if (result < 0)
		throw std::system_error(errno, std::generic_category(), call);
	return static_cast<int>(result);
}

class Fd {
public:
	Fd(int fd, const char *call) : fd(check(fd, call)) {}
	~Fd() { close(fd); }
	Fd(const Fd &) = delete;
	Fd &operator=(const Fd &) = delete;
	const int fd;
};

class Mapping {
public:
	Mapping(const Fd &file, size_t length) : length(length),
		text(static_cast<char *>(mmap(nullptr, length, PROT_READ | PROT_WRITE,
					      MAP_SHARED, file.fd, 0)))
	{
		check(text == MAP_FAILED ? -1 : 0, "mmap");
	}
	~Mapping() { munmap(text, length); }
	Mapping(const Mapping &) = delete;
	Mapping &operator=(const Mapping &) = delete;
	const size_t length;
	char *const text;
};

static __u64 parse(const std::string &text)
{
	const char *end = text.data() + text.size();
	__u64 n = 0;
	auto [at, error] = std::from_chars(text.data(), end, n);

	if (at != end || error != std::errc())
		throw std::invalid_argument("no number of bytes: " + text);
	return n;
}

static void say(const char *what, const char *text)
{
	std::cout << what << " \"" << text << "\"" << std::endl;
}

static void hello(__u64 length, const std::string &backing)
{
	static const std::map<std::string, __u32> backings = {
		{ "kmalloc", KUBUF_BACKING_KMALLOC }, { "pages", KUBUF_BACKING_PAGES },
		{ "vmalloc", KUBUF_BACKING_VMALLOC }, { "huge", KUBUF_BACKING_HUGE },
	};
	if (!backings.count(backing))
		throw std::invalid_argument("no such backing: " + backing);

	kubuf_create args = {};
	args.size = sizeof(args);
	args.length = length;
	args.backing = backings.at(backing);
	Fd control(open("/dev/kubuf/control", O_RDWR | O_CLOEXEC), "open /dev/kubuf/control");
	Fd file(ioctl(control.fd, KUBUF_CREATE, &args), "KUBUF_CREATE");
	std::cout << "created   " << args.length << " bytes, " << backing << std::endl;

	Mapping buffer(file, args.length);
	say("mapping   stores", std::strcpy(buffer.text, "one"));
	char seen[4] = "";
	check(pread(file.fd, seen, sizeof(seen), 0), "pread");
	say("pread()   loads ", seen);
	check(pwrite(file.fd, "two", 4, 0), "pwrite");
	say("pwrite()  stores", "two");
	say("mapping   loads ", buffer.text);

	/* The child has the descriptor from its parent; the mapping is its own. */
	if (!check(fork(), "fork")) {
		Mapping own(file, args.length);
		say("child     loads ", own.text);
		say("child     stores", std::strcpy(own.text, "three"));
		return;
	}
	if (int status; check(wait(&status), "wait") && status)
		throw std::runtime_error("the child failed");
	say("mapping   loads ", buffer.text);
}

int main(int argc, char **argv)
try {
	hello(argc > 1 ? parse(argv[1]) : 1 << 20, argc > 2 ? argv[2] : "vmalloc");
	return 0;
} catch (const std::exception &error) {
	std::cerr << "hello: " << error.what() << std::endl;
	return 1;
}
