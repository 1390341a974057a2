package dhcp4_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead/internal/lab/dissect"
	"fairlead/internal/wire/dhcp4"
)

// dissection is what tshark reads in a packet.
type dissection dissect.Packet

// tshark has tshark read DHCPv4 packets.
func tshark(t *testing.T, packets [][]byte, fields []string) []dissect.Packet {
	t.Helper()
	datagrams := make([][]byte, len(packets))
	for i, p := range packets {
		datagrams[i] = datagram(p)
	}
	list, err := dissect.Fields(t.Context(), t.TempDir(), dissect.IP, datagrams, fields)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// datagram puts IPv4 and UDP headers, without checksums, in front of a DHCPv4 packet.
func datagram(payload []byte) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, 0x45000000|uint32(28+len(payload)))
	b = append(b, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 254, 192, 0, 2, 2)
	b = be.AppendUint16(b, dhcp4.ServerPort)
	b = be.AppendUint16(b, dhcp4.ServerPort)
	b = be.AppendUint32(b, uint32(8+len(payload))<<16)
	return append(b, payload...)
}

// agentField is the beginning of the names of tshark's fields of option 82.
const agentField = "dhcp.option.agent_information_option."

// The fields that TestTsharkAgrees compares.
var tsharkFields = []string{
	dissect.Malformed, dissect.Complaint,
	"dhcp.type", "dhcp.hw.type", "dhcp.hw.len", "dhcp.hops", "dhcp.id", "dhcp.secs", "dhcp.flags",
	"dhcp.ip.client", "dhcp.ip.your", "dhcp.ip.server", "dhcp.ip.relay", "dhcp.hw.mac_addr", "dhcp.server", "dhcp.file",
	"dhcp.option.type", "dhcp.option.dhcp", "dhcp.option.subnet_mask", "dhcp.option.router", "dhcp.option.domain_name_server",
	"dhcp.option.hostname", "dhcp.option.broadcast_address", "dhcp.option.requested_ip_address", "dhcp.option.ip_address_lease_time",
	"dhcp.option.dhcp_server_id", "dhcp.option.request_list_item", "dhcp.option.dhcp_max_message_size",
	"dhcp.option.renewal_time_value", "dhcp.option.rebinding_time_value",
	agentField + "suboption", agentField + "agent_circuit_id", agentField + "agent_remote_id", agentField + "docsis_device_class",
	agentField + "link_selection", agentField + "subscriber_id", agentField + "authentication", agentField + "flags",
	agentField + "server_id_override", agentField + "relay_agent_id", agentField + "ani_att", agentField + "ani_network_name",
	agentField + "ani_ap_name", agentField + "ani_ap_bssid", agentField + "ani_operator_id", agentField + "ani_operator_realm",
}

func TestTsharkAgrees(t *testing.T) {
	g := newGenerator(4)
	var packets [][]byte
	var want []dissection
	for len(packets) < generatedPackets {
		p := g.wild()
		if p.InFile+p.InSName > 0 {
			continue // tshark reads these fields before the options field; a golden packet tests them
		}
		packets, want = append(packets, build(t, p)), append(want, expect(p))
	}
	for i, got := range tshark(t, packets, tsharkFields) {
		if diff := cmp.Diff(want[i], dissection(got)); diff != "" {
			t.Fatalf("packet %d, %x (-built +tshark):\n%s", i, packets[i], diff)
		}
	}
}

// TestTsharkAgrees depends on this: tshark complains if an option goes past its end, or past the
// end of the packet.
func TestTsharkSeesBadPackets(t *testing.T) {
	good := octets(t, request+"350101 5204 01026131 ff")
	cut := octets(t, request+"350101 5206 01026131")
	sub := octets(t, request+"350101 5204 01ff6131 ff")
	odd := octets(t, request+"350101 3203 c00002 ff")
	got := tshark(t, [][]byte{good, cut, sub, odd}, []string{dissect.Malformed, dissect.Complaint})
	for i, faulty := range []bool{false, true, true, true} {
		if (got[i][dissect.Malformed] != nil || got[i][dissect.Complaint] != nil) != faulty {
			t.Errorf("packet %d: tshark says %v, want faulty %v", i, got[i], faulty)
		}
	}
}

func (d dissection) add(field string, value any) {
	d[field] = append(d[field], fmt.Sprint(value))
}

