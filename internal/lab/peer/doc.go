// Package peer runs DHCP servers, relays and clients of other authors in the nodes of a network,
// and reports what the clients hold.
//
// The servers are Kea, ISC dhcpd, dibbler-server and dnsmasq; the relay is ISC dhcrelay; the
// clients are dhcpcd, wide-dhcpv6-client (dhcp6c), dibbler-client and ISC dhclient. For DHCPv4
// (names that end in 4) there are Kea, dhcpd and dnsmasq as servers, dhcrelay and dnsmasq as
// relays, and a client of our own. Each program has its configuration in its own folder, and sees
// private versions of the folders that are built into it.
//
// If a program cannot do something, these wrappers do not pretend that it can: see ErrUnable.
// Whoever writes a test with these programs should know their habits:
//
//   - All wait up to a second before the first Solicit, and all but dhcpcd then
//     collect Advertises for a second.
//   - dhcp6c raises a T2 below 30 s to 30 s, and then T1 to 18 s, and lets a prefix with a
//     shorter valid lifetime expire. It was never seen to send a Rebind.
//   - dhcp6c and dibbler renew IA_NA and IA_PD in separate messages.
//   - If a valid lifetime is 0, dibbler says that the prefix has expired, but still
//     lists it, and keeps its route.
//   - If two prefixes are reserved, Kea, dhcpd and dibbler give only one of them to an IA_PD;
//     lab/script gives several.
//   - A server process stopped with SIGSTOP is a silent server.
//
// Every wrapper may be used from several goroutines, as long as it is not
// restarted meanwhile.
package peer
