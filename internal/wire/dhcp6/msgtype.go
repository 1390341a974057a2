package dhcp6

import "strconv"

// MessageType is the msg-type octet of a message (RFC 8415 section 7.3).
type MessageType uint8

// The message types of the IANA registry.
const (
	Solicit            MessageType = 1
	Advertise          MessageType = 2
	Request            MessageType = 3
	Confirm            MessageType = 4
	Renew              MessageType = 5
	Rebind             MessageType = 6
	Reply              MessageType = 7
	Release            MessageType = 8
	Decline            MessageType = 9
	Reconfigure        MessageType = 10
	InformationRequest MessageType = 11
	RelayForward       MessageType = 12
	RelayReply         MessageType = 13
	LeasequeryRequest  MessageType = 14 // LEASEQUERY, RFC 5007
	LeasequeryReply    MessageType = 15 // RFC 5007
	LeasequeryDone     MessageType = 16 // RFC 5460
	LeasequeryData     MessageType = 17 // RFC 5460
	ReconfigureRequest MessageType = 18 // RFC 6977, relay agent to server
	ReconfigureReply   MessageType = 19 // RFC 6977, server to relay agent
	DHCPv4Query        MessageType = 20 // RFC 7341
	DHCPv4Response     MessageType = 21 // RFC 7341
	ActiveLeasequery   MessageType = 22 // RFC 7653
	StartTLS           MessageType = 23 // RFC 7653, both ways over TCP
	BindingUpdate      MessageType = 24 // BNDUPD; 24 to 35 are failover, RFC 8156, server to server over TCP
	BindingReply       MessageType = 25 // BNDREPLY
	PoolRequest        MessageType = 26 // POOLREQ
	PoolResponse       MessageType = 27 // POOLRESP
	UpdateRequest      MessageType = 28 // UPDREQ
	UpdateRequestAll   MessageType = 29 // UPDREQALL
	UpdateDone         MessageType = 30 // UPDDONE
	Connect            MessageType = 31
	ConnectReply       MessageType = 32
	Disconnect         MessageType = 33
	State              MessageType = 34
	Contact            MessageType = 35
	AddrRegInform      MessageType = 36 // ADDR-REG-INFORM, RFC 9686
	AddrRegReply       MessageType = 37 // ADDR-REG-REPLY, RFC 9686
)

var messageTypeNames = [...]string{
	Solicit:            "Solicit",
	Advertise:          "Advertise",
	Request:            "Request",
	Confirm:            "Confirm",
	Renew:              "Renew",
	Rebind:             "Rebind",
	Reply:              "Reply",
	Release:            "Release",
	Decline:            "Decline",
	Reconfigure:        "Reconfigure",
	InformationRequest: "Information-request",
	RelayForward:       "Relay-forward",
	RelayReply:         "Relay-reply",
	LeasequeryRequest:  "Leasequery",
	LeasequeryReply:    "Leasequery-reply",
	LeasequeryDone:     "Leasequery-done",
	LeasequeryData:     "Leasequery-data",
	ReconfigureRequest: "Reconfigure-request",
	ReconfigureReply:   "Reconfigure-reply",
	DHCPv4Query:        "DHCPv4-query",
	DHCPv4Response:     "DHCPv4-response",
	ActiveLeasequery:   "Activeleasequery",
	StartTLS:           "StartTLS",
	BindingUpdate:      "Bndupd",
	BindingReply:       "Bndreply",
	PoolRequest:        "Poolreq",
	PoolResponse:       "Poolresp",
	UpdateRequest:      "Updreq",
	UpdateRequestAll:   "Updreqall",
	UpdateDone:         "Upddone",
	Connect:            "Connect",
	ConnectReply:       "Connectreply",
	Disconnect:         "Disconnect",
	State:              "State",
	Contact:            "Contact",
	AddrRegInform:      "Addr-reg-inform",
	AddrRegReply:       "Addr-reg-reply",
}

// String returns the RFC's name, such as "Relay-forward", or "message type N"
// for a type that has none.
func (t MessageType) String() string {
	if t.Known() {
		return messageTypeNames[t]
	}
	return "message type " + strconv.Itoa(int(t))
}

// Known reports whether the registry has a name for the type.
func (t MessageType) Known() bool {
	return int(t) < len(messageTypeNames) && messageTypeNames[t] != ""
}

// IsRelay reports whether a message of type t has the relay header of RFC 8415
// section 9, and is to be read with ParseRelay instead of ParseMessage.
func (t MessageType) IsRelay() bool { return t == RelayForward || t == RelayReply }

// FromServerOnly reports whether only a server sends messages of type t to
// clients, relay agents or leasequery requestors, so that one that arrives from
// a client is forged or astray. The failover types (RFC 8156) are not among
// them: they travel between servers over TCP. Unknown types are not either: RFC
// 7283 wants them relayed both ways.
func (t MessageType) FromServerOnly() bool {
	switch t {
	case Advertise, Reply, Reconfigure, RelayReply,
		LeasequeryReply, LeasequeryDone, LeasequeryData,
		ReconfigureReply, DHCPv4Response, AddrRegReply:
		return true
	}
	return false
}
