package trouble_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"fairlead/internal/lab/script"
	"fairlead/internal/system/rig"
	"fairlead/internal/wire/dhcp6"
)

// nobody is a user, and a group, that are nothing special.
const nobody = 65534

// as runs a fairlead command as another user with another group.
func (r *network) as(uid, gid int, args ...string) (string, error) {
	r.T.Helper()
	program := filepath.Join(r.Fairlead.Dir, "anyone") // where all may go
	if _, err := os.Stat(program); err != nil {
		b, err := os.ReadFile(rig.Binary())
		r.Need(err)
		r.Need(os.WriteFile(program, b, 0o755))
	}
	all := []string{"setpriv", "--reuid", strconv.Itoa(uid), "--regid", strconv.Itoa(gid), "--clear-groups", program}
	return r.Relay.Node.Run(append(append(all, args...), "--socket", r.Fairlead.Socket)...)
}

// TestRolesAndAuditLog: who may look and who may change things is told by the
// kernel's word for who connects, and whoever tries to change something is in
// the audit log. (RFC 4778 section 2.2.2; RFC 8987 O-2 for clear.)
func TestRolesAndAuditLog(t *testing.T) {
	const group, reader, operator = 54321, 54322, 54323
	record := filepath.Join(t.TempDir(), "audit.log")
	r := build(t, plan{clients: 1})
	text := fmt.Sprintf("control:\n  socket: %s\n  group: \"%d\"\n  operators: [\"%d\"]\n  readers: [\"%d\"]\naudit:\n  log: %s\n",
		r.Fairlead.Socket, group, operator, reader, record)
	r.Fairlead.Write(text + r.config())
	r.Fairlead.Start()
	r.obtain(r.Play(1, rig.DUID(1)), 1, 2)
	first, second := r.book.Prefix(rig.DUID(1), 1).String(), r.book.Prefix(rig.DUID(1), 2).String()

	for _, c := range []struct {
		uid, gid int
		args     string
		refusal  string // empty: it is done
	}{
		{nobody, nobody, "status", "permission denied"},
		{nobody, group, "status", "not permitted"},
		{nobody, group, "clear --all", "not permitted"},
		{reader, group, "status", ""},
		{reader, group, "delegations --json", ""},
		{reader, group, "clear --all", "not permitted"},
		{reader, group, "reload", "not permitted"},
		{operator, group, "status", ""},
		{operator, group, "clear --block " + first, ""},
		{operator, group, "unblock " + first, ""},
		{operator, group, "unblock " + first, "not"},
		{operator, group, "reload", ""},
		{0, 0, "clear " + second, ""},
	} {
		out, err := r.as(c.uid, c.gid, strings.Fields(c.args)...)
		switch {
		case c.refusal == "" && err != nil:
			t.Errorf("user %d: %s: %v", c.uid, c.args, err)
		case c.refusal != "" && (err == nil || !strings.Contains(err.Error(), c.refusal)):
			t.Errorf("user %d: %s: %q, %v, want a refusal with %q", c.uid, c.args, out, err, c.refusal)
		}
	}
	r.Until("both routes are gone", func() bool { return len(r.routes()) == 0 })

	b, err := os.ReadFile(record)
	r.Need(err)
	var got []string
	for line := range strings.Lines(string(b)) {
		var e struct {
			Time, Msg, Deed, Outcome, Prefix, Process string
			UID, PID                                  int
			Block                                     bool
		}
		r.Need(json.Unmarshal([]byte(line), &e))
		if e.Time == "" || e.Msg != "audit" || e.PID == 0 || e.Process == "" {
			t.Errorf("the record does not say when or who: %s", line)
		}
		got = append(got, strings.TrimSpace(fmt.Sprint(e.UID, " ", e.Deed, " ", e.Outcome, " ", e.Prefix)))
	}
	want := []string{
		"65534 clear refused", "54322 clear refused", "54322 reload refused",
		"54323 clear done " + first, "54323 unblock done " + first, "54323 unblock failed " + first,
		"54323 reload done", "0 clear done " + second,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the audit log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if info, err := os.Stat(record); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("others may read the audit log: %v %v", info.Mode(), err)
	}
}

