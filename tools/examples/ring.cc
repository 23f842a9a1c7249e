// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * ring: take records out of a ring that a driver has put into a kubuf buffer
 *
 *	c++ -std=c++17 -I driver/include/uapi -I tools/include -o ring \
 *		tools/examples/ring.cc
 *	./ring /dev/kubuf/NAME [COUNT]
 *
 * Prints each record, as hexadecimal digits, until there are COUNT of them or
 * there will be no more, and then how many there were. As ring.c, with classes.
 */
#include <charconv>
#include <cstdint>
#include <iostream>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <fcntl.h>

#include <kubuf_ring.h>

using Record = std::vector<std::uint8_t>;

static std::system_error failed(const std::string &call)
{
	return std::system_error(errno, std::generic_category(), call);
}

class Fd {
public:
	explicit Fd(const std::string &path) : fd(open(path.c_str(), O_RDWR | O_CLOEXEC))
	{
		if (fd < 0)
			throw failed("open " + path);
	}
	~Fd() { close(fd); }
	Fd(const Fd &) = delete;
	Fd &operator=(const Fd &) = delete;
	const int fd;
};

class Ring {
public:
	explicit Ring(const std::string &path) : file(path)
	{
		if (kubuf_ring_open(&ring, file.fd))
			throw failed("kubuf_ring_open " + path);
	}
	~Ring() { kubuf_ring_close(&ring); }
	Ring(const Ring &) = delete;
	Ring &operator=(const Ring &) = delete;

	bool has_bytes() const { return ring.header->flags & KUBUF_RING_BYTES; }
	std::uint64_t lost() const { return ring.header->lost; }

	/* The next record, waited for; nothing if there will be none any more. */
	std::optional<Record> next()
	{
		std::uint32_t length;

		for (;;) {
			while (const void *payload = kubuf_ring_next(&ring, &length)) {
				auto begin = static_cast<const std::uint8_t *>(payload);
				Record copy(begin, begin + length);

				/* Where the producer overwrites, it may have done so. */
				if (kubuf_ring_release(&ring))
					return copy;
			}
			if (!kubuf_ring_wait_data(&ring, -1))
				continue;
			if (errno == ENODATA)
				return std::nullopt;
			throw failed("kubuf_ring_wait_data");
		}
	}

private:
	const Fd file;
	kubuf_ring ring;
};

static std::uint64_t parse(const std::string &text)
{
	const char *end = text.data() + text.size();
	std::uint64_t n = 0;
	auto [at, error] = std::from_chars(text.data(), end, n);

	if (at != end || error != std::errc())
		throw std::invalid_argument("no number of records: " + text);
	return n;
}

static void print(const Record &record)
{
	static const char digits[] = "0123456789abcdef";
	std::string line;

	for (auto byte : record) {
		line += digits[byte >> 4];
		line += digits[byte & 15];
	}
	std::cout << line << std::endl;
}

static void take(const std::string &path, std::uint64_t count)
{
	std::uint64_t records = 0, bytes = 0;
	Ring ring(path);

	std::cout.exceptions(std::ios::badbit | std::ios::failbit);
	if (ring.has_bytes())
		throw std::runtime_error(path + " has bytes, not records");
	while (records < count) {
		const auto record = ring.next();

		if (!record)
			break;
		print(*record);
		records++;
		bytes += record->size();
	}
	std::cerr << records << " records, " << bytes << " bytes, " << ring.lost() << " lost\n";
}

int main(int argc, char **argv)
try {
	if (argc != 2 && argc != 3)
		throw std::invalid_argument("usage: ring /dev/kubuf/NAME [COUNT]");
	take(argv[1], argc == 3 ? parse(argv[2]) : std::numeric_limits<std::uint64_t>::max());
	return 0;
} catch (const std::exception &error) {
	std::cerr << "ring: " << error.what() << "\n";
	return 1;
}
