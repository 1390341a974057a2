package relay6_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fairlead/internal/core/binding"
	"fairlead/internal/core/delegation"
	"fairlead/internal/core/links"
	"fairlead/internal/core/relay6"
	"fairlead/internal/wire/dhcp6"
)

// A scenario is a file of blocks with a blank line between. A block is comments
// (#), events, a line of dashes and the trace of everything that the relay did.
// go test -update writes the traces anew: look at the difference before you
// commit it. The first block may begin with a line of settings.
//
//	config limit=1 link-limit=2 move=probe on-limit=replace shared trusted unique-duid
//	solicit alice pd=1            a client's message; also request, renew, rebind, release, confirm
//	request alice pd=1 ldra       through a lightweight relay
//	reply alice pd=1:2001:db8:100::/56:3600   the server's answer to the last of hers; also advertise, reconfigure
//	wait 10m                      both clocks
//	store slow | ok | fails       slow: changes stay in flight
//	finish 1                      of those
//	link lan0 down | up | gone | back
//	probed silent | answers
//	clear link=lan0 client=alice prefix=2001:db8:100::/56 all block
//	restart                       the process alone
//	reboot 10m [unsynced]         the machine, with the wall clock that much later
//	list                          the delegations
var update = flag.Bool("update", false, "write the traces of scenarios anew")

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("the trace differs; got\n%s\nwant\n%s", got, text)
			}
		})
	}
}

// play runs a scenario and returns it with the trace that it gave.
func play(t *testing.T, text string) string {
	s := &scene{links: make(map[string]links.Link), asked: make(map[string][]byte)}
	var out strings.Builder
	for i, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		events, _, _ := strings.Cut(block, "\n----")
		if i > 0 {
			out.WriteString("\n")
		}
		out.WriteString(events + "\n----\n")
		s.lines = nil
		for line := range strings.SplitSeq(events, "\n") {
			if line == "" || line[0] == '#' {
				continue
			}
			s.event(t, line)
		}
		for _, l := range s.lines {
			out.WriteString(l + "\n")
		}
	}
	return out.String()
}

// scene is a scenario under way.
type scene struct {
	w      *world
	config []func(*relay6.Config)
	links  map[string]links.Link // those that are gone
	asked  map[string][]byte     // the last message forwarded, by client
	lines  []string
}

func (s *scene) world(t *testing.T) *world {
	if s.w == nil {
		s.w = newWorld(t, s.config...)
		s.w.trace = func(line string) { s.lines = append(s.lines, line) }
	}
	return s.w
}

func (s *scene) event(t *testing.T, line string) {
	words := strings.Fields(line)
	if words[0] == "config" {
		s.configure(t, words[1:])
		return
	}
	w := s.world(t)
	arg := func(i int) string {
		if i >= len(words) {
			t.Fatalf("%q: too few words", line)
		}
		return words[i]
	}
	switch words[0] {
	case "solicit", "request", "renew", "rebind", "release", "confirm", "decline":
		s.says(t, words)
	case "reply", "advertise", "reconfigure":
		s.answers(t, words)
	case "wait":
		w.sleep(duration(t, arg(1)))
	case "store":
		w.slow, w.keepFail = arg(1) == "slow", nil
		if arg(1) == "fails" {
			w.keepFail = errStoreDown
		}
	case "finish":
		n, err := strconv.Atoi(arg(1))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		w.finish(n)
	case "link":
		s.link(t, arg(1), arg(2))
	case "probed":
		w.probed(arg(1) == "answers")
	case "clear":
		s.clear(t, words[1:])
	case "restart":
		w.restart()
	case "reboot":
		w.reboot(w.now.Wall.Add(duration(t, arg(1))), len(words) < 3)
		w.tick()
	case "list":
		s.lines = append(s.lines, w.delegations()...)
	default:
		t.Fatalf("%q: no such event", line)
	}
}

func duration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (s *scene) configure(t *testing.T, words []string) {
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		number, _ := strconv.Atoi(value)
		s.config = append(s.config, rule(func(r *relay6.LinkRule) {
			p := &r.Delegations
			switch key {
			case "limit":
				p.ClientLimit = number
			case "link-limit":
				p.LinkLimit = number
			case "move":
				p.Move = map[string]delegation.MovePolicy{"follow": delegation.MoveFollow, "probe": delegation.MoveProbe, "deny": delegation.MoveDeny}[value]
			case "on-limit":
				p.OnLimit = delegation.LimitReplaceUnreachable
			case "unique-duid":
				p.UniqueDUID = true
			case "shared":
				r.Shared = true
			case "trusted":
				r.Trusted = true
			default:
				t.Fatalf("no such setting: %s", word)
			}
		}))
	}
}

