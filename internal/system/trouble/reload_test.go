package trouble_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"fairlead/internal/lab"
	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// talk has a client ask and be answered, over and over, each message once. It
// ends with stop; unanswered is how many messages got no answer.
type talk struct {
	stop chan struct{}
	done sync.WaitGroup

	mu         sync.Mutex // guards all following fields
	asked      int
	unanswered int
}

// answered is how long an answer may take before the message counts as lost.
const answered = 20 * time.Second

// talkTo starts a talk of several messages at a time on each link.
func talkTo(clients ...*rig.Client) *talk {
	k := &talk{stop: make(chan struct{})}
	for _, c := range clients {
		k.done.Go(func() { k.converse(c) })
	}
	return k
}

func (k *talk) converse(c *rig.Client) {
	for {
		select {
		case <-k.stop:
			return
		default:
		}
		const burst = 4
		open := map[uint32]bool{}
		for range burst {
			m := c.Message(dhcp6.InformationRequest)
			parsed, err := dhcp6.ParseMessage(m)
			if err == nil {
				err = c.Client.Send(m)
			}
			if err == nil {
				open[parsed.TransactionID()] = true
			}
		}
		asked := len(open)
		for len(open) > 0 {
			p, err := c.Client.Receive(answered)
			if err != nil {
				break
			}
			if m, err := dhcp6.ParseMessage(p.Data); err == nil {
				delete(open, m.TransactionID())
			}
		}
		k.mu.Lock()
		k.asked += asked
		k.unanswered += len(open)
		k.mu.Unlock()
	}
}

// so is how many messages were asked so far.
func (k *talk) so() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

// end ends the talk and fails the test if anything was lost.
func (k *talk) end(t *testing.T) {
	t.Helper()
	close(k.stop)
	k.done.Wait()
	t.Logf("%d messages, %d without an answer", k.asked, k.unanswered)
	if k.unanswered > 0 || k.asked == 0 {
		t.Errorf("%d of %d messages were not answered", k.unanswered, k.asked)
	}
}

// TestReloadUnderLoad reloads again and again, both ways, while clients ask
// without a pause: each message that they send is answered, and what is new
// holds. (RFC 8987 takes no notice of reloads; the design does: without dropping
// a packet.)
func TestReloadUnderLoad(t *testing.T) {
	r := start(t, plan{clients: 3})
	c := r.Play(3, rig.DUID(3))
	r.obtain(c, 1)
	held := r.book.Prefix(rig.DUID(3), 1)
	r.WantRoute(held, 3)
	k := talkTo(r.Play(1, rig.DUID(1)), r.Play(2, rig.DUID(2)))
	more := func() {
		was := k.so()
		r.Until("the talk goes on", func() bool { return k.so() > was+8 })
	}
	for i := range 6 {
		limit := i%2 + 1
		name := fmt.Sprintf("line-%d", i)
		text := r.config(fmt.Sprintf("limits: {client: %d}", limit), "remote-id: {enterprise: 32473, id: "+name+"}")
		more()
		if i%2 == 0 {
			r.Fairlead.Reload(text)
		} else {
			r.Fairlead.Write(text)
			r.Fairlead.CLI("reload")
		}
		more()
		// The new rule holds: it is in what the server hears.
		before := len(r.Played.Received())
		r.Until("the server hears of "+name, func() bool {
			for _, q := range r.Played.Received()[before:] {
				if len(q.Relays) == 0 {
					continue
				}
				if got, ok := q.Relays[0].Options().First(dhcp6.OptionRemoteID); ok && string(got[4:]) == name {
					return true
				}
			}
			return false
		})
	}
	k.end(t)
	r.WantRoute(held, 3)
	if s := r.status(); s.Config.LastError != "" {
		t.Errorf("the last reload was refused: %s", s.Config.LastError)
	}
}

// TestReloadTakesLinksAndPeers: a reload begins to serve a link that the rules
// had not named, and stops to serve one that they no longer name, whose
// delegations and routes stay.
func TestReloadTakesLinksAndPeers(t *testing.T) {
	r := build(t, plan{clients: 2})
	only := func(link string) string { return strings.Replace(r.config(), `"d*"`, link, 1) }
	r.Fairlead.Write(only("d1"))
	r.Fairlead.Start()
	one, two := r.Play(1, rig.DUID(1)), r.Play(2, rig.DUID(2))
	r.obtain(one, 1)
	first := r.book.Prefix(rig.DUID(1), 1)
	r.WantRoute(first, 1)
	two.Send(request(two, 1))
	r.obtain(one, 2) // what came to d2 was dropped before that
	for _, q := range r.Played.Received() {
		if id, _ := q.Message.ClientID(); id.String() == rig.DUID(2).String() {
			t.Fatal("a message came through from a link that faces no clients")
		}
	}
	r.Fairlead.Write(only("d2"))
	r.Fairlead.CLI("reload", "--force")
	r.obtain(two, 1)
	r.WantRoute(r.book.Prefix(rig.DUID(2), 1), 2)
	heard := len(r.Played.Received())
	one.Send(request(one, 3))
	r.obtain(two, 2)
	for _, q := range r.Played.Received()[heard:] {
		if id, _ := q.Message.ClientID(); id.String() == rig.DUID(1).String() {
			t.Error("a message came through from a link that no longer faces clients")
		}
	}

	// Another server, which is asked from then on.
	node := r.AddServer(2)
	other := node.Server(lab.ExtraServerAddress(2), r.book.Grants().Answer)
	r.Fairlead.Reload(strings.Replace(only(`"d*"`), lab.ServerAddress.String(), lab.ExtraServerAddress(2).String(), 1))
	heard = len(r.Played.Received())
	r.obtain(one, 3)
	if got := len(other.Received()); got == 0 || len(r.Played.Received()) != heard {
		t.Errorf("the new server heard %d messages, and the old one %d more", got, len(r.Played.Received())-heard)
	}
	r.WantRoute(first, 1)
}

