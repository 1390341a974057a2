package privacy_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// customer is the content of subscriber-id, line that of remote-id, and point that of
// access-network.
const (
	customer = "customer-4711"
	line     = "line-of-somebody"
	point    = "ap-in-somebodys-house"
)

// described are the keys of a link that adds all of these options.
var described = []string{
	"subscriber-id: " + customer,
	"remote-id: {enterprise: 32473, id: " + line + ", sensitive: true}",
	"access-network: {technology: 4, network-name: net, access-point-name: " + point + ", access-point-bssid: 02:00:5e:10:00:01, operator-id: 32473, operator-realm: example.com}",
}

// sensitive are the codes of the options that only protected peers get: remote-id, subscriber-id,
// and those of RFC 7839.
var sensitive = []dhcp6.OptionCode{37, 38, 105, 106, 107, 108, 109, 110}

// omitted returns how many messages of a link went on without sensitive options.
func (r *network) omitted(link string) int {
	r.T.Helper()
	var shown struct {
		Counters struct {
			Omitted int `json:"sensitive_omitted"`
		}
	}
	r.Fairlead.ShowLink(&shown, link)
	return shown.Counters.Omitted
}

// Options that identify the customer (subscriber-id, access-network, a remote-id that is marked
// as sensitive) never go to a server in clear, from a link that adds all of them, beside a server
// with IPsec, which gets nothing at all as long as nothing protects it. Each message that went on
// without them is counted. A remote-id that is not marked goes to both.
func TestSensitiveOptionsStayOnProtectedHops(t *testing.T) {
	r := build(t, 1, 2)
	record := r.uplink()
	top, protection := r.ike()
	r.start(r.config(top, r.second(protection), described...))
	c := r.Play(1, somebody(1).duid())
	c.Obtain(1)
	c.Passed()
	received := r.Played.Received()
	if len(received) < 3 {
		t.Fatalf("the server has %d messages", len(received))
	}
	for _, q := range received {
		for code := range q.Relays[0].Options().All() {
			if slices.Contains(sensitive, code) {
				t.Errorf("the server in clear has option %d in a %v", code, q.Message.Type())
			}
		}
	}
	if got := r.omitted("d1"); got != len(received) {
		t.Errorf("%d messages are said to have gone without them, want %d", got, len(received))
	}
	if got := len(r.another.Received()); got != 0 {
		t.Errorf("the server under IPsec has %d messages", got)
	}
	record.Stop()
	octets, err := os.ReadFile(record.File)
	r.Need(err)
	if !bytes.Contains(octets, somebody(1).duid()) {
		t.Error("the capture has not even the client's DUID")
	}
	for _, text := range []string{customer, line, point} {
		if bytes.Contains(octets, []byte(text)) {
			t.Errorf("%q is on the wire in clear", text)
		}
	}

	// A remote-id that is not marked is an option like any other.
	r.Fairlead.Reload(r.config(top, r.second(protection), strings.Replace(described[1], ", sensitive: true", "", 1)))
	before := r.omitted("d1")
	m := c.Passed()
	for _, q := range r.Played.Received() {
		if !bytes.Equal(q.Inner[:4], m[:4]) {
			continue
		}
		if got, ok := q.Relays[0].Options().First(dhcp6.OptionRemoteID); !ok || string(got[4:]) != line {
			t.Errorf("remote-id is %q, want %q", got, line)
		}
	}
	if got := r.omitted("d1"); got != before {
		t.Errorf("%d messages more are said to have gone without", got-before)
	}
}

// sensitive: require refuses a configuration in which a peer in clear could be asked on a link
// that has something sensitive, and names the place in the file.
func TestSensitiveRequire(t *testing.T) {
	r := build(t, 0, 2)
	top, protection := r.ike()
	check := func(text string) (string, error) {
		file := filepath.Join(r.Fairlead.Dir, "checked.yaml")
		r.Need(os.WriteFile(file, []byte(text), 0o644))
		return r.Relay.Node.Run(rig.Binary(), "config", "check", file)
	}
	for i, key := range described {
		text := r.config(top, r.second(protection), key, "sensitive: require")
		said, err := check(text)
		if err == nil {
			t.Fatalf("%s: it was taken", key)
		}
		where := regexp.MustCompile(`checked\.yaml:(\d+):(\d+):`).FindStringSubmatch(said)
		wantLine := 0
		for n, l := range strings.Split(text, "\n") {
			if strings.Contains(l, "sensitive: require") {
				wantLine = n + 1
			}
		}
		if where == nil || where[1] != fmt.Sprint(wantLine) {
			t.Errorf("%s: %s, want the position %d", key, said, wantLine)
		}
		name := []string{"subscriber-id", "remote-id", "access-network"}[i]
		for _, word := range []string{name, `server`, "protection"} {
			if !strings.Contains(said, word) {
				t.Errorf("%s: %s does not say %q", key, said, word)
			}
		}
		if _, err := check(strings.Replace(text, "sensitive: require", "sensitive: omit", 1)); err != nil {
			t.Errorf("%s with omit: %v", key, err)
		}
	}
	// If every server has IPsec, nothing is refused.
	text := r.config(top, r.second(protection), append(slices.Clone(described), "sensitive: require")...)
	other := strings.NewReplacer(
		"    protection: none\n", fmt.Sprintf("    local: 2001:db8:fe::1\n    protection: ipsec\n    ike: {psk-file: %s}\n", r.secret("psk2", "another secret, for the server\n")))
	if _, err := check(other.Replace(text)); err != nil {
		t.Errorf("with all servers under IPsec: %v", err)
	}
}
