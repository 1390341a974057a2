package roles_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fairlead/internal/lab"
	fairlead "fairlead/internal/lab/relay"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// relaying returns the standard configuration, whose relay serves one link, with a section for
// the echo role.
func relaying(r *rig.Rig, link int, echo string) string {
	return strings.ReplaceAll(r.Standard(), `"d*"`, r.Downlink(link)) + echo
}

// on returns the section of the echo role.
func on(link string) string { return "echo6:\n  links: [\"" + link + "\"]\n" }

// prepare prepares a Fairlead that can play the echo role.
func prepare(r *rig.Rig, text string) {
	r.Fairlead = r.Relay.Fairlead(fairlead.Config{Binary: os.Args[0], Text: text})
}

// ask makes a client ask for information, and returns the identifier of the server that answered.
func ask(r *rig.Rig, link int) dhcp6.DUID {
	r.T.Helper()
	c := r.Play(link, rig.DUID(link))
	answer := c.Exchange(c.Message(dhcp6.InformationRequest))
	c.Close()
	id, _ := answer.ServerID()
	return id
}

// isEcho reports whether the echo role has answered.
func isEcho(id dhcp6.DUID) bool { return bytes.HasSuffix([]byte(id), []byte("echo")) }

// scrape returns what the Fairlead shows to Prometheus.
func scrape(r *rig.Rig) string {
	r.T.Helper()
	return r.Relay.Run("curl", "-sf", "http://"+scraped+"/metrics")
}

// scraped is the address of the metrics, and withMetrics a configuration with this address.
const scraped = "[::1]:9847"

func withMetrics(text string) string {
	return strings.Replace(text, rig.NoMetrics, "metrics: {listen: \""+scraped+"\"}\n", 1)
}

// wants fails if a text lacks one of the words.
func wants(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s: %q is missing in\n%s", what, w, text)
		}
	}
}

// Two roles are in one process. Each answers its own clients, by the sockets that they share;
// each has its path, its command and its metric; and what the relay's client is granted is
// routed.
func TestTwoRoles(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 2})
	prepare(r, withMetrics(relaying(r, 1, on(r.Downlink(2)))))
	r.Kea()
	r.Fairlead.Start()
	wire := r.Client(2).Record("c0", "udp port 546 or udp port 547")
	if id := ask(r, 2); !isEcho(id) {
		t.Errorf("a client of the toy was answered by %v", id)
	}
	if id := ask(r, 1); isEcho(id) {
		t.Error("a client of the relay was answered by the toy")
	}
	wire.Wait("dhcpv6.msgtype == 7", "ipv6.src", "dhcpv6.duid.bytes")
	wire.Check()
	p := rig.Held(r.Play(1, rig.DUID(1)).Obtain(1))[0]
	r.WantRoute(p, 1)
	if got := r.Fairlead.CLI("echo"); got != "1 answered\n" {
		t.Errorf("the command prints %q", got)
	}
	wants(t, "the command of the relay", r.Fairlead.CLI("delegations"), p.String())
	wants(t, "the metrics", scrape(r), "fairlead_echo_answers_total 1", "fairlead_delegations")
}

// A client of other authors takes the echo role for a server: dhclient only asks for information,
// and tells its script which server answered.
func TestForeignClient(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 1})
	prepare(r, strings.Split(r.Standard(), "relay6:")[0]+on(r.Downlink(1)))
	r.Fairlead.Start()
	folder, err := r.Client(1).Folder("dhclient")
	r.Need(err)
	told, script := filepath.Join(folder, "told"), filepath.Join(folder, "script")
	r.Need(os.WriteFile(script, []byte("#!/bin/sh\n[ -z \"$new_dhcp6_server_id\" ] || echo \"$new_dhcp6_server_id\" >"+told+".new && mv "+told+".new "+told+"\n"), 0o755))
	r.Client(1).Start("dhclient", "dhclient", "-6", "-S", "-d", "-v", "-D", "LL", "-cf", "/dev/null", "-sf", script,
		"-lf", filepath.Join(folder, "leases"), "-pf", filepath.Join(folder, "pid"), "c0")
	var text []byte
	r.Until("dhclient has an answer", func() bool {
		text, err = os.ReadFile(told)
		return err == nil
	})
	if got, want := strings.TrimSpace(string(text)), "0:3:0:1:65:63:68:6f"; got != want {
		t.Errorf("dhclient was answered by %s, want %s", got, want)
	}
}

