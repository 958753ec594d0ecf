/*
 * Traffic, and what became of it: three small programs in one, so that the measured host has no interpreter in its way.
 *
 *   traffic send SADDR[,SADDR] DADDR PORT RATE    numbered UDP packets of 256 bytes, until SIGTERM; prints how many, how many of these the other
 *                                                 source could send when one was refused with EPERM, and the errnos of all others, with their numbers
 *   traffic sink ADDR PORT FILE                   what arrives: (u64 time in ns, u64 number), until SIGTERM
 *   traffic tap DEVICE PORT FILE                  outgoing frames: (u64 time, u32 spi, u32 seq, u64 iv, u32 kind), until SIGTERM
 *                                                 kind 1 ESP, 2 ESP in UDP, 3 our UDP packets in clear (PORT and the nine after it)
 *   traffic pauses SECONDS                        reads the clock in a loop: prints reads, pauses over 1 ms, the longest in us
 *   traffic calls FILE                            netlink: see calls() below
 *
 * Times are CLOCK_MONOTONIC. IPv4 and IPv6.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stopping;

static void on_term(int number)
{
	(void)number;
	stopping = 1;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* A growing array that is written out at the end: no disk in the measurement. */
struct log {
	uint8_t *data;
	size_t used, size;
};

static void keep(struct log *log, const void *what, size_t length)
{
	if (log->used + length > log->size) {
		log->size = log->size ? 2 * log->size : 1 << 22;
		log->data = realloc(log->data, log->size);
		if (!log->data)
			die("realloc");
	}
	memcpy(log->data + log->used, what, length);
	log->used += length;
}

static void save(struct log *log, const char *path)
{
	FILE *file = fopen(path, "wb");

	if (!file || fwrite(log->data, 1, log->used, file) != log->used || fclose(file))
		die(path);
}

static socklen_t address(const char *text, int port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (void *)out;
	struct sockaddr_in6 *v6 = (void *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) {
		fprintf(stderr, "%s: not an address\n", text);
		exit(2);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

static int udp_at(const char *text, int port)
{
	struct sockaddr_storage here;
	socklen_t size = address(text, port, &here);
	int fd = socket(here.ss_family, SOCK_DGRAM, 0), one = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&here, size))
		die(text);
	return fd;
}

static int run_send(char **argv)
{
	struct sockaddr_storage there;
	socklen_t size = address(argv[1], atoi(argv[2]), &there);
	char *other = strchr(argv[0], ',');
	int fds[2], from = 0;
	uint64_t step = 1000000000ull / atoi(argv[3]), due, number = 0, turns = 0;
	static uint64_t refused[4096];
	uint8_t packet[256] = { 0 };

	if (other)
		*other++ = 0;
	fds[0] = udp_at(argv[0], 0);
	fds[1] = other ? udp_at(other, 0) : fds[0];
	due = now_ns();
	while (!stopping) {
		struct timespec until = { due / 1000000000ull, due % 1000000000ull };
		ssize_t gone;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		/* What was not sent because the machine stood still is not made up for in one burst. */
		if (now_ns() > due + 2000000)
			due = now_ns();
		memcpy(packet, &number, sizeof(number));
		gone = sendto(fds[from], packet, sizeof(packet), 0, (void *)&there, size);
		if (gone < 0 && errno == EPERM && other) {
			gone = sendto(fds[!from], packet, sizeof(packet), 0, (void *)&there, size);
			if (gone >= 0) {
				from = !from;
				turns++;
			}
		}
		if (gone < 0)
			refused[errno]++;
		number++;
		due += step;
	}
	printf("%llu %llu\n", (unsigned long long)number, (unsigned long long)turns);
	for (int code = 0; code < 4096; code++)
		if (refused[code])
			printf("%d %llu\n", code, (unsigned long long)refused[code]);
	return 0;
}

static int run_sink(char **argv)
{
	int fd = udp_at(argv[0], atoi(argv[1])), room = 1 << 24;
	struct timeval patience = { 0, 100000 };
	struct log log = { 0 };
	uint64_t entry[2];
	uint8_t packet[2048];

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (!stopping) {
		if (recv(fd, packet, sizeof(packet), 0) < 8)
			continue;
		entry[0] = now_ns();
		memcpy(&entry[1], packet, 8);
		keep(&log, entry, sizeof(entry));
	}
	save(&log, argv[2]);
	return 0;
}

struct frame {
	uint64_t at;
	uint32_t spi, seq;
	uint64_t iv;
	uint32_t kind;
} __attribute__((packed));

