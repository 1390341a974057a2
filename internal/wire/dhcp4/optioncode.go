package dhcp4

import "strconv"

// OptionCode is the code of an option (RFC 2132 section 2).
type OptionCode uint8

// The option codes that a relay agent, a server or a client meets. The registry has
// more; String knows some of those as well.
const (
	OptionPad                  OptionCode = 0 // no length, no payload
	OptionSubnetMask           OptionCode = 1
	OptionRouter               OptionCode = 3
	OptionDomainNameServer     OptionCode = 6
	OptionHostName             OptionCode = 12
	OptionDomainName           OptionCode = 15
	OptionInterfaceMTU         OptionCode = 26
	OptionBroadcastAddress     OptionCode = 28
	OptionNTPServers           OptionCode = 42
	OptionRequestedAddress     OptionCode = 50
	OptionLeaseTime            OptionCode = 51
	OptionOverload             OptionCode = 52
	OptionMessageType          OptionCode = 53
	OptionServerID             OptionCode = 54
	OptionParameterRequestList OptionCode = 55
	OptionMessage              OptionCode = 56
	OptionMaxMessageSize       OptionCode = 57
	OptionRenewalTime          OptionCode = 58 // T1
	OptionRebindingTime        OptionCode = 59 // T2
	OptionVendorClassID        OptionCode = 60
	OptionClientID             OptionCode = 61
	OptionRapidCommit          OptionCode = 80  // RFC 4039
	OptionAgentInformation     OptionCode = 82  // Relay Agent Information, RFC 3046
	OptionAuthentication       OptionCode = 90  // RFC 3118
	OptionEnd                  OptionCode = 255 // no length, no payload
)

// optionNames holds the RFCs' names without the word "option".
var optionNames = [...]string{
	0: "Pad", 1: "Subnet Mask", 2: "Time Offset", 3: "Router", 4: "Time Server",
	5: "Name Server", 6: "Domain Name Server", 7: "Log Server", 8: "Cookie Server",
	9: "LPR Server", 10: "Impress Server", 11: "Resource Location Server",
	12: "Host Name", 13: "Boot File Size", 14: "Merit Dump File", 15: "Domain Name",
	16: "Swap Server", 17: "Root Path", 18: "Extensions Path", 19: "IP Forwarding",
	20: "Non-Local Source Routing", 21: "Policy Filter",
	22: "Maximum Datagram Reassembly Size", 23: "Default IP Time-to-live",
	24: "Path MTU Aging Timeout", 25: "Path MTU Plateau Table", 26: "Interface MTU",
	27: "All Subnets are Local", 28: "Broadcast Address", 29: "Perform Mask Discovery",
	30: "Mask Supplier", 31: "Perform Router Discovery",
	32: "Router Solicitation Address", 33: "Static Route", 34: "Trailer Encapsulation",
	35: "ARP Cache Timeout", 36: "Ethernet Encapsulation", 37: "TCP Default TTL",
	38: "TCP Keepalive Interval", 39: "TCP Keepalive Garbage",
	40: "Network Information Service Domain", 41: "Network Information Servers",
	42: "Network Time Protocol Servers", 43: "Vendor Specific Information",
	44: "NetBIOS over TCP/IP Name Server",
	45: "NetBIOS over TCP/IP Datagram Distribution Server",
	46: "NetBIOS over TCP/IP Node Type", 47: "NetBIOS over TCP/IP Scope",
	48: "X Window System Font Server", 49: "X Window System Display Manager",
	50: "Requested IP Address", 51: "IP Address Lease Time", 52: "Option Overload",
	53: "DHCP Message Type", 54: "Server Identifier", 55: "Parameter Request List",
	56: "Message", 57: "Maximum DHCP Message Size", 58: "Renewal (T1) Time Value",
	59: "Rebinding (T2) Time Value", 60: "Vendor class identifier",
	61: "Client-identifier", 64: "Network Information Service+ Domain",
	65: "Network Information Service+ Servers", 66: "TFTP server name",
	67: "Bootfile name", 68: "Mobile IP Home Agent",
	69: "Simple Mail Transport Protocol Server", 70: "Post Office Protocol Server",
	71: "Network News Transport Protocol Server", 72: "Default World Wide Web Server",
	73: "Default Finger Server", 74: "Default Internet Relay Chat Server",
	75: "StreetTalk Server", 76: "StreetTalk Directory Assistance Server",
	80: "Rapid Commit", 82: "Relay Agent Information", 90: "Authentication",
	91: "client-last-transaction-time", 92: "associated-ip", 118: "Subnet Selection",
	151: "status-code", 152: "base-time", 153: "start-time-of-state",
	154: "query-start-time", 155: "query-end-time", 156: "dhcp-state",
	157: "data-source", 221: "Virtual Subnet Selection", 255: "End",
}

// String returns the RFC's name, such as "Requested IP Address", or "option N" for a
// code that has none here.
func (c OptionCode) String() string {
	if optionNames[c] != "" {
		return optionNames[c]
	}
	return "option " + strconv.Itoa(int(c))
}
