package roles_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"fairlead/internal/lab"
	fairlead "fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// sections is the standard configuration, whose relay serves the first link, with what is
// said of the toy besides.
func sections(r *rig.Rig, echo string) string {
	return strings.ReplaceAll(r.Standard(), `"d*"`, r.Downlink(1)) + echo
}

// on is the toy's section.
func on(link string) string { return "echo6:\n  links: [\"" + link + "\"]\n" }

// prepare makes ready a Fairlead that has the toy.
func prepare(r *rig.Rig, text string) {
	r.Fairlead = r.Relay.Fairlead(fairlead.Config{Binary: os.Args[0], Text: text})
}

// ask has a client ask for information, and returns who answered.
func ask(r *rig.Rig, link int) dhcp6.DUID {
	r.T.Helper()
	c := r.Play(link, rig.DUID(link))
	answer := c.Exchange(c.Message(dhcp6.InformationRequest))
	c.Close()
	id, _ := answer.ServerID()
	return id
}

// isEcho reports whether the toy has answered.
func isEcho(id dhcp6.DUID) bool { return bytes.HasSuffix([]byte(id), []byte("echo")) }

// Two roles in one process: each answers its own clients, by the sockets of both; each has
// its path, its command and its metric; and what a client of the relay is granted is routed.
func TestTwoRoles(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 2})
	prepare(r, strings.Replace(sections(r, on(r.Downlink(2))), rig.NoMetrics, "metrics: {listen: \"[::1]:9847\"}\n", 1))
	r.Kea()
	r.Fairlead.Start()
	wire := r.Client(2).Record("c0", "udp port 546 or udp port 547")
	if id := ask(r, 2); !isEcho(id) {
		t.Errorf("a client of the toy was answered by %v", id)
	}
	wire.Wait("dhcpv6.msgtype == 7", "ipv6.src", "dhcpv6.duid.bytes")
	p := rig.Held(r.Play(1, rig.DUID(1)).Obtain(1))[0]
	r.WantRoute(p, 1)
	if got := r.Fairlead.CLI("echo"); got != "1 answered\n" {
		t.Errorf("the command prints %q", got)
	}
	if got := r.Relay.Run("curl", "-sf", "http://[::1]:9847/metrics"); !strings.Contains(got, "fairlead_echo_answers_total 1") || !strings.Contains(got, "fairlead_delegations") {
		t.Errorf("the metrics of a role are missing:\n%s", got)
	}
	if got := r.Fairlead.CLI("delegations"); !strings.Contains(got, p.String()) {
		t.Errorf("the relay's own command prints\n%s", got)
	}

	// The relay's peers speak to the relay although the toy hears on the same sockets.
	reload := func(text, want string) {
		t.Helper()
		r.Fairlead.Reload(text)
		r.Fairlead.Logged(want)
	}
	reload(sections(r, ""), "restart")
	if !isEcho(ask(r, 2)) {
		t.Error("a reload that was refused ended a role")
	}
	r.Relay.IP("link set %s down", r.Downlink(2))
	r.Relay.IP("link set %s up", r.Downlink(2))
	if !isEcho(ask(r, 2)) {
		t.Error("the toy does not answer on a link that was down")
	}
}

// A role alone.
func TestOneRole(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 1})
	text, _, _ := strings.Cut(r.Standard(), "relay6:")
	prepare(r, text+on(r.Downlink(1)))
	r.Fairlead.Start()
	if !isEcho(ask(r, 1)) {
		t.Error("the toy alone does not answer")
	}
	if _, err := r.Fairlead.Relay.CLI("delegations"); err == nil {
		t.Error("the relay's path is there although the relay is not")
	}
}

// A link has clients of one role of a family.
func TestTwoRolesOnALink(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 1})
	prepare(r, r.Standard()+on(r.Downlink(1)))
	err := r.Fairlead.Relay.Start()
	if err == nil || !strings.Contains(err.Error()+r.Fairlead.Log(), "relay6") {
		t.Errorf("a link of two roles: %v\n%s", err, r.Fairlead.Log())
	}
}