var types = map[string]dhcp6.MessageType{
	"solicit": dhcp6.Solicit, "request": dhcp6.Request, "renew": dhcp6.Renew, "rebind": dhcp6.Rebind, "release": dhcp6.Release,
	"confirm": dhcp6.Confirm, "decline": dhcp6.Decline, "reply": dhcp6.Reply, "advertise": dhcp6.Advertise, "reconfigure": dhcp6.Reconfigure,
}

func (s *scene) says(t *testing.T, words []string) {
	c, ok := people[words[1]]
	if !ok {
		t.Fatalf("no client %s", words[1])
	}
	options, ldra := iaOptions(t, words[2:])
	b := message(types[words[0]], 1, append([]option{clientID(c.duid)}, options...)...)
	s.lines = append(s.lines, fmt.Sprintf("%s -> relay  %s", words[1], summary(b)))
	if ldra {
		b = throughLDRA(c, b)
	}
	for _, up := range s.w.says(c, b) {
		if up.ToPeer {
			s.asked[words[1]] = up.Payload
		}
	}
}

func (s *scene) answers(t *testing.T, words []string) {
	c, ok := people[words[1]]
	if !ok || s.asked[words[1]] == nil {
		t.Fatalf("%q: %s has asked nothing", words, words[1])
	}
	options, _ := iaOptions(t, words[2:])
	b := message(types[words[0]], 1, append([]option{clientID(c.duid)}, options...)...)
	s.lines = append(s.lines, "srv -> relay  RELAY-REPLY ["+summary(b)+"]")
	s.w.serves(s.w.answer(s.asked[words[1]], b))
}

// iaOptions reads pd=IAID:PREFIX:VALID and na=IAID/ADDRESS/VALID; several
// prefixes of an IA are several words with one IAID.
func iaOptions(t *testing.T, words []string) (options []option, ldra bool) {
	inner := make(map[uint64][]option)
	var order []uint64
	for _, word := range words {
		if word == "ldra" {
			ldra = true
			continue
		}
		body, ok := strings.CutPrefix(word, "pd=")
		if !ok {
			t.Fatalf("%q is no option", word)
		}
		id, lease, leased := strings.Cut(body, ":")
		iaid, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		if _, known := inner[iaid]; !known {
			order, inner[iaid] = append(order, iaid), nil
		}
		if !leased {
			continue
		}
		valid := uint64(0)
		if at := strings.LastIndexByte(lease, ':'); at > strings.IndexByte(lease, '/') {
			if valid, err = strconv.ParseUint(lease[at+1:], 10, 32); err != nil {
				t.Fatalf("%q: %v", word, err)
			}
			lease = lease[:at]
		}
		inner[iaid] = append(inner[iaid], prefix(lease, dhcp6.Lifetime(valid)))
	}
	for _, iaid := range order {
		options = append(options, iaPD(uint32(iaid), inner[iaid]...))
	}
	return options, ldra
}

func (s *scene) link(t *testing.T, name, what string) {
	switch what {
	case "down":
		s.w.setLink(name, func(l *links.Link) { l.Up, l.Running = false, false })
	case "up":
		s.w.setLink(name, func(l *links.Link) { l.Up, l.Running = true, true })
	case "gone":
		s.links[name] = s.w.links[name]
		s.w.removeLink(name)
	case "back":
		s.w.links[name] = s.links[name]
		s.w.setLink(name, nil)
	default:
		t.Fatalf("link %s %s", name, what)
	}
}

func (s *scene) clear(t *testing.T, words []string) {
	var sel delegation.Selection
	block := false
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "link":
			sel.Link = value
		case "client":
			sel.Client = binding.DUID(people[value].duid)
		case "prefix":
			sel.Prefix = cidr(value)
		case "all":
			sel.All = true
		case "block":
			block = true
		default:
			t.Fatalf("clear %s", word)
		}
	}
	s.w.core.Clear(s.w.now, sel, &s.w.eff)
	if block {
		s.w.core.Block(delegation.Block{Prefix: sel.Prefix, Client: sel.Client, Link: sel.Link}, &s.w.eff)
	}
	s.w.carryOut()
}
