package dhcp4_test

import (
	"strings"
	"testing"

	"fairlead/internal/wire/dhcp4"
)

func TestNames(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{dhcp4.Discover.String(), "DHCPDISCOVER"},
		{dhcp4.MessageType(5).String(), "DHCPACK"},
		{dhcp4.MessageType(9).String(), "DHCPFORCERENEW"},
		{dhcp4.MessageType(13).String(), "DHCPLEASEACTIVE"},
		{dhcp4.MessageType(18).String(), "DHCPTLS"},
		{dhcp4.MessageType(0).String(), "BOOTP"},
		{dhcp4.MessageType(19).String(), "message type 19"},
		{dhcp4.MessageType(255).String(), "message type 255"},
		{dhcp4.OptionAgentInformation.String(), "Relay Agent Information"},
		{dhcp4.OptionCode(0).String(), "Pad"},
		{dhcp4.OptionCode(61).String(), "Client-identifier"},
		{dhcp4.OptionCode(62).String(), "option 62"},
		{dhcp4.OptionCode(254).String(), "option 254"},
		{dhcp4.OptionCode(255).String(), "End"},
		{dhcp4.SubOptionCircuitID.String(), "Agent Circuit ID"},
		{dhcp4.SubOptionCode(12).String(), "Relay Agent Identifier"},
		{dhcp4.SubOptionCode(152).String(), "Virtual Subnet Selection Control"},
		{dhcp4.SubOptionCode(0).String(), "sub-option 0"},
		{dhcp4.SubOptionCode(3).String(), "sub-option 3"},
		{dhcp4.SubOptionCode(153).String(), "sub-option 153"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

// Every type up to the last has a name, and no two have the same one.
func TestMessageTypesAreContiguous(t *testing.T) {
	seen := map[string]bool{}
	for c := 1; c <= 18; c++ {
		name := dhcp4.MessageType(c).String()
		if !strings.HasPrefix(name, "DHCP") || seen[name] {
			t.Errorf("type %d has the name %q", c, name)
		}
		seen[name] = true
	}
}