// TestReloadRefused: a broken file, and one that changes what only a restart can,
// are refused with words that help; what ran goes on, and answers everything.
func TestReloadRefused(t *testing.T) {
	r := start(t, plan{clients: 2})
	k := talkTo(r.Play(1, rig.DUID(1)))
	good := r.config()
	for _, broken := range []struct {
		name, text string
		want       []string
	}{
		{"an unknown key", good + "no-such-key: 1\n", []string{"unknown", "no-such-key"}},
		{"a bad value", good + "      limits: {client: many}\n", []string{"limits.client", "many"}},
		{"not YAML", good + "\t{{{", []string{}},
		{"an empty file", "", []string{"peers"}},
	} {
		t.Run(broken.name, func(t *testing.T) {
			r.Fairlead.Write(broken.text)
			out, err := r.Fairlead.Relay.CLI("reload")
			if err == nil {
				t.Fatalf("it was taken: %s", out)
			}
			text := err.Error()
			if !strings.Contains(text, r.Fairlead.File+":") {
				t.Errorf("no file in %q", text)
			}
			if rest := text[strings.Index(text, r.Fairlead.File)+len(r.Fairlead.File):]; broken.text != "" {
				var line, column int
				if n, _ := fmt.Sscanf(rest, ":%d:%d:", &line, &column); n != 2 || line < 4 || column < 1 {
					t.Errorf("no line and column after the file in %q", text)
				}
			}
			for _, w := range broken.want {
				if !strings.Contains(text, w) {
					t.Errorf("%q does not contain %q", text, w)
				}
			}
			refused(t, r)
		})
	}
	r.Need(os.Remove(r.Fairlead.File))
	if _, err := r.Fairlead.Relay.CLI("reload"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without a file: %v", err)
	}
	refused(t, r)
	for name, change := range map[string]func(string) string{
		"host.protocol":  func(s string) string { return s + "host:\n  protocol: 91\n" },
		"store":          func(s string) string { return s + "store:\n  reserve: 1MiB\n" },
		"metrics.listen": func(s string) string { return strings.Replace(s, "listen: off", `listen: "[::1]:9999"`, 1) },
		"log.format":     func(s string) string { return s + "log:\n  format: json\n" },
		"state":          func(s string) string { return "state: " + t.TempDir() + "\n" + s },
		"relay-id":       func(s string) string { return s + "relay-id: {source: config, value: \"00:02:00:00:ab:11\"}\n" },
		"control":        func(s string) string { return "control:\n  socket: " + r.Fairlead.Socket + "2\n" + s },
	} {
		r.Fairlead.Write(change(good))
		_, err := r.Fairlead.Relay.CLI("reload")
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "restart") {
			t.Errorf("a new %s: %v, want a refusal that names it", name, err)
		}
	}
	// By signal the reason goes to the log.
	r.Fairlead.Reload(good + "no-such-key: 1\n")
	r.Fairlead.Logged("level=ERROR", r.Fairlead.File+":", "no-such-key")
	refused(t, r)
	r.Fairlead.Reload(good)
	if s := r.status(); s.Config.LastError != "" {
		t.Errorf("after a good file the status still has %s", s.Config.LastError)
	}
	k.end(t)
}

// refused looks at what the status says after a refusal, and that all is served.
func refused(t *testing.T, r *network) {
	t.Helper()
	s := r.status()
	if s.Config.LastError == "" || !strings.Contains(strings.Join(s.Degraded, "\n"), "configuration: the last reload was refused") {
		t.Errorf("the status has %q and %q", s.Config.LastError, s.Degraded)
	}
	c := r.Play(2, rig.DUID(2))
	defer c.Close()
	reply := c.Obtain(1)
	want := r.book.Prefix(rig.DUID(2), 1)
	if got := script.Delegations(reply); len(got) != 1 || got[0].Prefix != want {
		t.Errorf("the client got %v, want %v", got, want)
	}
}

