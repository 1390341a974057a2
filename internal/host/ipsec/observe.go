package ipsec

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongswan/govici/vici"

	"fairlead/internal/core/hop"
)

// Observe reads what strongSwan has of the owner at this moment. It lists the connections that
// this Strongswan has loaded and whose credentials are there too. Those of an earlier process are
// to be loaded again, which ends no SA. An error says that strongSwan could not be asked.
func (s *Strongswan) Observe(ctx context.Context) (hop.Charon, error) {
	var seen hop.Charon
	err := s.alone(ctx, func() (err error) {
		if seen.Connections, err = s.whole(ctx); err != nil {
			return err
		}
		seen.IKE, err = s.sas(ctx)
		return err
	})
	if err != nil {
		return hop.Charon{}, err
	}
	return seen, nil
}

// whole are the hops whose connections and credentials are both there.
func (s *Strongswan) whole(ctx context.Context) (hops []string, err error) {
	names, err := s.connections(ctx)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	keys, err := s.openRing(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if l, known := s.loaded[name]; known && !l.stale && keys.has(&l) {
			hops = append(hops, s.hopOf(name))
		}
	}
	return hops, nil
}

// hopOf is the name of the hop that a connection of ours belongs to.
func (s *Strongswan) hopOf(connection string) string {
	return strings.ReplaceAll(strings.TrimPrefix(connection, s.owner.Prefix()), "~", ".")
}

func (s *Strongswan) ours(name string) bool { return strings.HasPrefix(name, s.owner.Prefix()) }

// connections are the names of our connections that are loaded, in order.
func (s *Strongswan) connections(ctx context.Context) ([]string, error) {
	out, err := s.session.call(ctx, "get-conns", nil)
	if err != nil {
		return nil, err
	}
	names := slices.DeleteFunc(slices.Clone(list(out, "conns")), func(n string) bool { return !s.ours(n) })
	slices.Sort(names)
	return names, nil
}

// sas are the IKE SAs of our connections, in the order of their numbers.
func (s *Strongswan) sas(ctx context.Context) ([]hop.IKESA, error) {
	var all []hop.IKESA
	err := s.session.stream(ctx, "list-sas", "list-sa", nil, func(m *vici.Message) error {
		for _, name := range m.Keys() {
			if s.ours(name) {
				all = append(all, ikeSA(s.hopOf(name), section(m, name)))
			}
		}
		return nil
	})
	slices.SortFunc(all, func(a, b hop.IKESA) int { return int(a.ID) - int(b.ID) })
	if err != nil {
		return nil, err
	}
	listed := make(map[uint32]bool, len(s.outdated))
	for i := range all {
		if all[i].Outdated = s.outdated[all[i].ID]; all[i].Outdated {
			listed[all[i].ID] = true
		}
	}
	s.outdated = listed
	return all, nil
}

func ikeSA(name string, m *vici.Message) hop.IKESA {
	sa := hop.IKESA{
		Hop:         name,
		ID:          number(m, "uniqueid"),
		Established: text(m, "state") == "ESTABLISHED",
		Age:         seconds(m, "established"),
		Probing:     slices.Contains(list(m, "tasks-active"), "IKE_DPD"),
	}
	children := section(m, "child-sas")
	for _, key := range children.Keys() {
		sa.Children = append(sa.Children, childSA(section(children, key)))
	}
	slices.SortFunc(sa.Children, func(a, b hop.ChildSA) int { return int(a.ID) - int(b.ID) })
	return sa
}

func childSA(m *vici.Message) hop.ChildSA {
	return hop.ChildSA{
		Selector:   text(m, "name"),
		ID:         number(m, "uniqueid"),
		Installed:  text(m, "state") == "INSTALLED",
		SPIIn:      spi(m, "spi-in"),
		SPIOut:     spi(m, "spi-out"),
		Algorithms: algorithms(m),
		Age:        seconds(m, "install-time"),
		In:         hop.Traffic{Packets: large(m, "packets-in"), Bytes: large(m, "bytes-in")},
		Out:        hop.Traffic{Packets: large(m, "packets-out"), Bytes: large(m, "bytes-out")},
	}
}

// algorithms writes them as strongSwan does: "AES_GCM_16-256", "AES_CBC-128/HMAC_SHA2_256_128".
func algorithms(m *vici.Message) string {
	name := func(alg, size string) string {
		a := text(m, alg)
		if n := text(m, size); a != "" && n != "" {
			a += "-" + n
		}
		return a
	}
	all := []string{name("encr-alg", "encr-keysize"), name("integ-alg", "integ-keysize")}
	return strings.Join(slices.DeleteFunc(all, func(a string) bool { return a == "" }), "/")
}

// A number that strongSwan does not give, or that is not a number, is 0.

func number(m *vici.Message, key string) uint32 {
	n, _ := strconv.ParseUint(text(m, key), 10, 32)
	return uint32(n)
}

func large(m *vici.Message, key string) uint64 {
	n, _ := strconv.ParseUint(text(m, key), 10, 64)
	return n
}

func spi(m *vici.Message, key string) uint32 {
	n, _ := strconv.ParseUint(text(m, key), 16, 32)
	return uint32(n)
}

func seconds(m *vici.Message, key string) time.Duration {
	return time.Duration(number(m, key)) * time.Second
}