// expect is what tshark must read in p.
func expect(p packet) dissection {
	d := dissection{}
	d.add("dhcp.type", p.Op)
	d.add("dhcp.hw.type", fmt.Sprintf("0x%02x", p.HType))
	d.add("dhcp.hw.len", len(p.CHAddr))
	d.add("dhcp.hops", p.Hops)
	d.add("dhcp.id", fmt.Sprintf("0x%08x", p.XID))
	d.add("dhcp.secs", p.Secs)
	d.add("dhcp.flags", fmt.Sprintf("0x%04x", p.Flags))
	d.add("dhcp.ip.client", p.CI)
	d.add("dhcp.ip.your", p.YI)
	d.add("dhcp.ip.server", p.SI)
	d.add("dhcp.ip.relay", p.GI)
	d.add("dhcp.hw.mac_addr", colons(string(p.CHAddr)))
	if p.SName != "" {
		d.add("dhcp.server", p.SName)
	}
	if p.File != "" {
		d.add("dhcp.file", p.File)
	}
	for _, o := range p.Options {
		d.option(o)
	}
	d.add("dhcp.option.type", 0) // tshark's value for an End option
	return d
}

func (d dissection) option(o option) {
	d.add("dhcp.option.type", o.Code)
	switch v := o.Value.(type) {
	case typeValue:
		d.add("dhcp.option.dhcp", uint8(v))
	case secondsValue:
		d.add(map[uint8]string{51: "dhcp.option.ip_address_lease_time", 58: "dhcp.option.renewal_time_value", 59: "dhcp.option.rebinding_time_value"}[o.Code], uint32(v))
	case addrValue:
		d.add(map[uint8]string{1: "dhcp.option.subnet_mask", 28: "dhcp.option.broadcast_address", 50: "dhcp.option.requested_ip_address", 54: "dhcp.option.dhcp_server_id"}[o.Code], v.Addr)
	case addrsValue:
		for _, a := range v {
			d.add(map[uint8]string{3: "dhcp.option.router", 6: "dhcp.option.domain_name_server"}[o.Code], a)
		}
	case agentValue:
		for _, s := range v {
			d.subOption(s)
		}
	case []byte:
		switch o.Code {
		case 12:
			d.add("dhcp.option.hostname", string(v))
		case 55:
			for _, c := range v {
				d.add("dhcp.option.request_list_item", c)
			}
		case 57:
			d.add("dhcp.option.dhcp_max_message_size", binary.BigEndian.Uint16(v))
		case 61:
			d.add("dhcp.hw.type", fmt.Sprintf("0x%02x", v[0]))
			d.add("dhcp.hw.mac_addr", colons(string(v[1:])))
		}
	}
}

// sourcePortComplaint is tshark 4.0's complaint about every Source Port sub-option. It is a fault
// of tshark, as its own text says.
const sourcePortComplaint = "ERROR, please report: Unknown subopt type handler 19"

// subOption adds what tshark reads in a sub-option of option 82.
func (d dissection) subOption(s pair) {
	d.add(agentField+"suboption", s.Code)
	octets, be := []byte(s.Payload), binary.BigEndian
	number := func() uint32 { return be.Uint32(octets) }
	dotted := func() string { return fmt.Sprintf("%d.%d.%d.%d", octets[0], octets[1], octets[2], octets[3]) }
	switch s.Code {
	case 1:
		d.add(agentField+"agent_circuit_id", fmt.Sprintf("%x", octets))
	case 2:
		d.add(agentField+"agent_remote_id", fmt.Sprintf("%x", octets))
	case 4:
		d.add(agentField+"docsis_device_class", fmt.Sprintf("0x%08x", number()))
	case 5:
		d.add(agentField+"link_selection", dotted())
	case 6:
		d.add(agentField+"subscriber_id", s.Payload)
	case 8:
		d.add(agentField+"authentication", fmt.Sprintf("%x", octets))
	case 10:
		d.add(agentField+"flags", fmt.Sprintf("0x%02x", octets[0]))
	case 11:
		d.add(agentField+"server_id_override", dotted())
	case 12:
		d.add(agentField+"relay_agent_id", fmt.Sprintf("%x", octets))
	case 13:
		d.add(agentField+"ani_att", octets[1])
	case 14:
		d.add(agentField+"ani_network_name", s.Payload)
	case 15:
		d.add(agentField+"ani_ap_name", s.Payload)
	case 16:
		d.add(agentField+"ani_ap_bssid", colons(s.Payload))
	case 17:
		d.add(agentField+"ani_operator_id", fmt.Sprintf("%x", octets))
	case 18:
		d.add(agentField+"ani_operator_realm", s.Payload)
	case 19:
		d.add(dissect.Complaint, sourcePortComplaint)
	}
}

// colons writes octets in the form of a link-layer address.
func colons(octets string) string {
	var parts []string
	for _, o := range []byte(octets) {
		parts = append(parts, fmt.Sprintf("%02x", o))
	}
	return strings.Join(parts, ":")
}