// A reload takes over changes within sections, for all roles at once: a link goes from one role
// to the other. A reload that adds or removes a section changes nothing.
func TestReload(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 2})
	prepare(r, relaying(r, 1, on(r.Downlink(2))))
	r.Kea()
	r.Fairlead.Start()
	reload := func(text, want string) {
		t.Helper()
		r.Fairlead.Reload(text)
		r.Fairlead.Logged(want)
	}
	reload(relaying(r, 1, ""), "echo6: cannot change while running: restart instead")
	if !isEcho(ask(r, 2)) {
		t.Error("a reload that was refused ended a role")
	}
	reload(relaying(r, 2, on(r.Downlink(1))), "configuration reloaded")
	if !isEcho(ask(r, 1)) || isEcho(ask(r, 2)) {
		t.Error("after a reload that exchanges their links, the roles answer on their former ones")
	}
	r.Fairlead.Stop()
	r.Fairlead.Write(relaying(r, 1, ""))
	r.Fairlead.Start()
	reload(relaying(r, 1, on(r.Downlink(2))), "echo6: cannot change while running: restart instead")
	if _, err := r.Fairlead.Relay.CLI("echo"); err == nil {
		t.Error("the path of a role is there although the reload that adds the role was refused")
	}
	if isEcho(ask(r, 1)) {
		t.Error("the toy answers although it is not played")
	}
}

// The link of one role goes down and comes up, and is deleted and made anew, while the link of
// the other role stays. The first link is then served again, and the second one is served all the
// time.
func TestLinkReturns(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 2})
	prepare(r, relaying(r, 1, on(r.Downlink(2))))
	r.Kea()
	r.Fairlead.Start()
	for _, round := range []struct {
		what     string
		commands []string
	}{
		{"down and up", []string{"link set d2 down", "link set d2 up"}},
		{"deleted and made anew", []string{
			"link del d2",
			"link add name d2 address 02:00:00:00:d0:02 type veth peer name c0 address 02:00:00:00:c0:02 netns " + r.Client(2).Namespace,
			"link set d2 up",
		}},
	} {
		for _, command := range round.commands {
			r.Relay.IP("%s", command)
		}
		r.Client(2).IP("link set c0 up")
		if !isEcho(ask(r, 2)) {
			t.Errorf("%s: a client of the toy is answered by another", round.what)
		}
		if isEcho(ask(r, 1)) {
			t.Errorf("%s: a client of the relay is answered by the toy", round.what)
		}
	}
}

// Only one role is played: nothing of the relay is there, and everything that roles share is.
func TestOneRole(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 1})
	prepare(r, withMetrics(strings.Split(r.Standard(), "relay6:")[0]+on(r.Downlink(1))))
	r.Fairlead.Start()
	if !isEcho(ask(r, 1)) {
		t.Error("the toy alone does not answer")
	}
	if _, err := r.Fairlead.Relay.CLI("delegations"); err == nil {
		t.Error("the relay's path is there although the relay is not")
	}
	wants(t, "the metrics", scrape(r), "fairlead_echo_answers_total 1", "fairlead_build_info")
	var status map[string]any
	r.Fairlead.Ask("/v1/status", &status)
	for key, value := range status {
		if value == nil {
			t.Errorf("the status has %s: null", key)
		}
	}
}

// A link has clients of one role of a family. Otherwise the file is refused, and the place is
// named.
func TestTwoRolesOnALink(t *testing.T) {
	r := rig.Build(t, lab.Plan{Clients: 1})
	prepare(r, r.Standard()+on(r.Downlink(1)))
	if err := r.Fairlead.Relay.Start(); err == nil {
		t.Error("the program plays two roles on a link")
	}
	lines := strings.Split(r.Fairlead.Text(), "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `["d1"]`) })
	r.Fairlead.Logged(fmt.Sprintf(`:%d:%d: echo6.links[0]: "d1" may name a link that "d*" of relay6.links[0].match names`, at+1, strings.Index(lines[at], `"d1"`)+1))
}