// TestAuditInTheJournal: without a file of its own the audit goes with the log.
func TestAuditInTheJournal(t *testing.T) {
	r := start(t, plan{clients: 1})
	r.obtain(r.Play(1, rig.DUID(1)), 1)
	p := r.book.Prefix(rig.DUID(1), 1).String()
	for _, args := range [][]string{{"clear", "--block", p}, {"unblock", p}, {"reload"}} {
		r.Fairlead.CLI(args...)
	}
	for _, words := range [][]string{{"deed=clear", p, "block=true", "cleared=1"}, {"deed=unblock", p}, {"deed=reload"}} {
		r.Fairlead.Logged(append(words, "msg=audit", "outcome=done", "uid=0", "pid=")...)
	}
}

// stream reads events of a path until the test ends. It begins when nothing is
// missed any more.
func (r *network) stream(path string) *bufio.Reader {
	r.T.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", r.Fairlead.Socket)
	}}}
	ctx, cancel := context.WithCancel(context.Background())
	r.T.Cleanup(cancel)
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://fairlead"+path, nil)
	r.Need(err)
	answer, err := client.Do(q)
	r.Need(err)
	r.T.Cleanup(func() { answer.Body.Close() })
	b := bufio.NewReader(answer.Body)
	if line, err := b.ReadString('\n'); err != nil || line != ": ready\n" {
		r.T.Fatalf("%s: %d, begins with %q, %v", path, answer.StatusCode, line, err)
	}
	return b
}

// event is what the test reads of an event.
type event struct {
	Kind, Text, Link, Client, Type string
	IAID                           uint32
	XID                            string
	Delegation                     struct{ Prefix string }
}

// next is the next event of a stream for which found is true.
func next(t *testing.T, b *bufio.Reader, found func(event) bool) event {
	t.Helper()
	for {
		line, err := b.ReadString('\n')
		need(t, err)
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var e event
		need(t, json.Unmarshal([]byte(data), &e))
		if found(e) {
			return e
		}
	}
}

// TestWatchAndTrace: watch shows what becomes of delegations, and only what was
// asked for; trace shows the steps of one client's messages and of nobody else's.
func TestWatchAndTrace(t *testing.T) {
	r := start(t, plan{clients: 2})
	one, two := r.Play(1, rig.DUID(1)), r.Play(2, rig.DUID(2))
	all, d2 := r.stream("/v1/watch"), r.stream("/v1/watch?link=d2")
	steps := r.stream("/v1/trace?client=" + rig.DUID(2).String())
	r.obtain(one, 1)
	reply := r.obtain(two, 7)
	delegation := func(e event) bool { return e.Kind == "delegation" }
	type short struct{ text, link, prefix, client string }
	cut := func(e event) short { return short{e.Text, e.Link, e.Delegation.Prefix, e.Client} }
	first := short{"granted", "d1", r.book.Prefix(rig.DUID(1), 1).String(), rig.DUID(1).String()}
	second := short{"granted", "d2", r.book.Prefix(rig.DUID(2), 7).String(), rig.DUID(2).String()}
	for _, want := range []short{first, second} {
		if got := cut(next(t, all, delegation)); got != want {
			t.Errorf("watch shows %+v, want %+v", got, want)
		}
	}
	if got := cut(next(t, d2, delegation)); got != second {
		t.Errorf("watch --link d2 shows %+v, want %+v", got, second)
	}
	two.Release(reply)
	second.text = "ended"
	if got := cut(next(t, all, delegation)); got != second {
		t.Errorf("after the Release watch shows %+v, want %+v", got, second)
	}
	types := map[string]bool{}
	for !types[dhcp6.Release.String()] || !types[dhcp6.Reply.String()] {
		e := next(t, steps, func(e event) bool { return e.Kind == "trace" })
		if e.Client != rig.DUID(2).String() || e.XID == "" {
			t.Fatalf("the trace of %s shows %+v", rig.DUID(2), e)
		}
		types[e.Type] = true
	}
	for _, want := range []dhcp6.MessageType{dhcp6.Solicit, dhcp6.Advertise, dhcp6.Request} {
		if !types[want.String()] {
			t.Errorf("the trace shows %v, and no %v", types, want)
		}
	}
	if code, body, err := r.Fairlead.Call(http.MethodGet, "/v1/trace?link=d1", ""); err != nil || code != http.StatusServiceUnavailable {
		t.Errorf("a second trace: %d %s %v", code, body, err)
	}
}

