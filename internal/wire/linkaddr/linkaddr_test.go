package linkaddr

import "testing"

func TestAddr(t *testing.T) {
	for _, tc := range []struct {
		octets []byte
		text   string
		length int
	}{
		{nil, "", 0},
		{[]byte{2, 0, 0x5e, 0, 0x53, 0x0a}, "02:00:5e:00:53:0a", 6},
		{[]byte{1, 2, 3, 4, 5, 6, 7, 8}, "01:02:03:04:05:06:07:08", 8},
		{make([]byte, MaxLen+1), "", 0},
	} {
		a := From(tc.octets)
		if a.String() != tc.text || a.Len() != tc.length || a.IsValid() != (tc.length > 0) {
			t.Errorf("From(%x) = %q, %d octets; want %q, %d", tc.octets, a, a.Len(), tc.text, tc.length)
		}
		if tc.length == 0 {
			continue
		}
		back, ok := Parse(tc.text)
		if !ok || back != a {
			t.Errorf("Parse(%q) = %v, %v; want %v", tc.text, back, ok, a)
		}
	}
	for _, bad := range []string{"", "0", "02:", "02-00", "zz:00", "02:000", "1:2", "01:02:03:04:05:06:07:08:09"} {
		if a, ok := Parse(bad); ok {
			t.Errorf("Parse(%q) = %v, want refused", bad, a)
		}
	}
}
