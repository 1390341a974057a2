package effect

// Drop is why a datagram was discarded. Every reason has a name, and every link
// a counter for it.
type Drop uint8

// The reasons.
const (
	DropEmpty Drop = iota
	DropMalformed
	DropUnknownLink
	DropNotClientLink
	DropBadSource
	DropServerMessage
	DropLeasequery
	DropUntrustedRelay
	DropHopLimit
	DropReplyFromClientLink
	DropUntrustedServer
	DropNoServer
	DropNoRelayMessage
	DropUnknownInterfaceID
	DropNoLink
	DropBadPeerAddress
	DropTooBig
	DropLimit
	DropProbing
	DropNotKept
	DropNotInstalled
	DropMuted
	DropRefusedFingerprint
	DropSendFailed
	DropRateLink
	DropRateSource
	DropRateNewcomers
	DropQueueFull
	DropUnprotected
	DropAmbiguousInterfaceID
	DropNoLinkLocal
	DropTooEarly
	DropAgentInformation
	DropNoGIAddr
	DropSpoofedGIAddr
	DropAmbiguousGIAddr
	DropWrongVPN
	DropNoToken
	DropNoSubnet
	DropOtherServer
	DropInvalid
	DropUnknownType
	DropNoAnswer
	DropUnicast
	DropAnswerWaits
	drops
)

var dropNames = [drops]string{
	"empty", "malformed", "unknown-link", "not-client-link", "bad-source", "server-message", "leasequery", "untrusted-relay", "hop-limit",
	"reply-from-client-link", "untrusted-server", "no-server", "no-relay-message", "unknown-interface-id", "no-link", "bad-peer-address", "too-big",
	"limit", "probing", "not-kept", "not-installed", "muted", "refused-fingerprint", "send-failed",
	"rate-link", "rate-source", "rate-newcomers", "queue-full", "unprotected", "ambiguous-interface-id", "no-link-local",
	"too-early", "agent-information", "no-giaddr", "spoofed-giaddr", "ambiguous-giaddr", "wrong-vpn",
	"no-token", "no-subnet", "other-server", "invalid", "unknown-type", "no-answer", "unicast", "answer-waits",
}

func (d Drop) String() string { return dropNames[d] }

// DropCount is the number of reasons.
const DropCount = int(drops)
