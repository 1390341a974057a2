package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fairlead/internal/lab"
)

// routedIn checks that an output of `ip -6 route show` has the route to a home's prefix, with the
// home's link-local address as the next hop.
func (h *home) routedIn(text string) error {
	want := fmt.Sprintf("%s via %s dev %s ", h.prefix, h.linkLocal, h.port)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line)+" ", want) {
			return nil
		}
	}
	return fmt.Errorf("no route begins with %q", want)
}

func countLines(text string) int {
	return len(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }))
}

// sameLines compares two lists of lines, in any order.
func sameLines(got, want string) error {
	g, w := strings.Fields(normal(got)), strings.Fields(normal(want))
	if !slices.Equal(g, w) {
		return fmt.Errorf("it was\n%s\nand is\n%s", want, got)
	}
	return nil
}

// normal returns an output of ip or nft in a form in which the order does not matter: its lines,
// and what stands between commas, are sorted.
func normal(text string) string {
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ',' })
	for i := range parts {
		parts[i] = strings.Join(strings.Fields(parts[i]), "_")
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

// counter reads a counter of the filter with nft.
func counter(d *lab.Node, name string) (int, error) {
	out, err := d.Run(counterCommand(name)...)
	if err != nil {
		return 0, err
	}
	return packets(out)
}

func counterCommand(name string) []string {
	return []string{"nft", "list", "counter", "inet", "fairlead", name}
}

func packets(listing string) (int, error) {
	words := strings.Fields(listing)
	i := slices.Index(words, "packets")
	if i < 0 || i+1 == len(words) {
		return 0, fmt.Errorf("nft shows no counter: %q", listing)
	}
	return strconv.Atoi(words[i+1])
}

// rises shows a counter of a node's filter, and checks that it has risen by that many packets.
func (t *tour) rises(d *lab.Node, name string, before, by int) error {
	out, err := t.inBriefly(d, "packets", counterCommand(name)...)
	if err != nil {
		return err
	}
	now, err := packets(out)
	if err == nil {
		err = expect(now == before+by, "it was %d and is %d", before, now)
	}
	return t.check(err, "nft counted them: %q rose from %d to %d", name, before, before+by)
}