// TestDebugWritesEachStep: with log.level debug the log has each step of every message,
// as a trace shows them, from the reload that asks for it on, and no longer than that.
func TestDebugWritesEachStep(t *testing.T) {
	r := start(t, plan{clients: 2})
	one, two := r.Play(1, rig.DUID(1)), r.Play(2, rig.DUID(2))
	level := func(name string) {
		r.Fairlead.Write("log: {level: " + name + "}\n" + r.config())
		r.Fairlead.CLI("reload")
	}
	steps := func(n int) (found []string) {
		for line := range strings.Lines(r.Fairlead.Log()) {
			if strings.Contains(line, "level=DEBUG") && strings.Contains(line, "xid=") && strings.Contains(line, "link="+r.Downlink(n)+" ") {
				found = append(found, line)
			}
		}
		return found
	}
	r.obtain(one, 1)
	if got := steps(1); len(got) > 0 {
		t.Errorf("log.level: info, and the log has\n%s", strings.Join(got, ""))
	}
	level("debug")
	r.obtain(one, 2)
	r.obtain(two, 3)
	for n := 1; n <= 2; n++ {
		for _, text := range []string{"received", "forwarded", "server says", "carries", "granted", "waits until it is kept and installed", "kept", "installed", "sent"} {
			r.Until(fmt.Sprintf("the log has the step %q on link %d", text, n), func() bool {
				return slices.ContainsFunc(steps(n), func(line string) bool {
					return strings.Contains(line, "msg="+text+" ") || strings.Contains(line, "msg="+strconv.Quote(text)+" ")
				})
			})
		}
	}
	level("info")
	before := len(steps(1))
	r.obtain(one, 4)
	if got := steps(1); len(got) > before {
		t.Errorf("log.level is info again, and the log has\n%s", strings.Join(got[before:], ""))
	}
}

// TestHook: the hook program is called for the events that it is configured for,
// with the facts in its environment and nothing of ours.
func TestHook(t *testing.T) {
	dir := t.TempDir()
	out, program := filepath.Join(dir, "out"), filepath.Join(dir, "hook")
	need(t, os.WriteFile(program, []byte("#!/bin/sh\n{ env | grep -v '^_=\\|^PWD=\\|^SHLVL=' | sort; echo; } >>"+out+"\n"), 0o700))
	r := start(t, plan{clients: 1, env: []string{"SECRET=ours"}, top: "hook:\n  program: " + program + "\n"})
	c := r.Play(1, rig.DUID(1))
	reply := r.obtain(c, 9)
	c.Renew(reply) // extended: not asked for
	c.Release(reply)
	var runs []string
	r.Until("the hook has run twice", func() bool {
		b, _ := os.ReadFile(out)
		runs = strings.Split(strings.TrimSuffix(string(b), "\n\n"), "\n\n")
		return len(runs) == 2 && strings.HasSuffix(string(b), "\n\n")
	})
	p := r.book.Prefix(rig.DUID(1), 9)
	next := r.Client(1).LinkLocal("c0")
	for i, name := range []string{"granted", "ended"} {
		got := map[string]string{}
		for _, line := range strings.Split(runs[i], "\n") {
			key, value, _ := strings.Cut(line, "=")
			got[key] = value
		}
		for key, want := range map[string]string{
			"EVENT": name, "PREFIX": p.String(), "KIND": "prefix", "CLIENT": rig.DUID(1).String(), "IAID": "9", "LINK": "d1",
			"NEXT_HOP": next.String(), "LINK_LAYER": "02:00:00:00:c0:01", "SERVER": "server",
		} {
			if got["FAIRLEAD_"+key] != want {
				t.Errorf("%s: FAIRLEAD_%s is %q, want %q", name, key, got["FAIRLEAD_"+key], want)
			}
		}
		left, err := strconv.Atoi(got["FAIRLEAD_VALID"])
		if most := int(r.book.Valid(p)); name == "granted" && (err != nil || left > most || left < most-600) {
			t.Errorf("granted: FAIRLEAD_VALID is %q, want about %d", got["FAIRLEAD_VALID"], most)
		}
		for key := range got {
			if !strings.HasPrefix(key, "FAIRLEAD_") && key != "PATH" && key != "LANG" {
				t.Errorf("%s: %s is in the environment", name, key)
			}
		}
	}
}