/* Fills in what it is; 0 for a frame that is none of our business. */
static int look(const uint8_t *packet, size_t length, int port, struct frame *frame)
{
	size_t at;
	int proto;

	if (length < 48)
		return 0;
	if (packet[0] >> 4 == 4) {
		at = (packet[0] & 15) * 4;
		proto = packet[9];
	} else {
		at = 40;
		proto = packet[6];
	}
	if (length < at + 24)
		return 0;
	if (proto == IPPROTO_UDP) {
		uint16_t dport = packet[at + 2] << 8 | packet[at + 3];

		if (dport >= port && dport < port + 10) {
			frame->kind = 3;
			return 1;
		}
		if (dport < 4500 || dport > 4509)
			return 0;
		at += 8;
		frame->kind = 2;
	} else if (proto == IPPROTO_ESP) {
		frame->kind = 1;
	} else {
		return 0;
	}
	memcpy(&frame->spi, packet + at, 4);
	memcpy(&frame->seq, packet + at + 4, 4);
	memcpy(&frame->iv, packet + at + 8, 8);
	frame->spi = ntohl(frame->spi);
	frame->seq = ntohl(frame->seq);
	return 1;
}

static int run_tap(char **argv)
{
	int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL)), room = 1 << 26;
	struct sockaddr_ll from = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct timeval patience = { 0, 100000 };
	struct tpacket_stats stats = { 0 };
	socklen_t size;
	struct log log = { 0 };
	uint8_t packet[512];

	if (fd < 0)
		die("AF_PACKET");
	from.sll_ifindex = if_nametoindex(argv[0]);
	if (bind(fd, (void *)&from, sizeof(from)))
		die(argv[0]);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (!stopping) {
		struct frame frame = { 0 };
		ssize_t length;

		size = sizeof(from);
		length = recvfrom(fd, packet, sizeof(packet), 0, (void *)&from, &size);
		if (length < 0 || from.sll_pkttype != PACKET_OUTGOING)
			continue;
		frame.at = now_ns();
		if (look(packet, length, atoi(argv[1]), &frame))
			keep(&log, &frame, sizeof(frame));
	}
	size = sizeof(stats);
	getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size);
	printf("%u\n", stats.tp_drops);
	save(&log, argv[2]);
	return 0;
}

static int run_pauses(char **argv)
{
	uint64_t end = now_ns() + atoi(argv[0]) * 1000000000ull, last = now_ns(), reads = 0, pauses = 0, longest = 0;

	while (last < end) {
		uint64_t now = now_ns(), pause = now - last;

		pauses += pause > 1000000;
		if (pause > longest)
			longest = pause;
		reads++;
		last = now;
	}
	printf("%llu %llu %llu\n", (unsigned long long)reads, (unsigned long long)pauses, (unsigned long long)(longest / 1000));
	return 0;
}

/*
 * The same netlink calls that the library makes, made by C: the baseline. FILE holds moves one after the other:
 *   u32 number of datagrams; for each: u32 length, u32 answers to wait for, the datagram
 * Prints one line a move: ns from before its first send until the last one returned, refusals, ns until its last answer was read.
 * Between moves it sleeps, as a program does that has nothing to move: caches are as cold as they are for everybody else.
 */
static uint32_t word(FILE *file)
{
	uint32_t value;

	return fread(&value, 4, 1, file) == 1 ? value : 0;
}

static int run_calls(char **argv)
{
	static uint8_t datagrams[64][65536], answer[65536];
	uint32_t lengths[64], waits[64], count;
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	const struct timespec pause = { 0, 20000000 };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM), one = 1;
	FILE *file = fopen(argv[0], "rb");

	if (fd < 0 || !file || bind(fd, (void *)&kernel, sizeof(kernel)))
		die("calls");
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	while ((count = word(file))) {
		uint64_t began, returned = 0, refused = 0;

		for (uint32_t n = 0; n < count; n++) {
			lengths[n] = word(file);
			waits[n] = word(file);
			if (fread(datagrams[n], 1, lengths[n], file) != lengths[n])
				die("short file");
		}
		nanosleep(&pause, NULL);
		began = now_ns();
		for (uint32_t n = 0; n < count; n++) {
			if (sendto(fd, datagrams[n], lengths[n], 0, (void *)&kernel, sizeof(kernel)) < 0)
				die("sendto");
			returned = now_ns();
			for (uint32_t k = 0; k < waits[n]; k++) {
				struct nlmsghdr *header = (void *)answer;

				if (recv(fd, answer, sizeof(answer), 0) < 0)
					die("recv");
				if (header->nlmsg_type == NLMSG_ERROR && *(int *)NLMSG_DATA(header))
					refused++;
			}
		}
		printf("%llu %llu %llu\n", (unsigned long long)(returned - began), (unsigned long long)refused,
		       (unsigned long long)(now_ns() - began));
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_term };

	sigaction(SIGTERM, &action, NULL);
	if (argc == 6 && !strcmp(argv[1], "send"))
		return run_send(argv + 2);
	if (argc == 5 && !strcmp(argv[1], "sink"))
		return run_sink(argv + 2);
	if (argc == 5 && !strcmp(argv[1], "tap"))
		return run_tap(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "pauses"))
		return run_pauses(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "calls"))
		return run_calls(argv + 2);
	fprintf(stderr, "see the head of traffic.c\n");
	return 2;
}
