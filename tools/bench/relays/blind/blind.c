/*
 * blind DOWN UP LINK-ADDRESS SERVER: a relay agent that looks at nothing, the limit of
 * what UDP sockets can do, for DHCPv6 or, with IPv4 addresses, for DHCPv4. tools/bench
 * compares relays with it.
 *
 * DHCPv6: whatever comes to port 547 on DOWN gets a Relay-forward header in front and
 * goes to SERVER. Whatever comes from there loses its first 38 octets and goes to port
 * 546 of the address in them.
 *
 * DHCPv4: whatever comes to port 67 on DOWN gets LINK-ADDRESS where giaddr is, and one
 * hop more, and goes to SERVER. Whatever comes from there goes to port 68 of the address
 * where yiaddr is, whose link-layer address the kernel must know.
 *
 * No option is read, nothing is checked, and nobody should run this for anything but a
 * measurement.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BATCH = 64,
	ROOM = 2048,
	RELAY_FORWARD = 12,
	PEER_AT = 18,  /* of the peer-address in a relay message */
	HEADER = 34,   /* of a relay message */
	WRAPPING = 38, /* with the header of the option that holds the message */
	HOPS_AT = 3,   /* of the fields in a DHCPv4 message */
	YIADDR_AT = 16,
	GIADDR_AT = 24,
	QUEUE = 1 << 20
};

union name {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
};

/* What differs between the families. Both functions work on the message i of the batch,
 * whose octets are in parts[i], and say who gets it. Not 0: nobody. */
struct family {
	int domain;
	socklen_t name_size;
	unsigned short server, client; /* ports */
	int (*wrap)(int i, union name *to);
	int (*unwrap)(int i, union name *to);
};

static unsigned char octets[BATCH][WRAPPING + ROOM];
static union name names[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr batch[BATCH];

static union name link_address, server;
static unsigned link_index;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int wrap6(int i, union name *to)
{
	unsigned char *b = (unsigned char *)parts[i].iov_base - WRAPPING;
	size_t length = parts[i].iov_len;
	b[0] = RELAY_FORWARD;
	b[1] = 0;
	memcpy(b + 2, &link_address.six.sin6_addr, 16);
	memcpy(b + PEER_AT, &to->six.sin6_addr, 16);
	b[HEADER] = 0;
	b[HEADER + 1] = 9; /* OPTION_RELAY_MSG */
	b[HEADER + 2] = length >> 8;
	b[HEADER + 3] = length;
	parts[i] = (struct iovec){b, WRAPPING + length};
	return 0;
}

static int unwrap6(int i, union name *to)
{
	unsigned char *b = parts[i].iov_base;
	size_t length = parts[i].iov_len;
	if (length <= WRAPPING)
		return -1;
	to->six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(546), .sin6_scope_id = link_index};
	memcpy(&to->six.sin6_addr, b + PEER_AT, 16);
	parts[i] = (struct iovec){b + WRAPPING, length - WRAPPING};
	return 0;
}

static int wrap4(int i, union name *to)
{
	unsigned char *b = parts[i].iov_base;
	(void)to;
	b[HOPS_AT]++;
	memcpy(b + GIADDR_AT, &link_address.four.sin_addr, 4);
	return 0;
}

static int unwrap4(int i, union name *to)
{
	unsigned char *b = parts[i].iov_base;
	to->four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(68)};
	memcpy(&to->four.sin_addr, b + YIADDR_AT, 4);
	return 0;
}

static const struct family six = {AF_INET6, sizeof(struct sockaddr_in6), 547, 546, wrap6, unwrap6};
static const struct family four = {AF_INET, sizeof(struct sockaddr_in), 67, 68, wrap4, unwrap4};

/* to_port makes a name of the address in a text, and says whether it is one. */
static int to_port(const struct family *f, const char *text, union name *name)
{
	memset(name, 0, sizeof *name);
	if (f == &six) {
		name->six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(f->server)};
		return inet_pton(AF_INET6, text, &name->six.sin6_addr) == 1;
	}
	name->four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(f->server)};
	return inet_pton(AF_INET, text, &name->four.sin_addr) == 1;
}

static int open_socket(const struct family *f, const char *device)
{
	int fd = socket(f->domain, SOCK_DGRAM, 0), on = 1, queue = QUEUE;
	union name at;
	to_port(f, f == &six ? "::" : "0.0.0.0", &at);
	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device) + 1))
		die(device);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof queue);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &queue, sizeof queue);
	if (bind(fd, &at.any, f->name_size))
		die("bind");
	return fd;
}

static int receive(const struct family *f, int fd)
{
	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){octets[i] + WRAPPING, ROOM};
		batch[i].msg_hdr = (struct msghdr){
			.msg_name = &names[i], .msg_namelen = f->name_size, .msg_iov = &parts[i], .msg_iovlen = 1};
	}
	return recvmmsg(fd, batch, BATCH, MSG_DONTWAIT, NULL);
}

static void transmit(int fd, int n)
{
	for (int from = 0; from < n;) {
		int sent = sendmmsg(fd, batch + from, n - from, 0);
		from += sent > 0 ? sent : errno != EINTR;
	}
}

/* forward takes what is there from one socket to the other: to one name if there is one,
 * else to that which each message tells. */
static void forward(const struct family *f, int from, int to, int (*change)(int, union name *), union name *all)
{
	int n = receive(f, from), kept = 0;
	for (int i = 0; i < n; i++) {
		parts[i].iov_len = batch[i].msg_len;
		if (change(i, &names[i]))
			continue;
		batch[kept].msg_hdr = (struct msghdr){
			.msg_name = all ? all : &names[i], .msg_namelen = f->name_size, .msg_iov = &parts[i], .msg_iovlen = 1};
		kept++;
	}
	transmit(to, kept);
}

int main(int argc, char **argv)
{
	const struct family *f = argc == 5 && strchr(argv[3], ':') ? &six : &four;
	if (argc != 5 || !to_port(f, argv[3], &link_address) || !to_port(f, argv[4], &server)) {
		fprintf(stderr, "usage: blind DOWN UP LINK-ADDRESS SERVER\n");
		return 2;
	}
	int down = open_socket(f, argv[1]), up = open_socket(f, argv[2]);
	link_index = if_nametoindex(argv[1]);
	if (f == &six) {
		struct ipv6_mreq group = {.ipv6mr_interface = link_index};
		inet_pton(AF_INET6, "ff02::1:2", &group.ipv6mr_multiaddr);
		if (setsockopt(down, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group))
			die("join");
	}
	struct pollfd either[] = {{.fd = down, .events = POLLIN}, {.fd = up, .events = POLLIN}};
	for (;;) {
		if (poll(either, 2, -1) < 0 && errno != EINTR)
			die("poll");
		if (either[0].revents)
			forward(f, down, up, f->wrap, &server);
		if (either[1].revents)
			forward(f, up, down, f->unwrap, NULL);
	}
}