// TestMetrics scrapes the relay from inside its namespace, reads the answer with
// the parser of others, and compares it with what was done.
func TestMetrics(t *testing.T) {
	r := start(t, plan{clients: 1, top: "metrics:\n  listen: \"[::1]:9547\"\n"})
	c := r.Play(1, rig.DUID(1))
	r.obtain(c, 1, 2)
	c.Send([]byte{byte(dhcp6.Reply), 1, 2, 3}) // what only servers send
	r.obtain(c, 1)
	r.Fairlead.Write(r.config("no-such-key: 1"))
	_, _ = r.Fairlead.Relay.CLI("reload") // refused
	var conn net.Conn
	r.Relay.Do(func() (err error) {
		conn, err = net.Dial("tcp6", "[::1]:9547")
		return err
	})
	defer conn.Close()
	client := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}
	answer, err := client.Get("http://relay/metrics")
	r.Need(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	r.Need(err)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	r.Need(err)
	value := func(name string, labels ...string) float64 {
		t.Helper()
		family := families["fairlead_"+name]
		if family == nil {
			t.Errorf("there is no fairlead_%s", name)
			return -1
		}
	next:
		for _, m := range family.Metric {
			have := map[string]string{}
			for _, l := range m.Label {
				have[l.GetName()] = l.GetValue()
			}
			for i := 0; i < len(labels); i += 2 {
				if have[labels[i]] != labels[i+1] {
					continue next
				}
			}
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
		}
		t.Errorf("there is no fairlead_%s with %q", name, labels)
		return -1
	}
	s := r.status()
	for _, c := range []struct {
		got, want float64
		what      string
	}{
		{value("delegations", "link", "d1", "kind", "prefix"), 2, "delegations"},
		{value("link_messages_total", "link", "d1", "direction", "received", "type", "solicit"), 2, "Solicits"},
		{value("link_messages_total", "link", "d1", "direction", "delivered", "type", "reply"), 2, "Replies"},
		{value("host_routes"), 2, "routes"},
		{value("store_healthy"), 1, "a healthy store"},
		{value("config_reloads_total", "outcome", "refused"), 1, "reloads refused"},
		{value("peer_messages_total", "peer", "server", "direction", "sent"), 4, "messages to the server"},
		{value("panics_total"), 0, "panics"},
		{value("drops_total", "reason", "server-message"), 1, "messages that only servers send"},
		{value("drops_total", "reason", "untrusted-server"), 0, "Relay-replies of others: the series is there from the start"},
		{value("link_drops_total", "link", "d1", "reason", "server-message"), 1, "of these on d1"},
		{value("config_last_reload_successful"), 0, "for a reload that was refused"},
		{value("degraded_reasons"), float64(len(s.Degraded)), fmt.Sprintf("reasons of %q", s.Degraded)},
	} {
		if c.got != c.want {
			t.Errorf("%v %s, want %v", c.got, c.what, c.want)
		}
	}
	if text := string(body); strings.Contains(text, rig.DUID(1).String()) {
		t.Error("a client's DUID is in the metrics")
	}
}

// TestRFC8987_O3_Clock: what the relay shows of the clock is what the kernel
// says. (RFC 8987 section 4.4, O-3.)
func TestRFC8987_O3_Clock(t *testing.T) {
	r := start(t, plan{})
	// Another program may change it in between: then look once more.
	r.Until("the relay shows the clock as it is", func() bool {
		ask := func() bool {
			var x unix.Timex
			state, err := unix.Adjtimex(&x)
			r.Need(err)
			return state != unix.TIME_ERROR && x.Status&unix.STA_UNSYNC == 0
		}
		before := ask()
		s := r.status()
		text := r.Fairlead.CLI("status")
		if ask() != before {
			return false
		}
		if s.Clock.Synchronised != before {
			t.Errorf("the kernel says %v, the relay %+v", before, s.Clock)
		}
		if shown := !strings.Contains(text, "not synchronised") && !strings.Contains(text, "unsynchronised"); shown != before {
			t.Errorf("the kernel says %v, fairlead status\n%s", before, text)
		}
		if degraded := slices.Contains(s.Degraded, "clock: not synchronised"); degraded == before {
			t.Errorf("the kernel says %v, degraded is %q", before, s.Degraded)
		}
		return true
	})
}

