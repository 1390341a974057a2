package inject_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/host/inject"
	"fairlead/internal/wire/dhcp4"
)

func relayOptions4(u *unsent) inject.RelayOptions {
	return inject.RelayOptions{
		Family: loadgen.DHCPv4, Server: netip.MustParseAddr("192.0.2.1"), LinkAddress: netip.MustParseAddr("192.0.2.12"),
		First: 1000, Clients: 4000, Unsent: u.note,
	}
}

// discover4 is a message that foreign decoders accept.
func discover4(client uint32) []byte {
	mac := loadgen.MAC(client)
	b := dhcp4.AppendHeader(nil, dhcp4.Header{Op: dhcp4.BOOTRequest, HType: dhcp4.HardwareEthernet, XID: client, CHAddr: mac[:]})
	return dhcp4.AppendEnd(dhcp4.AppendMessageType(b, dhcp4.Discover), 0)
}

// A foreign decoder reads what the server gets, and the server's answers reach the right client.
func TestRelay4(t *testing.T) {
	for name, id := range map[string]string{"no circuit": "", "circuit": "port 7", "longest": strings.Repeat("x", 253)} {
		t.Run(name, func(t *testing.T) {
			c, s := cable(t)
			var u unsent
			o := relayOptions4(&u)
			o.InterfaceID = id
			r := openRelay(t, c, o)
			server := listen(t, s, "192.0.2.1:67")
			const some = 100 // more than a batch
			for i := range uint32(some) {
				r.Queue(loadgen.Message{Client: 1000 + i, Number: i}, append(r.Room(), discover4(1000+i)...))
			}
			r.Flush()
			b := make([]byte, 2000)
			for i := range uint32(some) {
				n, from, err := server.ReadFromUDPAddrPort(b)
				need(t, err)
				got, err := dhcpv4.FromBytes(b[:n])
				need(t, err)
				mac := loadgen.MAC(1000 + i)
				if from.String() != "192.0.2.12:67" || got.GatewayIPAddr.String() != "192.0.2.12" || got.HopCount != 1 ||
					!bytes.Equal(got.ClientHWAddr, mac[:]) || got.MessageType() != dhcpv4.MessageTypeDiscover {
					t.Fatalf("from %s: %s", from, got.Summary())
				}
				option := ""
				if id != "" {
					option = string([]byte{1, byte(len(id))}) + id
				}
				if got := string(got.Options.Get(dhcpv4.OptionRelayAgentInformation)); got != option {
					t.Fatalf("option 82: %q, want %q", got, option)
				}
				if i == 50 { // amid the good ones
					for _, bad := range [][]byte{nil, {2}, reply4(999, "before the first"), reply4(5000, "after the last"), reply4(1001, "cut")[:33]} {
						_, err = server.WriteToUDPAddrPort(bad, from)
						need(t, err)
					}
				}
				_, err = server.WriteToUDPAddrPort(reply4(1000+i, fmt.Sprint("for ", 1000+i)), from)
				need(t, err)
			}
			for i, h := range hear(t, r, some) {
				if got := text4(t, h.message); h.client != uint32(1000+i) || got != fmt.Sprint("for ", h.client) {
					t.Fatalf("client %d hears %q", h.client, got)
				}
			}
			if r.Dropped() != 0 || len(u) != 0 {
				t.Errorf("%d dropped, %d not sent", r.Dropped(), len(u))
			}
		})
	}
}

func TestOpenRelayRefused4(t *testing.T) {
	c, _ := cable(t)
	var u unsent
	taken := relayOptions4(&u)
	openRelay(t, c, taken)
	long, foreign := taken, taken
	long.InterfaceID = strings.Repeat("x", 254)
	foreign.LinkAddress = netip.MustParseAddr("192.0.2.99")
	for _, x := range []struct {
		options inject.RelayOptions
		want    string
	}{
		{taken, "UDP port 67 of 192.0.2.12: a relay agent or a server has this address already"},
		{long, "an interface-id of 254 octets: want at most 253"},
		{foreign, "bind to 192.0.2.99: cannot assign requested address"},
	} {
		err := c.Do(func() error {
			r, err := inject.OpenRelay(x.options)
			if err == nil {
				r.Close()
			}
			return err
		})
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%v, want %s", err, x.want)
		}
	}
}
