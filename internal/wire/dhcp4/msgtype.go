package dhcp4

import "strconv"

// MessageType is the value of the DHCP Message Type option (RFC 2132 section 9.6).
type MessageType uint8

// The message types.
const (
	Discover         MessageType = 1
	Offer            MessageType = 2
	Request          MessageType = 3
	Decline          MessageType = 4
	ACK              MessageType = 5
	NAK              MessageType = 6
	Release          MessageType = 7
	Inform           MessageType = 8
	ForceRenew       MessageType = 9  // RFC 3203 section 4
	LeaseQuery       MessageType = 10 // 10 to 13: RFC 4388 section 6.1
	LeaseUnassigned  MessageType = 11
	LeaseUnknown     MessageType = 12
	LeaseActive      MessageType = 13
	BulkLeaseQuery   MessageType = 14 // 14 and 15: RFC 6926 section 6.2.1
	LeaseQueryDone   MessageType = 15
	ActiveLeaseQuery MessageType = 16 // 16 to 18: RFC 7724 section 5.2.1
	LeaseQueryStatus MessageType = 17
	TLS              MessageType = 18
)

var messageTypeNames = [...]string{
	Discover:         "DHCPDISCOVER",
	Offer:            "DHCPOFFER",
	Request:          "DHCPREQUEST",
	Decline:          "DHCPDECLINE",
	ACK:              "DHCPACK",
	NAK:              "DHCPNAK",
	Release:          "DHCPRELEASE",
	Inform:           "DHCPINFORM",
	ForceRenew:       "DHCPFORCERENEW",
	LeaseQuery:       "DHCPLEASEQUERY",
	LeaseUnassigned:  "DHCPLEASEUNASSIGNED",
	LeaseUnknown:     "DHCPLEASEUNKNOWN",
	LeaseActive:      "DHCPLEASEACTIVE",
	BulkLeaseQuery:   "DHCPBULKLEASEQUERY",
	LeaseQueryDone:   "DHCPLEASEQUERYDONE",
	ActiveLeaseQuery: "DHCPACTIVELEASEQUERY",
	LeaseQueryStatus: "DHCPLEASEQUERYSTATUS",
	TLS:              "DHCPTLS",
}

// String returns the RFC's name, such as "DHCPDISCOVER", "BOOTP" for a message that
// has no type, or "message type N".
func (t MessageType) String() string {
	if t == 0 {
		return "BOOTP"
	}
	if int(t) < len(messageTypeNames) {
		return messageTypeNames[t]
	}
	return "message type " + strconv.Itoa(int(t))
}
