package dhcp6_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"fairlead/internal/lab/dissect"
	"fairlead/internal/wire/dhcp6"
)

// RFC 8415 10a: a name is written as a whole, wherever it stands.
func TestPayloads(t *testing.T) {
	for _, tc := range []struct {
		name   string
		append func(b []byte) ([]byte, error)
		want   string
	}{
		{
			"no addresses",
			func(b []byte) ([]byte, error) { return dhcp6.AppendAddressList(b) }, "ee",
		},
		{
			"two addresses",
			func(b []byte) ([]byte, error) {
				return dhcp6.AppendAddressList(b, addr("2001:db8::53"), addr("fe80::1"))
			},
			"ee 20010db8000000000000000000000053 fe800000000000000000000000000001",
		},
		{
			"two names",
			func(b []byte) ([]byte, error) { return dhcp6.AppendDomainList(b, "a.example", "Lab-1._tcp.") },
			"ee 01 61 07 6578616d706c65 00  05 4c61622d31 04 5f746370 00",
		},
		{
			"two names of one domain",
			func(b []byte) ([]byte, error) { return dhcp6.AppendDomainList(b, "a.example", "b.a.example") },
			"ee 01 61 07 6578616d706c65 00  01 62 01 61 07 6578616d706c65 00",
		},
		{
			"NTP server",
			func(b []byte) ([]byte, error) { return dhcp6.AppendNTPServerAddress(b, addr("2001:db8::123")), nil },
			"ee 0001 0010 20010db8000000000000000000000123",
		},
		{
			"NTP servers on a multicast address",
			func(b []byte) ([]byte, error) { return dhcp6.AppendNTPServerAddress(b, addr("ff05::101")), nil },
			"ee 0002 0010 ff050000000000000000000000000101",
		},
		{
			"NTP server by name",
			func(b []byte) ([]byte, error) { return dhcp6.AppendNTPServerName(b, "ntp.example.") },
			"ee 0003 000d 03 6e7470 07 6578616d706c65 00",
		},
	} {
		got, err := tc.append([]byte{0xee})
		if want := octets(t, tc.want); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, %v, want %x", tc.name, got, err, want)
		}
	}
}

// The longest label, and the longest name of such labels: 63, 63, 63 and 61 octets.
var (
	longLabel = strings.Repeat("x", 63)
	longName  = strings.Join([]string{longLabel, longLabel, longLabel, longLabel[:61]}, ".")
)

func TestPayloadBounds(t *testing.T) {
	b, err := dhcp6.AppendDomainList(nil, longName)
	if err != nil || len(b) != 255 {
		t.Errorf("a name of 255 octets: %d octets, %v", len(b), err)
	}
	names := slices.Repeat([]string{longName}, 257) // 65535 octets
	if b, err = dhcp6.AppendDomainList(nil, names...); err != nil || len(b) != dhcp6.MaxOptionLen {
		t.Errorf("a full list of names: %d octets, %v", len(b), err)
	}
	addresses := slices.Repeat([]netip.Addr{addr("::1")}, 4095)
	if b, err = dhcp6.AppendAddressList(nil, addresses...); err != nil || len(b) != 65520 {
		t.Errorf("a full list of addresses: %d octets, %v", len(b), err)
	}
	list := func(names ...string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return dhcp6.AppendDomainList(b, names...) }
	}
	hosts := func(addresses ...netip.Addr) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return dhcp6.AppendAddressList(b, addresses...) }
	}
	ntp := func(name string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return dhcp6.AppendNTPServerName(b, name) }
	}
	for _, tc := range []struct {
		append func([]byte) ([]byte, error)
		cause  error
		want   string
	}{
		{list(""), dhcp6.ErrMalformed, "dhcp6: label at octet 0: malformed"},
		{list("."), dhcp6.ErrMalformed, "dhcp6: label at octet 0: malformed"},
		{list("a..b"), dhcp6.ErrMalformed, "dhcp6: label at octet 2: malformed"},
		{list("a.b.."), dhcp6.ErrMalformed, "dhcp6: label at octet 4: malformed"},
		{list("example", "b c"), dhcp6.ErrMalformed, "dhcp6: label at octet 9: malformed"},
		{list("münchen.example"), dhcp6.ErrMalformed, "dhcp6: label at octet 0: malformed"},
		{list(longLabel + "x"), dhcp6.ErrTooBig, "dhcp6: label at octet 0: too big"},
		{list(longName + "x"), dhcp6.ErrTooBig, "dhcp6: domain name at octet 192: too big"},
		{list(append(names, "a")...), dhcp6.ErrTooBig, "dhcp6: domain name at octet 65535: too big"},
		{ntp("a..b"), dhcp6.ErrMalformed, "dhcp6: label at octet 2: malformed"},
		{ntp(longName + "x"), dhcp6.ErrTooBig, "dhcp6: domain name at octet 192: too big"},
		{hosts(addr("::1"), addr("192.0.2.1")), dhcp6.ErrMalformed, "dhcp6: address at octet 16: malformed"},
		{hosts(addr("::ffff:192.0.2.1")), dhcp6.ErrMalformed, "dhcp6: address at octet 0: malformed"},
		{hosts(netip.Addr{}), dhcp6.ErrMalformed, "dhcp6: address at octet 0: malformed"},
		{hosts(append(addresses, addr("::1"))...), dhcp6.ErrTooBig, "dhcp6: address at octet 65520: too big"},
	} {
		b, err := tc.append([]byte{0xee})
		wantError(t, err, tc.cause, tc.want)
		if !bytes.Equal(b, []byte{0xee}) {
			t.Errorf("%s: %d octets are left of one", tc.want, len(b))
		}
	}
}

