package loadgen_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"fairlead/internal/core/loadgen"
	"fairlead/internal/wire/dhcp6"
)

// The link-layer address, link-local address and identifier of a client are as RFC 4291 appendix
// A and RFC 8415 section 11.4 define them.
func TestIdentity(t *testing.T) {
	for n, want := range map[uint32][3]string{
		0:          {"02:fa:00:00:00:00", "fe80::fa:ff:fe00:0", "00:03:00:01:02:fa:00:00:00:00"},
		1:          {"02:fa:00:00:00:01", "fe80::fa:ff:fe00:1", "00:03:00:01:02:fa:00:00:00:01"},
		0x01020304: {"02:fa:01:02:03:04", "fe80::fa:1ff:fe02:304", "00:03:00:01:02:fa:01:02:03:04"},
		0xfffffffe: {"02:fa:ff:ff:ff:fe", "fe80::fa:ffff:feff:fffe", "00:03:00:01:02:fa:ff:ff:ff:fe"},
	} {
		mac, address := loadgen.MAC(n), loadgen.LinkLocal(n)
		got := [3]string{net.HardwareAddr(mac[:]).String(), netip.AddrFrom16(address).String(), loadgen.DUID(n).String()}
		if got != want {
			t.Errorf("client %d: %q, want %q", n, got, want)
		}
		if back, ok := loadgen.Index(address[:]); !ok || back != n {
			t.Errorf("%s is client %d (%v), want %d", got[1], back, ok, n)
		}
		for i := range address {
			other := address
			other[i] ^= 0x10
			if back, ok := loadgen.Index(other[:]); ok && back == n {
				t.Errorf("%s is client %d as well", netip.AddrFrom16(other), n)
			}
		}
	}
	for _, nobody := range []string{"fe80::1", "fe80::fa:ff:fd00:1", "fe80:0:0:1:fa:ff:fe00:1", "2001:db8::fa:ff:fe00:1", "ff02::1", "::"} {
		a := netip.MustParseAddr(nobody).As16()
		if n, ok := loadgen.Index(a[:]); ok {
			t.Errorf("%s is client %d", nobody, n)
		}
	}
}

// Transaction-ids are not repeated soon, and do not simply count up.
func TestTransactionIDs(t *testing.T) {
	const messages = 1 << 18
	e := loadgen.New(loadgen.Config{Clients: 1, Mix: loadgen.Mix{loadgen.Solicit: 1}, Timeout: timeout, Slots: 1, Seed: 5})
	seen := make(map[int]bool, messages)
	room := make([]byte, 0, loadgen.MaxMessage)
	steps := 0
	last := 0
	for i := range messages {
		b, _, _ := e.Begin(room, loadgen.Solicit, 1, 1)
		xid := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if seen[xid] {
			t.Fatalf("message %d has the transaction-id %06x again", i, xid)
		}
		if seen[xid] = true; xid == last+1 {
			steps++
		}
		last = xid
	}
	if steps > messages/256 {
		t.Errorf("%d of them follow the one before", steps)
	}
}

// What each message contains: options in their order, IAs and what is in them, as a foreign
// decoder reads it, for all IAs that clients can have.
func TestMessages(t *testing.T) {
	const oro, alone = "ORO[23 24 82]", "ORO[23 24 32 83]"
	for _, c := range []struct {
		ias  loadgen.IAs
		kind loadgen.Kind
		want string
	}{
		{loadgen.IAs{PD: true}, loadgen.Solicit, "SOLICIT client elapsed " + oro + " PD[]"},
		{loadgen.IAs{NA: true}, loadgen.Solicit, "SOLICIT client elapsed " + oro + " NA[]"},
		{loadgen.IAs{NA: true, PD: true}, loadgen.Solicit, "SOLICIT client elapsed " + oro + " NA[] PD[]"},
		{loadgen.IAs{NA: true, PD: true}, loadgen.FourWay, "SOLICIT client elapsed " + oro + " NA[] PD[]"},
		{loadgen.IAs{PD: true}, loadgen.Rapid, "SOLICIT client elapsed " + oro + " rapid PD[]"},
		{loadgen.IAs{PD: true}, loadgen.InformationRequest, "INFORMATION-REQUEST client elapsed " + alone},
		{loadgen.IAs{NA: true, PD: true}, loadgen.Request, "REQUEST client server elapsed " + oro + " NA[] PD[]"},
		{loadgen.IAs{NA: true, PD: true}, loadgen.Renew, "RENEW client server elapsed " + oro + " NA[2001:db8::7] PD[2001:db8:100::/56]"},
		{loadgen.IAs{NA: true, PD: true}, loadgen.Rebind, "REBIND client elapsed " + oro + " NA[2001:db8::7] PD[2001:db8:100::/56]"},
		{loadgen.IAs{NA: true, PD: true}, loadgen.Release, "RELEASE client server elapsed NA[2001:db8::7] PD[2001:db8:100::/56]"},
		{loadgen.IAs{NA: true}, loadgen.Release, "RELEASE client server elapsed NA[2001:db8::7]"},
		{loadgen.IAs{PD: true}, loadgen.Renew, "RENEW client server elapsed " + oro + " PD[2001:db8:100::/56]"},
	} {
		t.Run(fmt.Sprint(c.kind, c.ias), func(t *testing.T) {
			e := loadgen.New(loadgen.Config{First: 0x01020304, Clients: 1, Mix: loadgen.Mix{loadgen.Solicit: 1}, IAs: c.ias, Timeout: timeout})
			r := &rig{t: t, Engine: e, now: 1}
			r.hear(1, r.say(loadgen.Solicit), dhcp6.Advertise, nil)
			if c.kind == loadgen.Renew || c.kind == loadgen.Rebind || c.kind == loadgen.Release {
				r.hear(1, r.say(loadgen.Rapid), dhcp6.Reply, func(b []byte) []byte {
					if c.ias.NA {
						var mark int
						b, mark = dhcp6.BeginIA(b, dhcp6.OptionIANA, loadgen.IAID, 0, 0)
						b = dhcp6.AppendIAAddr(b, dhcp6.IAAddr{Address: netip.MustParseAddr("2001:db8::7"), Preferred: 1, Valid: 2})
						b, _ = dhcp6.EndOption(b, mark)
					}
					if c.ias.PD {
						b = granting("2001:db8:100::/56")(b)
					}
					return b
				})
			} else {
				e.Admit(0, 1)
			}
			if got := describe(t, r.say(c.kind)); got != c.want {
				t.Errorf("%s\nwant %s", got, c.want)
			}
		})
	}
}

