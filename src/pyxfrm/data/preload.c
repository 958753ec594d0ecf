/*
 * XFRM sockets of an unmodified program, led to an engine in user space.
 *
 *     cc -shared -fPIC -O2 -o preload.so preload.c -ldl
 *     PYXFRM_ENGINE=/run/user/1000/xfrm LD_PRELOAD=$PWD/preload.so PROGRAM
 *
 * A socket of AF_NETLINK, NETLINK_XFRM that the program asks for becomes a connection to the engine that serves at $PYXFRM_ENGINE.
 * What the program sends goes there as frames (one byte, then a datagram; docs/engine.md tells of them), and what it receives comes from there.
 * Where $PYXFRM_RELEASE is set, uname says that release: programs look at it before they use a message that came with a later kernel.
 * All other sockets are left alone; but policies of single sockets (IP_XFRM_POLICY, IPV6_XFRM_POLICY), which a key manager sets
 * for its own UDP ports, are taken and forgotten, since the machine's kernel is not the one that is meant.
 *
 * Works with what uses the C library's functions, so with C, C++, Python and most of Rust, but not with Go. What differs from a netlink socket:
 * the number of the port is the engine's choice, a sender's address has no groups in it, a request is handled soon after it was sent and not
 * before send returns, and sendmmsg, recvmmsg and descriptors made by dup are not led anywhere.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif
#define IP_XFRM_POLICY_ 17   /* <linux/in.h> */
#define IPV6_XFRM_POLICY_ 35 /* <linux/in6.h> */

enum frame { DATA, HELLO, JOIN, JOINED, LOST, REFUSED, OPTION, DONE };

#define LARGEST (1u << 18) /* bytes of a frame */
#define PATIENCE 5000      /* milliseconds, for the engine to greet or to let join */
#define DESCRIPTORS 65536

static uint32_t port_of[DESCRIPTORS]; /* by descriptor; 0: none of ours */

static int ours(int fd)
{
	return fd >= 0 && fd < DESCRIPTORS && port_of[fd] != 0;
}

/* The C library's function behind one of ours. */
#define NEXT(name)                                                             \
	({                                                                     \
		static __typeof__(name) *next_;                                \
		if (!next_)                                                    \
			next_ = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);   \
		next_;                                                         \
	})

static int fails(int why)
{
	errno = why;
	return -1;
}

/* -- frames ---------------------------------------------------------------------------------- */