// TestIdentifiersInTheLog: where the operator wants identifiers short, hashed or
// not at all, a client's is nowhere in the log, whatever happens to it.
func TestIdentifiersInTheLog(t *testing.T) {
	for _, mode := range []string{"full", "short", "hashed", "none"} {
		t.Run(mode, func(t *testing.T) {
			id := dhcp6.DUID{0, 2, 0, 0, 0x7e, 0xd9, 0xfa, 0xce, 0xb0, 0x0c, 0xba, 0xdc, 0x0f, 0xfe}
			// The audit log has what the operator has written, as it was written.
			audit := "audit:\n  log: " + filepath.Join(t.TempDir(), "audit.log") + "\n"
			r := start(t, plan{
				clients: 2, links: []string{"limits: {client: 2}", "unique-duid: true"},
				top: audit + "log:\n  level: debug\n  every: 1s\nprivacy:\n  log: " + mode + "\n",
			})
			c := r.Play(1, id)
			r.stream("/v1/trace?client=" + id.String())
			reply := r.obtain(c, 1, 2)
			r.extend(c, dhcp6.Renew, reply)
			c.Send(request(c, 3))  // beyond the limit
			other := r.Play(2, id) // on another link, which is forbidden
			other.Send(request(other, 4))
			r.Fairlead.CLI("clear", "--client", id.String(), "--block")
			c.Send(request(c, 1))
			r.Fairlead.CLI("unblock", "--client", id.String())
			reply = r.obtain(c, 1)
			c.Release(reply)
			r.Fairlead.Stop()

			log := strings.ToLower(r.Fairlead.Log())
			hex := fmt.Sprintf("%x", []byte(id))
			shown := strings.Contains(log, id.String()) || strings.Contains(log, hex) || strings.Contains(log, "d9:fa:ce:b0:0c")
			if addr := c.Own().String(); strings.Contains(log, addr) != (mode == "full") {
				t.Errorf("privacy.log: %s, and the address %s is in the log: %v", mode, addr, mode != "full")
			}
			if shown != (mode == "full") {
				for line := range strings.Lines(log) {
					if strings.Contains(line, "fa:ce") {
						t.Log(line)
					}
				}
				t.Errorf("privacy.log: %s, and the identifier is in the log: %v", mode, shown)
			}
			if !strings.Contains(log, "client=") {
				t.Error("the log has no client at all")
			}
			if got := script.Delegations(reply); len(got) != 1 {
				t.Errorf("the client got %v", got)
			}
		})
	}
}

// TestWatchTellsOfTrouble: what goes wrong is seen by who watches, as the help
// says: a reload that is refused, and datagrams that are dropped.
func TestWatchTellsOfTrouble(t *testing.T) {
	r := start(t, plan{clients: 1})
	watch := r.Fairlead.Follow("watch", "watch", "--json")
	c := r.Play(1, rig.DUID(1))
	told := func(words ...string) {
		t.Helper()
		r.Until(fmt.Sprintf("watch tells of %q", words), func() bool {
			return rig.Lines(watch.Log(), words...) > 0
		})
	}
	r.Until("the watch is there", func() bool { // a lease tells that it is
		r.obtain(c, 1)
		return strings.Contains(watch.Log(), `"kind":"delegation"`)
	})
	r.Fairlead.Write(r.config() + "no-such-key: 1\n")
	if _, err := r.Fairlead.Relay.CLI("reload"); err == nil {
		t.Error("a broken file was taken")
	}
	told(`"kind":"trouble"`, `"text":"configuration not reloaded: the old one stays"`, "no-such-key")
	c.Send(c.Message(dhcp6.Advertise)) // not for a client to send
	told(`"kind":"trouble"`, `"link":"`+r.Downlink(1)+`"`, `"reason":"server-message"`)
}

// TestPurgeWithoutAFile: where the configuration is gone, what is ours in the kernel
// can still be taken out. The database is its owner's alone to read.
func TestPurgeWithoutAFile(t *testing.T) {
	r := start(t, plan{clients: 1})
	r.obtain(r.Play(1, rig.DUID(1)), 1)
	r.WantRoute(r.book.Prefix(rig.DUID(1), 1), 1)
	files := r.Relay.Run("find", r.Fairlead.State, "-type", "f", "-perm", "/077")
	if files != "" {
		t.Errorf("others can read\n%s", files)
	}
	r.Fairlead.Stop()
	r.Need(os.Remove(r.Fairlead.File))
	out, err := r.Relay.Node.Run(rig.Binary(), "purge", "--config", r.Fairlead.File)
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that is named and not there: %s, %v; want an error", out, err)
	}
	r.Relay.Run(rig.Binary(), "purge")
	if left := r.routes(); len(left) != 0 {
		t.Errorf("after the purge there are routes %v", left)
	}
	tables := r.Relay.Run("nft", "list", "tables")
	if strings.Contains(tables, "fairlead") {
		t.Errorf("after the purge there are\n%s", tables)
	}
}