// Only one of two IAs was granted: the other IA is asked for again, and not released.
func TestPartGranted(t *testing.T) {
	e := loadgen.New(loadgen.Config{First: 0x01020304, Clients: 1, Mix: loadgen.Mix{loadgen.Renew: 1}, IAs: loadgen.IAs{NA: true, PD: true}, Timeout: timeout})
	r := &rig{t: t, Engine: e, now: 1}
	r.hear(1, r.say(loadgen.Rapid), dhcp6.Reply, granting("2001:db8:100::/56"))
	if got, want := describe(t, r.say(loadgen.Renew)), "RENEW client server elapsed ORO[23 24 82] NA[] PD[2001:db8:100::/56]"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got, want := describe(t, r.say(loadgen.Release)), "RELEASE client server elapsed PD[2001:db8:100::/56]"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// describe writes a message of client 0x01020304 in one line, and fails the test for a wrong
// value in what is the same in all messages.
func describe(t *testing.T, m sent) string {
	t.Helper()
	parts := []string{m.MessageType.String()}
	for _, o := range m.Options.Options {
		switch o.Code() {
		case dhcpv6.OptionClientID:
			if !bytes.Equal(o.ToBytes(), []byte{0, 3, 0, 1, 2, 0xfa, 1, 2, 3, 4}) {
				t.Errorf("client identifier %x", o.ToBytes())
			}
			parts = append(parts, "client")
		case dhcpv6.OptionServerID:
			if !bytes.Equal(o.ToBytes(), serverID) {
				t.Errorf("server identifier %x", o.ToBytes())
			}
			parts = append(parts, "server")
		case dhcpv6.OptionElapsedTime:
			parts = append(parts, "elapsed")
		case dhcpv6.OptionRapidCommit:
			parts = append(parts, "rapid")
		case dhcpv6.OptionORO:
			var codes []string
			for b := o.ToBytes(); len(b) > 1; b = b[2:] {
				codes = append(codes, fmt.Sprint(int(b[0])<<8|int(b[1])))
			}
			parts = append(parts, "ORO["+strings.Join(codes, " ")+"]")
		case dhcpv6.OptionIANA:
			parts = append(parts, "NA["+address(t, o.(*dhcpv6.OptIANA))+"]")
		case dhcpv6.OptionIAPD:
			parts = append(parts, "PD["+prefix(t, o.(*dhcpv6.OptIAPD))+"]")
		default:
			parts = append(parts, o.String())
		}
	}
	return strings.Join(parts, " ")
}

func address(t *testing.T, ia *dhcpv6.OptIANA) string {
	t.Helper()
	if ia.IaId != [4]byte{0, 0, 0, 1} || ia.T1 != 0 || ia.T2 != 0 {
		t.Errorf("IA_NA %v %v %v", ia.IaId, ia.T1, ia.T2)
	}
	var all []string
	for _, a := range ia.Options.Addresses() {
		if a.PreferredLifetime != 0 || a.ValidLifetime != 0 {
			t.Errorf("a client names lifetimes: %s", a)
		}
		all = append(all, a.IPv6Addr.String())
	}
	return strings.Join(all, " ")
}

func prefix(t *testing.T, ia *dhcpv6.OptIAPD) string {
	t.Helper()
	if ia.IaId != [4]byte{0, 0, 0, 1} || ia.T1 != 0 || ia.T2 != 0 {
		t.Errorf("IA_PD %v %v %v", ia.IaId, ia.T1, ia.T2)
	}
	var all []string
	for _, p := range ia.Options.Prefixes() {
		if p.PreferredLifetime != 0 || p.ValidLifetime != 0 {
			t.Errorf("a client names lifetimes: %s", p)
		}
		all = append(all, p.Prefix.String())
	}
	return strings.Join(all, " ")
}