static int send_frame(int fd, enum frame kind, const void *body, size_t size)
{
	unsigned char frame[16] = {kind};

	memcpy(frame + 1, body, size);
	return NEXT(send)(fd, frame, size + 1, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* The kind of the next frame, which stays where it is; -1 with an errno. */
static int next_kind(int fd, int flags)
{
	unsigned char kind;
	ssize_t size = NEXT(recv)(fd, &kind, 1, MSG_PEEK | flags);

	if (size == 0)
		return fails(ECONNRESET);
	return size < 0 ? -1 : kind;
}

static void drop_frame(int fd)
{
	unsigned char frame[256];

	NEXT(recv)(fd, frame, sizeof frame, MSG_DONTWAIT);
}

/* Wait for the answer to a JOIN or an OPTION; not behind data that waits already, where it is passed over later. */
static int answered(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};
	int kind;

	if (poll(&one, 1, PATIENCE) <= 0)
		return fails(ETIMEDOUT);
	kind = next_kind(fd, MSG_DONTWAIT);
	if (kind == JOINED || kind == DONE || kind == REFUSED)
		drop_frame(fd);
	return kind < 0 ? -1 : kind == REFUSED ? fails(EINVAL) : 0;
}

static int join(int fd, uint32_t group)
{
	return send_frame(fd, JOIN, &group, sizeof group) ? -1 : answered(fd);
}

static int set_option(int fd, uint32_t option, uint32_t value)
{
	uint32_t body[2] = {option, value};

	return send_frame(fd, OPTION, body, sizeof body) ? -1 : answered(fd);
}

static int join_all(int fd, uint32_t groups)
{
	for (uint32_t group = 1; groups; group++, groups >>= 1)
		if ((groups & 1) && join(fd, group))
			return -1;
	return 0;
}

/* -- opening and closing --------------------------------------------------------------------- */

static uint32_t greeting(int fd)
{
	struct pollfd one = {.fd = fd, .events = POLLIN};
	unsigned char frame[5];
	uint32_t port;

	if (poll(&one, 1, PATIENCE) <= 0 ||
	    NEXT(recv)(fd, frame, sizeof frame, 0) != sizeof frame || frame[0] != HELLO)
		return 0;
	memcpy(&port, frame + 1, sizeof port);
	return port;
}

static int open_port(const char *path, int type)
{
	struct sockaddr_un where = {.sun_family = AF_UNIX};
	int fd, why;

	if (strlen(path) >= sizeof where.sun_path)
		return fails(ENAMETOOLONG);
	strcpy(where.sun_path, path);
	fd = NEXT(socket)(AF_UNIX, SOCK_SEQPACKET | (type & SOCK_CLOEXEC), 0);
	if (fd < 0)
		return -1;
	if (NEXT(connect)(fd, (struct sockaddr *)&where, sizeof where) == 0) {
		errno = fd >= DESCRIPTORS ? EMFILE : ECONNRESET;
		/* A new netlink socket has neither option; an engine's port has both. */
		if (fd < DESCRIPTORS && (port_of[fd] = greeting(fd)) &&
		    !set_option(fd, NETLINK_EXT_ACK, 0) && !set_option(fd, NETLINK_CAP_ACK, 0)) {
			if (type & SOCK_NONBLOCK)
				fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
			return fd;
		}
	}
	why = errno;
	close(fd);
	return fails(why);
}

int socket(int domain, int type, int protocol)
{
	const char *path = getenv("PYXFRM_ENGINE");

	if (domain == AF_NETLINK && protocol == NETLINK_XFRM && path)
		return open_port(path, type);
	return NEXT(socket)(domain, type, protocol);
}

int close(int fd)
{
	if (ours(fd))
		port_of[fd] = 0;
	return NEXT(close)(fd);
}

int bind(int fd, const struct sockaddr *address, socklen_t size)
{
	if (!ours(fd))
		return NEXT(bind)(fd, address, size);
	if (size < sizeof(struct sockaddr_nl) || address->sa_family != AF_NETLINK)
		return fails(EINVAL);
	return join_all(fd, ((const struct sockaddr_nl *)address)->nl_groups);
}

int connect(int fd, const struct sockaddr *address, socklen_t size)
{
	return ours(fd) ? 0 : NEXT(connect)(fd, address, size); /* to the kernel: it is the only one there */
}

static void tell_address(struct sockaddr *address, socklen_t *size, uint32_t port)
{
	struct sockaddr_nl told = {.nl_family = AF_NETLINK, .nl_pid = port};

	if (address && size) {
		memcpy(address, &told, *size < sizeof told ? *size : sizeof told);
		*size = sizeof told;
	}
}

int getsockname(int fd, struct sockaddr *address, socklen_t *size)
{
	if (!ours(fd))
		return NEXT(getsockname)(fd, address, size);
	tell_address(address, size, port_of[fd]);
	return 0;
}

/* -- options --------------------------------------------------------------------------------- */

static int set_netlink(int fd, int option, const void *value, socklen_t size)
{
	uint32_t number;

	if (size < sizeof number)
		return fails(EINVAL);
	memcpy(&number, value, sizeof number);
	switch (option) {
	case NETLINK_ADD_MEMBERSHIP:
		return join(fd, number);
	case NETLINK_DROP_MEMBERSHIP:
	case NETLINK_EXT_ACK:
	case NETLINK_CAP_ACK:
	case NETLINK_NO_ENOBUFS:
		return set_option(fd, option, number);
	case NETLINK_GET_STRICT_CHK:
		return 0; /* nothing in XFRM asks for it */
	default:
		return fails(ENOPROTOOPT);
	}
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	if (!ours(fd)) {
		if (getenv("PYXFRM_ENGINE") && ((level == IPPROTO_IP && option == IP_XFRM_POLICY_) ||
						(level == IPPROTO_IPV6 && option == IPV6_XFRM_POLICY_)))
			return 0;
		return NEXT(setsockopt)(fd, level, option, value, size);
	}
	if (level == SOL_NETLINK)
		return set_netlink(fd, option, value, size);
	if (level == SOL_SOCKET && option == SO_RCVBUFFORCE)
		option = SO_RCVBUF;
	if (level == SOL_SOCKET && option == SO_SNDBUFFORCE)
		option = SO_SNDBUF;
	if (level == SOL_SOCKET && option == SO_ATTACH_FILTER)
		return fails(ENOPROTOOPT); /* it would see frames */
	return NEXT(setsockopt)(fd, level, option, value, size);
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
	int told = option == SO_DOMAIN ? AF_NETLINK : option == SO_PROTOCOL ? NETLINK_XFRM : SOCK_RAW;

	if (!ours(fd))
		return NEXT(getsockopt)(fd, level, option, value, size);
	if (level == SOL_NETLINK)
		return fails(ENOPROTOOPT);
	if (level != SOL_SOCKET || (option != SO_DOMAIN && option != SO_PROTOCOL && option != SO_TYPE))
		return NEXT(getsockopt)(fd, level, option, value, size);
	memcpy(value, &told, *size < sizeof told ? *size : sizeof told);
	*size = sizeof told;
	return 0;
}

/* -- sending --------------------------------------------------------------------------------- */

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	unsigned char kind = DATA;
	struct iovec parts[64] = {{&kind, 1}};
	struct msghdr framed = {.msg_iov = parts, .msg_iovlen = message->msg_iovlen + 1};
	size_t total = 1;
	ssize_t sent;

	if (!ours(fd))
		return NEXT(sendmsg)(fd, message, flags);
	if (message->msg_iovlen >= sizeof parts / sizeof parts[0])
		return fails(EMSGSIZE);
	for (size_t at = 0; at < message->msg_iovlen; at++) {
		parts[at + 1] = message->msg_iov[at];
		total += parts[at + 1].iov_len;
	}
	if (total > LARGEST)
		return fails(EMSGSIZE);
	sent = NEXT(sendmsg)(fd, &framed, flags | MSG_NOSIGNAL);
	return sent < 0 ? sent : sent - 1;
}

