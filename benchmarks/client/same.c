/*
 * same ADD DELETE: for each line of its input, "add" or "delete", sends the datagrams of that file to NETLINK_XFRM, one after the other, each when the
 * last message of the one before is answered; and prints nanoseconds and how many messages were refused. A file is a run of (length as host u32, datagram).
 *
 * This is what the library does, without the library: the same socket options, the same bytes, the same number of system calls.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <linux/netlink.h>

static char answers[1 << 16];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int open_socket(void)
{
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int one = 1, room = 8 << 20;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM);

	if (fd < 0 || bind(fd, (void *)&any, sizeof any) < 0)
		fail("NETLINK_XFRM");
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	return fd;
}

static uint32_t last_number(char *datagram, uint32_t size)
{
	uint32_t seq = 0;

	for (uint32_t at = 0; at < size;) {
		struct nlmsghdr *message = (void *)(datagram + at);

		seq = message->nlmsg_seq;
		at += NLMSG_ALIGN(message->nlmsg_len);
	}
	return seq;
}

/* Reads answers until the one with this number; how many said no. */
static int read_answers(int fd, uint32_t last)
{
	int refused = 0;

	for (;;) {
		int size = recv(fd, answers, sizeof answers, 0);
		struct nlmsghdr *message = (void *)answers;

		if (size < 0)
			fail("recv");
		for (; NLMSG_OK(message, size); message = NLMSG_NEXT(message, size)) {
			struct nlmsgerr *body = NLMSG_DATA(message);

			if (message->nlmsg_type != NLMSG_ERROR)
				continue;
			refused += body->error != 0;
			if (message->nlmsg_seq == last)
				return refused;
		}
	}
}

static int replay(int fd, char *data, size_t all)
{
	int refused = 0;

	for (size_t at = 0; at < all;) {
		uint32_t size;

		memcpy(&size, data + at, sizeof size);
		at += sizeof size;
		if (send(fd, data + at, size, 0) < 0)
			fail("send");
		refused += read_answers(fd, last_number(data + at, size));
		at += size;
	}
	return refused;
}

static char *read_file(const char *path, size_t *size)
{
	struct stat info;
	FILE *file = fopen(path, "rb");
	char *data;

	if (!file || fstat(fileno(file), &info) < 0)
		fail(path);
	data = malloc(info.st_size);
	*size = fread(data, 1, info.st_size, file);
	fclose(file);
	return data;
}

int main(int count, char **words)
{
	size_t sizes[2];
	char *data[2], line[16];
	int fd = open_socket();

	if (count != 3) {
		fprintf(stderr, "usage: same ADD DELETE\n");
		return 2;
	}
	for (int i = 0; i < 2; i++)
		data[i] = read_file(words[i + 1], &sizes[i]);
	while (fgets(line, sizeof line, stdin)) {
		int which = line[0] == 'd', refused;
		int64_t began = now();

		refused = replay(fd, data[which], sizes[which]);
		printf("%lld %d\n", (long long)(now() - began), refused);
		fflush(stdout);
	}
	return 0;
}
