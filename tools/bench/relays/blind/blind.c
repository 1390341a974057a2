/*
 * blind DOWN UP LINK-ADDRESS SERVER: a DHCPv6 relay agent that looks at nothing,
 * the limit of what UDP sockets can do. tools/bench compares relays with it.
 *
 * Whatever comes to port 547 on DOWN gets a Relay-forward header in front and
 * goes to SERVER. Whatever comes from there loses its first 38 octets and goes
 * to port 546 of the address in them. No option is read, nothing is checked, and
 * nobody should run this for anything but a measurement.
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
	QUEUE = 1 << 20
};

static unsigned char octets[BATCH][WRAPPING + ROOM];
static struct sockaddr_in6 names[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr batch[BATCH];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int open_socket(const char *device, struct in6_addr address)
{
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), on = 1, queue = QUEUE;
	struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(547), .sin6_addr = address};
	if (fd < 0)
		die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device) + 1))
		die(device);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof queue);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &queue, sizeof queue);
	if (bind(fd, (struct sockaddr *)&at, sizeof at))
		die("bind");
	return fd;
}

static int receive(int fd, int from)
{
	for (int i = 0; i < BATCH; i++) {
		parts[i] = (struct iovec){octets[i] + from, ROOM};
		batch[i].msg_hdr = (struct msghdr){
			.msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &parts[i], .msg_iovlen = 1};
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

static int upwards(int down, int up, struct in6_addr link, struct sockaddr_in6 *server)
{
	int n = receive(down, WRAPPING);
	for (int i = 0; i < n; i++) {
		unsigned char *b = octets[i];
		size_t length = batch[i].msg_len;
		b[0] = RELAY_FORWARD;
		b[1] = 0;
		memcpy(b + 2, &link, 16);
		memcpy(b + PEER_AT, &names[i].sin6_addr, 16);
		b[HEADER] = 0;
		b[HEADER + 1] = 9; /* OPTION_RELAY_MSG */
		b[HEADER + 2] = length >> 8;
		b[HEADER + 3] = length;
		parts[i] = (struct iovec){b, WRAPPING + length};
		batch[i].msg_hdr.msg_name = server;
		batch[i].msg_hdr.msg_namelen = sizeof *server;
	}
	transmit(up, n);
	return n;
}

static int downwards(int down, int up, unsigned index)
{
	int n = receive(up, 0), kept = 0;
	for (int i = 0; i < n; i++) {
		size_t length = batch[i].msg_len;
		if (length <= WRAPPING)
			continue;
		names[kept] = (struct sockaddr_in6){
			.sin6_family = AF_INET6, .sin6_port = htons(546), .sin6_scope_id = index};
		memcpy(&names[kept].sin6_addr, octets[i] + PEER_AT, 16);
		parts[kept] = (struct iovec){octets[i] + WRAPPING, length - WRAPPING};
		batch[kept].msg_hdr.msg_name = &names[kept];
		batch[kept].msg_hdr.msg_namelen = sizeof names[kept];
		kept++;
	}
	transmit(down, kept);
	return n;
}

int main(int argc, char **argv)
{
	struct in6_addr link;
	struct sockaddr_in6 server = {.sin6_family = AF_INET6, .sin6_port = htons(547)};
	if (argc != 5 || inet_pton(AF_INET6, argv[3], &link) != 1 || inet_pton(AF_INET6, argv[4], &server.sin6_addr) != 1) {
		fprintf(stderr, "usage: blind DOWN UP LINK-ADDRESS SERVER\n");
		return 2;
	}
	int down = open_socket(argv[1], in6addr_any), up = open_socket(argv[2], in6addr_any);
	struct ipv6_mreq group = {.ipv6mr_interface = if_nametoindex(argv[1])};
	inet_pton(AF_INET6, "ff02::1:2", &group.ipv6mr_multiaddr);
	if (setsockopt(down, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group))
		die("join");
	struct pollfd either[] = {{.fd = down, .events = POLLIN}, {.fd = up, .events = POLLIN}};
	for (;;) {
		if (poll(either, 2, -1) < 0 && errno != EINTR)
			die("poll");
		if (either[0].revents)
			upwards(down, up, link, &server);
		if (either[1].revents)
			downwards(down, up, group.ipv6mr_interface);
	}
}