static ssize_t send_it(int fd, const void *data, size_t size, int flags)
{
	struct iovec part = {(void *)data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	return sendmsg(fd, &message, flags);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length)
{
	return ours(fd) ? send_it(fd, data, size, flags) : NEXT(sendto)(fd, data, size, flags, to, length);
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
	return ours(fd) ? send_it(fd, data, size, flags) : NEXT(send)(fd, data, size, flags);
}

ssize_t write(int fd, const void *data, size_t size)
{
	return ours(fd) ? send_it(fd, data, size, 0) : NEXT(write)(fd, data, size);
}

/* -- receiving ------------------------------------------------------------------------------- */

/* Wait, if the socket does, until a datagram is the next frame; -1 with an errno, ENOBUFS where some were lost. */
static int await_data(int fd, int flags)
{
	int kind;

	while ((kind = next_kind(fd, flags & MSG_DONTWAIT)) != DATA) {
		if (kind < 0)
			return -1;
		drop_frame(fd);
		if (kind == LOST)
			return fails(ENOBUFS);
	}
	return 0;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	unsigned char kind;
	struct iovec parts[64] = {{&kind, 1}};
	struct msghdr framed = {.msg_iov = parts, .msg_iovlen = message->msg_iovlen + 1};
	ssize_t size;

	if (!ours(fd))
		return NEXT(recvmsg)(fd, message, flags);
	if (message->msg_iovlen >= sizeof parts / sizeof parts[0])
		return fails(EMSGSIZE);
	if (await_data(fd, flags))
		return -1;
	memcpy(parts + 1, message->msg_iov, message->msg_iovlen * sizeof parts[0]);
	size = NEXT(recvmsg)(fd, &framed, flags);
	if (size <= 0)
		return size < 0 ? -1 : fails(ECONNRESET);
	tell_address(message->msg_name, message->msg_name ? &message->msg_namelen : NULL, 0);
	message->msg_controllen = 0;
	message->msg_flags = framed.msg_flags & ~MSG_EOR;
	return size - 1;
}

static ssize_t receive(int fd, void *data, size_t size, int flags, struct sockaddr *from, socklen_t *length)
{
	struct iovec part = {data, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t got = recvmsg(fd, &message, flags);

	if (got >= 0)
		tell_address(from, length, 0);
	return got;
}

ssize_t recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *from, socklen_t *length)
{
	return ours(fd) ? receive(fd, data, size, flags, from, length)
			: NEXT(recvfrom)(fd, data, size, flags, from, length);
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
	return ours(fd) ? receive(fd, data, size, flags, NULL, NULL) : NEXT(recv)(fd, data, size, flags);
}

ssize_t read(int fd, void *data, size_t size)
{
	return ours(fd) ? receive(fd, data, size, 0, NULL, NULL) : NEXT(read)(fd, data, size);
}

/* -- the kernel's name ----------------------------------------------------------------------- */

int uname(struct utsname *told)
{
	const char *release = getenv("PYXFRM_RELEASE");
	int status = NEXT(uname)(told);

	if (status == 0 && release && *release && strlen(release) < sizeof told->release)
		strcpy(told->release, release);
	return status;
}

/* What the C library's headers make of these where a program was built with _FORTIFY_SOURCE. */

ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags)
{
	return size > room ? (abort(), -1) : recv(fd, data, size, flags);
}

ssize_t __recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags, struct sockaddr *from,
		       socklen_t *length)
{
	return size > room ? (abort(), -1) : recvfrom(fd, data, size, flags, from, length);
}

ssize_t __read_chk(int fd, void *data, size_t size, size_t room)
{
	return size > room ? (abort(), -1) : read(fd, data, size);
}
