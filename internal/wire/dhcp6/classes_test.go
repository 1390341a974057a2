package dhcp6_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"fairlead/internal/wire/dhcp6"
)

// fields lists what All yields.
func fields(d dhcp6.ClassData) (list [][]byte) {
	for field := range d.All() {
		list = append(list, field)
	}
	return list
}

// What another implementation writes is read field by field.
func TestClassesOfOthers(t *testing.T) {
	for _, want := range [][][]byte{
		{[]byte("a")},
		{{}},
		{[]byte("docsis3.0"), {}, bytes.Repeat([]byte{0xff}, 300)},
	} {
		user, err := dhcp6.ParseUserClass((&dhcpv6.OptUserClass{UserClasses: want}).ToBytes())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, fields(user)); diff != "" {
			t.Errorf("user class (-want +got):\n%s", diff)
		}
		vendor, err := dhcp6.ParseVendorClass((&dhcpv6.OptVendorClass{EnterpriseNumber: 4491, Data: want}).ToBytes())
		if err != nil || vendor.EnterpriseNumber != 4491 {
			t.Fatalf("enterprise %d, %v, want 4491", vendor.EnterpriseNumber, err)
		}
		if diff := cmp.Diff(want, fields(vendor.Data)); diff != "" {
			t.Errorf("vendor class (-want +got):\n%s", diff)
		}
		for range vendor.Data.All() {
			break // stops at the first and must not go on
		}
	}
	got, err := dhcp6.ParseClientArchitectures(dhcpv6.OptClientArchType(iana.EFI_X86_64, iana.EFI_ARM64).ToBytes())
	if err != nil || !got.Contains(uint16(iana.EFI_X86_64)) || !got.Contains(uint16(iana.EFI_ARM64)) {
		t.Errorf("architectures %x, %v", []byte(got), err)
	}
}

func TestArchitecturesStandAtEvenOctets(t *testing.T) {
	a, err := dhcp6.ParseClientArchitectures([]byte{0, 0, 7, 0})
	if err != nil {
		t.Fatal(err)
	}
	for architecture, want := range map[uint16]bool{0: true, 0x0700: true, 7: false} {
		if a.Contains(architecture) != want {
			t.Errorf("contains %d: %v, want %v", architecture, !want, want)
		}
	}
}

func TestClassesRefused(t *testing.T) {
	for _, tc := range []struct {
		in    string
		parse func([]byte) error
		want  string
	}{
		{"", asError(dhcp6.ParseUserClass), "dhcp6: option 15 class data at octet 0: truncated"},
		{"0001 61 00", asError(dhcp6.ParseUserClass), "dhcp6: option 15 class data at octet 3: truncated"},
		{"0001 61 0002 62", asError(dhcp6.ParseUserClass), "dhcp6: option 15 class data at octet 3: truncated"},
		{"000011", asError(dhcp6.ParseVendorClass), "dhcp6: option 16 enterprise-number at octet 0: truncated"},
		{"0000118b", asError(dhcp6.ParseVendorClass), "dhcp6: option 16 class data at octet 4: truncated"},
		{"0000118b ffff 61", asError(dhcp6.ParseVendorClass), "dhcp6: option 16 class data at octet 4: truncated"},
		{"", asError(dhcp6.ParseClientArchitectures), "dhcp6: option 61 architecture-type at octet 0: truncated"},
		{"000700", asError(dhcp6.ParseClientArchitectures), "dhcp6: option 61 architecture-type at octet 2: truncated"},
	} {
		wantError(t, tc.parse(octets(t, tc.in)), dhcp6.ErrTruncated, tc.want)
	}
}

// The fields and their lengths are all octets that were taken.
func FuzzClassData(f *testing.F) {
	f.Add([]byte{0, 1, 'a', 0, 0})
	f.Add([]byte{0, 2, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := dhcp6.ParseUserClass(b)
		if err != nil {
			refused(t, err, len(b))
			return
		}
		var again []byte
		for field := range d.All() {
			again = append(again, byte(len(field)>>8), byte(len(field)))
			again = append(again, field...)
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x is walked as %x", b, again)
		}
	})
}
