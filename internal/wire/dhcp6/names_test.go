package dhcp6_test

import (
	"slices"
	"testing"

	"fairlead/internal/wire/dhcp6"
)

func TestNames(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{dhcp6.Solicit.String(), "Solicit"},
		{dhcp6.InformationRequest.String(), "Information-request"},
		{dhcp6.MessageType(12).String(), "Relay-forward"},
		{dhcp6.MessageType(13).String(), "Relay-reply"},
		{dhcp6.MessageType(14).String(), "Leasequery"},
		{dhcp6.MessageType(23).String(), "StartTLS"},
		{dhcp6.MessageType(35).String(), "Contact"},
		{dhcp6.MessageType(36).String(), "Addr-reg-inform"},
		{dhcp6.MessageType(37).String(), "Addr-reg-reply"},
		{dhcp6.MessageType(0).String(), "message type 0"},
		{dhcp6.MessageType(38).String(), "message type 38"},
		{dhcp6.MessageType(255).String(), "message type 255"},
		{dhcp6.OptionIAPD.String(), "IA_PD"},
		{dhcp6.OptionCode(26).String(), "IAPREFIX"},
		{dhcp6.OptionCode(135).String(), "RELAY_PORT"},
		{dhcp6.OptionCode(0).String(), "option 0"},
		{dhcp6.OptionCode(10).String(), "option 10"},
		{dhcp6.OptionCode(149).String(), "option 149"},
		{dhcp6.OptionCode(65535).String(), "option 65535"},
		{dhcp6.StatusNoPrefixAvail.String(), "NoPrefixAvail"},
		{dhcp6.StatusCode(22).String(), "ExcessiveTimeSkew"},
		{dhcp6.StatusCode(23).String(), "status 23"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

// Every type that a constant names has a name, in the registry's order.
func TestMessageTypesAreContiguous(t *testing.T) {
	for c := 1; c <= 37; c++ {
		if name := dhcp6.MessageType(c).String(); len(name) > 7 && name[:7] == "message" {
			t.Errorf("type %d has no name", c)
		}
	}
}

func TestFromServerOnly(t *testing.T) {
	// RFC 8415 section 7.3, RFC 5007, 5460, 6977, 7341 and 9686.
	servers := []int{2, 7, 10, 13, 15, 16, 17, 19, 21, 37}
	relays := []int{12, 13}
	for c := range 256 {
		typ := dhcp6.MessageType(c)
		if got, want := typ.FromServerOnly(), slices.Contains(servers, c); got != want {
			t.Errorf("%v (%d): FromServerOnly = %v, want %v", typ, c, got, want)
		}
		if got, want := typ.IsRelay(), slices.Contains(relays, c); got != want {
			t.Errorf("%v (%d): IsRelay = %v, want %v", typ, c, got, want)
		}
	}
}

func TestWellKnownAddresses(t *testing.T) {
	if got := dhcp6.AllRelayAgentsAndServers; got != addr("ff02::1:2") {
		t.Errorf("All_DHCP_Relay_Agents_and_Servers = %v", got)
	}
	if got := dhcp6.AllServers; got != addr("ff05::1:3") {
		t.Errorf("All_DHCP_Servers = %v", got)
	}
}
