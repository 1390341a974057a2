package relays

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"fairlead/internal/lab"
	"fairlead/internal/lab/relay"
	"fairlead/tools/bench/harness"
	"fairlead/tools/bench/network"
)

func (s *Suite) isOurs(who string) bool { return s.programs[who] != "" }

// network builds a network, which the end of the run closes if nothing else has.
func (s *role) network(who string, switched bool) (*network.Network, error) {
	harness.Say("%s: a network", who)
	return network.New(s.Run, network.Options{
		Generator: s.Fairlead, Family: s.family, Needs: s.contender(who).adds, Pinned: true, Switched: switched,
	})
}

// plan says how a fairlead is started.
type plan struct {
	name string // the name of the program among the contenders
	// protected keeps the default limits on rates. Without it, any number of messages may come by
	// the link.
	protected bool
	// others are links that are served beside d0.
	others []string
	// under is a command that runs the program, such as strace.
	under []string
}

// configuration does not log grants, because the output of the other relays is discarded too.
func (s *role) configuration(n *network.Network, p plan) string {
	var links strings.Builder
	for _, link := range append([]string{"d0"}, p.others...) {
		fmt.Fprintf(&links, "    - match: %s\n", link)
	}
	at := network.AddressesOf(s.family)
	text := fmt.Sprintf(`state: %s
log:
  level: warn
peers:
  - name: server
    address: %s
    local: %s
    role: server
    interfaces: [u0]
    protection: none
%s  links:
%s`, s.state(n, p), at.Server, at.Relay, s.configure(p), links.String())
	if p.name == before {
		text = renamed(text, s.keys)
	}
	return text
}

// section6 has strict filters, the loop drop, and no limit for the delegations on the one link.
func section6(p plan) string {
	return `relay6:
  defaults:
    filter: strict
    loop-drop: drop
    limits:
      link: 10000000
` + p.rates()
}

// section4 adds option 82 with circuit-id and relay-id, and has no limit for the leases on the
// one link.
func section4(p plan) string {
	return `relay4:
  defaults:
    agent-information: add
    limits:
      link: 10000000
` + p.rates()
}

// rates returns the keys that remove the limits on rates, unless the plan keeps them.
func (p plan) rates() string {
	if p.protected {
		return ""
	}
	return `    rate:
      link: unlimited
      source: unlimited
      newcomers: unlimited
`
}

// state returns the folder of a fairlead's store, on the file system of the run's folder.
func (s *role) state(n *network.Network, p plan) string {
	return filepath.Join(s.Folder, n.Relay.Namespace, p.name)
}

// start starts a fairlead and waits until it is ready.
func (s *role) start(n *network.Network, p plan) (*relay.Relay, error) {
	state := s.state(n, p)
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, err
	}
	wrapper := state + ".sh"
	under := strings.Join(harness.Pinned(network.RelayCore, p.under...), " ")
	text := fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", under, s.programs[p.name])
	if err := os.WriteFile(wrapper, []byte(text), 0o755); err != nil {
		return nil, err
	}
	f, err := relay.New(n.Relay, relay.Config{Binary: wrapper, Name: p.name, Text: s.configuration(n, p)})
	if err != nil {
		return nil, err
	}
	if err := f.Start(); err != nil {
		return nil, err
	}
	n.Processes = []*lab.Proc{f.Proc()}
	return f, nil
}

// fill makes so many clients get a lease, from number 0 on, and checks that the relay has all of
// them.
func (s *role) fill(n *network.Network, f *relay.Relay, clients int) error {
	_, err := n.Play(network.Load{Clients: clients, Prepare: clients, Mix: s.ask, Window: 1, Count: 1})
	if err != nil {
		return err
	}
	got, err := s.held(n, f)
	if err == nil && got != clients {
		err = fmt.Errorf("fill: the relay has %d leases of %d clients", got, clients)
	}
	return err
}

