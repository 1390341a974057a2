// Package peer runs DHCP servers, relays and clients by other authors in the
// nodes of a network, and says what they hold.
//
// Servers: Kea, ISC dhcpd, dibbler-server, dnsmasq. Relay: ISC dhcrelay. Clients:
// dhcpcd, wide-dhcpv6-client (dhcp6c), dibbler-client, ISC dhclient. For DHCPv4 (names that end in 4), Kea,
// dhcpd and dnsmasq as servers, dhcrelay and dnsmasq as relays, and a client of
// our own. Each writes its configuration into its own folder and sees private
// versions of the folders that it insists on.
//
// What the programs cannot do, these wrappers do not fake: see ErrUnable.
// Habits to know when a test is written with them:
//
//   - All wait up to a second before the first Solicit, and all but dhcpcd then
//     collect Advertises for a second.
//   - dhcp6c raises T2 below 30 s to 30 and T1 to 18, and lets a prefix with a
//     shorter valid lifetime expire. It was not seen to send Rebind.
//   - dhcp6c and dibbler renew IA_NA and IA_PD in separate messages.
//   - Given a valid lifetime of 0, dibbler says that the prefix has expired and
//     goes on naming it; its route stays.
//   - Of two reserved prefixes, Kea, dhcpd and dibbler give one IA_PD only one;
//     lab/script gives several.
//   - A server process stopped with SIGSTOP is a silent server.
//
// Every wrapper may be used from several goroutines, as long as it is not
// restarted meanwhile.
package peer
