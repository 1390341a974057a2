package dhcp6_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab/dissect"
	"fairlead/internal/wire/dhcp6"
)

// checksumState is tshark's field for the checksum of UDP; 1 is good.
const checksumState = "udp.checksum.status"

// dissection is what tshark says of a packet.
type dissection dissect.Packet

// tshark has tshark read DHCPv6 packets.
func tshark(t *testing.T, packets [][]byte, fields []string) []dissect.Packet {
	t.Helper()
	frames := make([][]byte, len(packets))
	for i, p := range packets {
		frames[i] = frame(p)
	}
	list, err := dissect.Fields(t.Context(), t.TempDir(), dissect.Ethernet, frames, fields)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// The fields that TestTsharkAgrees compares.
var tsharkFields = []string{
	dissect.Malformed, dissect.Complaint, checksumState,
	"dhcpv6.msgtype", "dhcpv6.hopcount", "dhcpv6.linkaddr", "dhcpv6.peeraddr", "dhcpv6.xid",
	"dhcpv6.option.type", "dhcpv6.duid.bytes", "dhcpv6.interface_id",
	"dhcpv6.iaid.t1", "dhcpv6.iaid.t2",
	"dhcpv6.iaaddr.ip", "dhcpv6.iaaddr.pref_lifetime", "dhcpv6.iaaddr.valid_lifetime",
	"dhcpv6.iaprefix.pref_addr", "dhcpv6.iaprefix.pref_len",
	"dhcpv6.iaprefix.pref_lifetime", "dhcpv6.iaprefix.valid_lifetime",
	"dhcpv6.status_code", "dhcpv6.status_msg",
	"dhcpv6.remoteid.enterprise", "dhcpv6.remoteid_enterprise_id",
	"dhcpv6.subscriber_id", "dhcpv6.relay_port", "dhcpv6.requested_option_code",
}

func TestTsharkAgrees(t *testing.T) {
	g := newGenerator(4)
	var packets [][]byte
	var want []dissection
	for range generatedPackets {
		p := g.packet()
		packets, want = append(packets, build(t, p)), append(want, expect(p))
	}
	for i, got := range tshark(t, packets, tsharkFields) {
		if diff := cmp.Diff(want[i], dissection(got)); diff != "" {
			t.Fatalf("packet %d, %x (-built +tshark):\n%s", i, packets[i], diff)
		}
	}
}

// TestTsharkAgrees rests on this: tshark complains of a field that does not fit
// its option, and leaves out an option that goes past the end of the packet,
// without a word, so that only the list of options shows it.
func TestTsharkSeesBadPackets(t *testing.T) {
	whole := solicit(t)
	cut := whole[:len(whole)-3]
	odd := dhcp6.AppendOption(dhcp6.AppendMessageHeader(nil, dhcp6.Solicit, 1), dhcp6.OptionElapsedTime, []byte{0})
	got := tshark(t, [][]byte{whole, cut, odd}, []string{dissect.Malformed, dissect.Complaint, "dhcpv6.option.type"})
	for i, want := range []struct {
		options string
		faulty  bool
	}{
		{"1 6 8 14 3 25 26", false},
		{"1 6 8 14 3", false},
		{"8", true},
	} {
		options := strings.Join(got[i]["dhcpv6.option.type"], " ")
		if options != want.options || (got[i][dissect.Malformed] != nil) != want.faulty || (got[i][dissect.Complaint] != nil) != want.faulty {
			t.Errorf("packet %d: tshark says %v, want options %s and faulty %v", i, got[i], want.options, want.faulty)
		}
	}
}

// expect writes down what tshark must say of p, in the order of the octets.
func expect(p packet) dissection {
	d := dissection{checksumState: {"1"}}
	d.relays(p, 0)
	return d
}

func (d dissection) add(field string, value any) {
	d[field] = append(d[field], fmt.Sprint(value))
}

// relays walks the relay layers from layer i on, then the message.
func (d dissection) relays(p packet, i int) {
	if i == len(p.Relays) {
		d.add("dhcpv6.msgtype", p.Type)
		d.add("dhcpv6.xid", fmt.Sprintf("0x%06x", p.XID))
		d.options(p.Options, nil)
		return
	}
	r := p.Relays[i]
	d.add("dhcpv6.msgtype", r.Type)
	d.add("dhcpv6.hopcount", r.Hops)
	d.add("dhcpv6.linkaddr", r.Link)
	d.add("dhcpv6.peeraddr", r.Peer)
	d.options(r.Options, func() { d.relays(p, i+1) })
}

func (d dissection) options(options []option, descend func()) {
	for _, o := range options {
		d.add("dhcpv6.option.type", o.Code)
		switch v := o.Value.(type) {
		case inner:
			descend()
		case iaValue:
			d.add("dhcpv6.iaid.t1", v.T1)
			d.add("dhcpv6.iaid.t2", v.T2)
			d.options(v.Options, nil)
		case addressValue:
			d.add("dhcpv6.iaaddr.ip", v.Address)
			d.add("dhcpv6.iaaddr.pref_lifetime", v.Preferred)
			d.add("dhcpv6.iaaddr.valid_lifetime", v.Valid)
			d.options(v.Options, nil)
		case prefixValue:
			d.add("dhcpv6.iaprefix.pref_addr", v.Address)
			d.add("dhcpv6.iaprefix.pref_len", v.Bits)
			d.add("dhcpv6.iaprefix.pref_lifetime", v.Preferred)
			d.add("dhcpv6.iaprefix.valid_lifetime", v.Valid)
			d.options(v.Options, nil)
		case statusValue:
			d.add("dhcpv6.status_code", v.Code)
			d.add("dhcpv6.status_msg", v.Text)
		case remoteValue:
			d.add("dhcpv6.remoteid.enterprise", v.Enterprise)
			d.add("dhcpv6.remoteid_enterprise_id", fmt.Sprintf("%x", v.ID))
		case []byte:
			d.raw(o.Code, v)
		}
	}
}

// raw adds what tshark reads in an option that the model keeps as octets.
func (d dissection) raw(code uint16, v []byte) {
	u16 := func(at int) string { return strconv.Itoa(int(v[at])<<8 | int(v[at+1])) }
	switch code {
	case 1, 2, 53:
		d.add("dhcpv6.duid.bytes", fmt.Sprintf("%x", v))
	case 6:
		for at := 0; at < len(v); at += 2 {
			d.add("dhcpv6.requested_option_code", u16(at))
		}
	case 18:
		d.add("dhcpv6.interface_id", fmt.Sprintf("%x", v))
	case 38:
		d.add("dhcpv6.subscriber_id", string(v))
	case 135:
		d.add("dhcpv6.relay_port", u16(0))
	}
}