// onView returns how many IPv4 leases fairlead has on view.
func onView(_ *network.Network, f *relay.Relay) (int, error) {
	status, body, err := f.Call("GET", "/v1/relay4", "")
	if err != nil {
		return 0, err
	}
	var view struct{ Leases int }
	if err := json.Unmarshal(body, &view); err != nil || status != http.StatusOK {
		return 0, fmt.Errorf("/v1/relay4: status %d: %s: %w", status, body, err)
	}
	return view.Leases, nil
}

// routes returns how many routes fairlead has in the main table.
func routes(n *network.Network) (int, error) {
	out, err := n.Relay.IP("-6 route show proto 87")
	return strings.Count(out, "\n"), err
}

// elements counts the prefixes of 56 bits that fairlead's filter permits: strict from one
// link-layer address each, loose from the whole link. A delegation is loose if its client's
// link-layer address was not known.
func elements(n *network.Network) (strict, loose int) {
	count := func(set string) int {
		out, err := n.Relay.Run("nft", "list", "set", "inet", "fairlead", set)
		if err != nil {
			return 0 // such a set exists once it has an element
		}
		return strings.Count(out, `"d0"`)
	}
	return count("source-strict-56"), count("source-link-56")
}

// loaded is a fairlead in a network, with delegations.
type loaded struct {
	*network.Network
	fairlead *relay.Relay
	fresh    int // the number of the next client to which nothing was granted yet
}

// Numbers of clients that do not have a delegation yet.
const (
	coldNumbers  = 2_000_000
	warmNumbers  = 3_000_000
	manyNumbers  = 4_000_000
	freshNumbers = 5_000_000
	floodNumbers = 0x7000_0000
)

// load starts a fairlead with so many delegations.
func (s *role) load(p plan, switched bool, clients int) (*loaded, error) {
	n, err := s.network(p.name, switched)
	if err != nil {
		return nil, err
	}
	if err := n.Know(0); err != nil {
		return nil, err
	}
	f, err := s.start(n, p)
	if err != nil {
		return nil, err
	}
	if clients > 0 {
		err = s.fill(n, f, clients)
	}
	return &loaded{n, f, freshNumbers}, err
}

// single is a bench of fairlead alone, with as many delegations as the option asks for. All such
// benches use the same process. If two versions take turns, the one that waits is stopped.
func (s *role) single(name string, turn func(l *loaded, who string, round int, to *harness.Results) error, bar harness.Bar) harness.Bench {
	return harness.Bench{
		Name: s.bench(name), Between: s.fairleads(), Bars: []harness.Bar{bar},
		Begin: func(who string) (err error) {
			if s.loaded[who] == nil {
				if s.loaded[who], err = s.load(plan{name: who}, false, s.present); err == nil {
					err = s.loaded[who].Rest()
				}
			}
			return err
		},
		Turns: []harness.Turn{func(who string, round int, to *harness.Results) error {
			l := s.loaded[who]
			return l.InTurn(func() error { return turn(l, who, round, to) })
		}},
	}
}

// unload ends the fairleads that benches share: even an idle relay sometimes compares its routes,
// which costs time.
func (s *role) unload() error {
	var errs []error
	for _, l := range s.loaded {
		errs = append(errs, l.Close())
	}
	clear(s.loaded)
	return errors.Join(errs...)
}

// grant makes so many new clients ask for a prefix each, and checks that there are as many new
// routes.
func (l *loaded) grant(count, window int) (network.Result, error) {
	before, err := routes(l.Network)
	if err != nil {
		return network.Result{}, err
	}
	res, err := l.Play(network.Load{Clients: count, First: l.fresh, Count: count, Mix: "request=1", Window: window})
	if err != nil {
		return res, err
	}
	l.fresh += count
	after, err := routes(l.Network)
	if got := after - before; err == nil && got < res.Answered {
		err = fmt.Errorf("%d clients were granted something, and %d routes came", res.Answered, got)
	}
	return res, err
}

// clear ends all delegations, and waits until their routes are gone.
func (l *loaded) clear() error {
	if _, err := l.fairlead.CLI("clear", "--all"); err != nil {
		return err
	}
	var left int
	var err error
	late := lab.Until(network.Patience, "all routes are gone", func() bool {
		left, err = routes(l.Network)
		return err != nil || left == 0
	})
	return errors.Join(err, late)
}