// TestReloadThatLosesLinks: a glob that is misspelt takes the rule from links with
// delegations. Neither the command nor the signal does that: both name the links
// and the numbers, and everything stays. A dry run says it beforehand. Where it is
// meant, --force has it done, and status lists what no rule matches until a rule
// does.
func TestReloadThatLosesLinks(t *testing.T) {
	r := start(t, plan{clients: 2})
	one, two := r.Play(1, rig.DUID(1)), r.Play(2, rig.DUID(2))
	r.obtain(one, 1, 2)
	r.obtain(two, 1)
	held := []netip.Prefix{r.book.Prefix(rig.DUID(1), 1), r.book.Prefix(rig.DUID(1), 2)}
	other := r.book.Prefix(rig.DUID(2), 1)
	good := r.config()
	rules := func(match string) string { return strings.Replace(good, `"d*"`, match, 1) }
	ruled := func() {
		t.Helper()
		for _, p := range held {
			r.WantRoute(p, 1)
		}
		r.WantRoute(other, 2)
		r.obtain(one, 1)
		r.obtain(two, 1)
	}
	ruled()
	lost := fmt.Sprintf("%s (2 prefixes), %s (1 prefix)", r.Downlink(1), r.Downlink(2))

	r.Fairlead.Write(rules(`"cusst*"`))
	for _, how := range [][]string{{"reload"}, {"reload", "--json"}, {"reload", "--dry-run"}} {
		out, err := r.Fairlead.Relay.CLI(how...)
		if err == nil || !strings.Contains(err.Error(), lost) || !strings.Contains(err.Error(), "--force") {
			t.Errorf("%v: %s, %v; want a refusal that names %s and says how to force it", how, out, err, lost)
		}
	}
	ruled()
	r.Fairlead.Reload(rules(`"cusst*"`)) // by signal
	r.Fairlead.Logged("level=ERROR", "configuration not reloaded", lost, "fairlead reload --force")
	ruled()
	if s := r.status(); !strings.Contains(s.Config.LastError, lost) || len(s.Unmatched) != 0 {
		t.Errorf("after the refusals the status has the error %q and unmatched %v", s.Config.LastError, s.Unmatched)
	}
	checked, err := r.Relay.Node.Run(rig.Binary(), "config", "check", r.Fairlead.File)
	if want := fmt.Sprintf(`"cusst*" matches no interface now, and no rule matches these links with delegations: %s (2), %s (1) (a warning)`, r.Downlink(1), r.Downlink(2)); err != nil || !strings.Contains(checked, want) {
		t.Errorf("the check says\n%s%v\nwant %s", checked, err, want)
	}

	// One of the two.
	r.Fairlead.Write(rules("[" + r.Downlink(2) + ", absent0]"))
	if out, err := r.Fairlead.Relay.CLI("reload"); err == nil || !strings.Contains(err.Error(), ": "+r.Downlink(1)+" (2 prefixes) (") {
		t.Errorf("%s, %v; want %s named alone", out, err, r.Downlink(1))
	}
	out := r.Fairlead.CLI("reload", "--force")
	for _, want := range []string{
		"link " + r.Downlink(1) + " (2 prefixes): lost, ",
		"no rule matches these links with delegations: " + r.Downlink(1) + " (2 prefixes)",
		`warning: ` + r.Fairlead.File, `no interface is named "absent0" now`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the answer is\n%s\nwant %q in it", out, want)
		}
	}
	r.Fairlead.Logged("level=WARN", "configuration", `no interface is named \"absent0\" now`)
	r.Fairlead.Logged("level=INFO", "configuration reloaded", "links_lost=1", "links_unmatched=1")
	r.WantRoute(other, 2)
	unmatched := func() {
		t.Helper()
		s := r.status()
		if len(s.Unmatched) != 1 || s.Unmatched[0].Link != r.Downlink(1) || s.Unmatched[0].Prefixes != 2 {
			t.Errorf("status has unmatched %v, want %s with 2 prefixes", s.Unmatched, r.Downlink(1))
		}
		if want := "no rule matches their links: " + r.Downlink(1) + " (2 prefixes)"; !strings.Contains(strings.Join(s.Degraded, "\n"), want) {
			t.Errorf("what is not as it should be: %q, want %q", s.Degraded, want)
		}
	}
	unmatched()

	// A start says it too, and the rule brings all back: nothing is lost to look at it.
	r.Fairlead.Stop()
	r.Fairlead.Start()
	r.Fairlead.Logged("level=WARN", "no rule matches links with delegations", r.Downlink(1)+" (2 prefixes)")
	r.Fairlead.Logged("level=WARN", "configuration", `no interface is named \"absent0\" now`)
	unmatched()
	r.Fairlead.Write(good)
	out = r.Fairlead.CLI("reload", "--dry-run")
	if want := "link " + r.Downlink(1) + " (2 prefixes): gained, faces clients"; !strings.Contains(out, "a reload would change:") || !strings.Contains(out, want) {
		t.Errorf("the dry run says\n%s\nwant %q", out, want)
	}
	unmatched() // it was dry
	r.Fairlead.Reload(good)
	ruled()
	r.Fairlead.Write(r.config("limits: {client: 3}"))
	out = r.Fairlead.CLI("reload")
	if want := "link " + r.Downlink(1) + " (2 prefixes): changed: limits.client from 8 to 3"; !strings.Contains(out, want) {
		t.Errorf("the answer is\n%s\nwant %q", out, want)
	}
}