// configured is a Reply with what a configuration can give to clients.
func configured(t testing.TB) []byte {
	servers, err := dhcp6.AppendAddressList(nil, addr("2001:db8::53"), addr("2001:db8::54"))
	if err != nil {
		t.Fatal(err)
	}
	domains, err := dhcp6.AppendDomainList(nil, "example.org", "lab.example.")
	if err != nil {
		t.Fatal(err)
	}
	b := dhcp6.AppendMessageHeader(nil, dhcp6.Reply, 0x112233)
	b = dhcp6.AppendOption(b, dhcp6.OptionDNSServers, servers)
	b = dhcp6.AppendOption(b, dhcp6.OptionDomainList, domains)
	b = dhcp6.AppendOption(b, dhcp6.OptionSNTPServers, servers)
	ntp, err := dhcp6.AppendNTPServerName(nil, "ntp.example.org")
	if err != nil {
		t.Fatal(err)
	}
	b = dhcp6.AppendOption(b, dhcp6.OptionNTPServer, dhcp6.AppendNTPServerAddress(nil, addr("2001:db8::123")))
	b = dhcp6.AppendOption(b, dhcp6.OptionNTPServer, ntp)
	b = dhcp6.AppendOption(b, dhcp6.OptionNTPServer, dhcp6.AppendNTPServerAddress(nil, addr("ff05::101")))
	return dhcp6.AppendReconfigureKey(b, 7, reconfigureKey)
}

func TestOthersReadPayloads(t *testing.T) {
	m, err := dhcpv6.MessageFromBytes(configured(t))
	if err != nil {
		t.Fatal(err)
	}
	var read []string
	for _, ip := range m.Options.DNS() {
		read = append(read, ip.String())
	}
	read = append(read, m.Options.DomainSearchList().Labels...)
	for _, ip := range m.Options.NTPServers() {
		read = append(read, ip.String())
	}
	want := []string{"2001:db8::53", "2001:db8::54", "example.org", "lab.example", "2001:db8::123"}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Errorf("insomniacslk/dhcp (-want +got):\n%s", diff)
	}

	fields := map[string]string{
		dissect.Malformed: "", dissect.Complaint: "",
		"dhcpv6.dns_server":            "2001:db8::53 2001:db8::54",
		"dhcpv6.search_list_entry":     "example.org. lab.example.",
		"dhcpv6.sntp_server":           "2001:db8::53 2001:db8::54",
		"dhcpv6.ntpserver.addr":        "2001:db8::123",
		"dhcpv6.ntpserver.fqdn":        "ntp.example.org.",
		"dhcpv6.ntpserver.mc_addr":     "ff05::101",
		"dhcpv6.auth.protocol":         "3",
		"dhcpv6.auth.algorithm":        "1",
		"dhcpv6.auth.rdm":              "0",
		"dhcpv6.auth.replay_detection": "0000000000000007",
	}
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	got := tshark(t, [][]byte{configured(t)}, names)[0]
	for name, want := range fields {
		if read := strings.Join(got[name], " "); read != want {
			t.Errorf("tshark: %s is %q, want %q", name, read, want)
		}
	}
}
