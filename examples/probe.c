/*
 * Asks an engine whether it has XFRM_MSG_MIGRATE_STATE, over its socket, frame by frame: what a daemon in any language does that
 * cannot be led there by LD_PRELOAD. docs/engine.md tells of the frames.
 *
 *     cc -o probe probe.c && xfrm engine serve /tmp/engine & ./probe /tmp/engine
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum frame { DATA, HELLO, JOIN, JOINED, LOST, REFUSED, OPTION, DONE };

#define XFRM_MSG_MIGRATE_STATE 0x29
#define STRUCTURE 132 /* struct xfrm_user_migrate_state: docs/migrate-state.md */

static int connected(const char *path)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	strncpy(where.sun_path, path, sizeof where.sun_path - 1);
	return connect(fd, (struct sockaddr *)&where, sizeof where) ? -1 : fd;
}

/* One packet: a byte that says what follows, then the datagram as a netlink socket would take it. */
static ssize_t ask(int fd)
{
	unsigned char frame[1 + NLMSG_HDRLEN + STRUCTURE] = {DATA};
	struct nlmsghdr header = {
		.nlmsg_len = sizeof frame - 1,
		.nlmsg_type = XFRM_MSG_MIGRATE_STATE,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		.nlmsg_seq = 1,
	};
	unsigned char *sa = frame + 1 + NLMSG_HDRLEN;
	uint16_t family = AF_INET;

	memcpy(frame + 1, &header, sizeof header);
	memcpy(sa, "\xcb\x00\x71\x01", 4);      /* 203.0.113.1, */
	memcpy(sa + 16, "\x00\x00\x01\x00", 4); /* SPI 0x100 in network order, */
	memcpy(sa + 20, &family, sizeof family);
	sa[22] = 50; /* ESP: there is no such SA */
	memcpy(sa + 128, &family, sizeof family);
	return send(fd, frame, sizeof frame, 0);
}

static int errno_of(const unsigned char *frame, ssize_t size)
{
	struct nlmsghdr header;
	struct nlmsgerr error;

	if (size < (ssize_t)(1 + NLMSG_HDRLEN + sizeof error.error) || frame[0] != DATA)
		return EPROTO;
	memcpy(&header, frame + 1, sizeof header);
	memcpy(&error.error, frame + 1 + NLMSG_HDRLEN, sizeof error.error);
	return header.nlmsg_type == NLMSG_ERROR ? -error.error : EPROTO;
}

int main(int count, char **words)
{
	unsigned char frame[65536];
	int fd = count == 2 ? connected(words[1]) : -1;

	/* The first frame is HELLO with the port's number: one byte and four. */
	if (fd < 0 || recv(fd, frame, sizeof frame, 0) != 5 || frame[0] != HELLO || ask(fd) < 0) {
		fprintf(stderr, "usage: probe PATH, of an engine that serves\n");
		return 2;
	}
	switch (errno_of(frame, recv(fd, frame, sizeof frame, 0))) {
	case ESRCH:
		puts("available");
		return 0;
	case ENOPROTOOPT:
		puts("built without");
		return 1;
	default:
		puts("too old");
		return 1;
	}
}
