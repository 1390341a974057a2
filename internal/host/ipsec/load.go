package ipsec

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/strongswan/govici/vici"

	"fairlead/internal/core/hop"
)

// loaded tells what charon was given for a connection.
type loaded struct {
	digest [sha256.Size]byte // of the connection and its secrets: another digest means a change
	shared string            // name of its pre-shared key, or of the label of its private key
	key    string            // number of its private key; empty with a pre-shared key
	stale  bool              // charon has refused the connection that should replace this one
}

// Load makes the owner's connections and credentials in strongSwan exactly those of these hops;
// hops with manual keys are skipped. Connections that are no longer wanted are removed first,
// with their SAs. The SAs of a connection that has not changed stay. The SAs of one that has
// changed end, so that no old key or identity stays in use. The SAs of an earlier process end
// too, unless it is known that nothing has changed since.
//
// A hop that strongSwan refuses does not prevent the others from being loaded. The error joins
// the refusals, each a *Refusal.
func (s *Strongswan) Load(ctx context.Context, hops []hop.Hop) error {
	return s.alone(ctx, func() error { return s.load(ctx, hops) })
}

// Unload ends the owner's SAs and takes its connections and credentials away.
func (s *Strongswan) Unload(ctx context.Context) error {
	return s.alone(ctx, func() error { return s.load(ctx, nil) })
}

func (s *Strongswan) load(ctx context.Context, hops []hop.Hop) error {
	s.remember(hops)
	var wanted []*hop.Hop
	for i := range hops {
		if hops[i].IKE != nil {
			wanted = append(wanted, &hops[i])
		}
	}
	if err := s.retire(ctx, wanted); err != nil {
		return err
	}
	keys, err := s.openRing(ctx)
	if err != nil {
		return err
	}
	var refused []error
	for _, h := range wanted {
		keys.spare(h)
		err := s.put(ctx, keys, h)
		if err != nil {
			err = fmt.Errorf("hop %s: %w", h.Name, err)
		}
		if err != nil && !s.session.up() {
			return err
		}
		refused = append(refused, err)
	}
	return errors.Join(append(refused, keys.sweep(ctx))...)
}

func isRefusal(err error) bool {
	var r *Refusal
	return errors.As(err, &r)
}

// retire removes the connections of hops that are not wanted, and all SAs that belong to no
// wanted hop.
func (s *Strongswan) retire(ctx context.Context, wanted []*hop.Hop) error {
	wants := make(map[string]bool, len(wanted))
	for _, h := range wanted {
		wants[s.owner.ConnectionName(h.Name)] = true
	}
	maps.DeleteFunc(s.loaded, func(name string, _ loaded) bool { return !wants[name] })
	names, err := s.connections(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !wants[name] {
			if err := s.unloadConnection(ctx, name); err != nil {
				return err
			}
		}
	}
	sas, err := s.sas(ctx)
	if err != nil {
		return err
	}
	for i := range sas {
		if name := s.owner.ConnectionName(sas[i].Hop); !wants[name] {
			if err := s.terminate(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// put loads a hop's credentials and its connection.
func (s *Strongswan) put(ctx context.Context, keys *ring, h *hop.Hop) error {
	name := s.owner.ConnectionName(h.Name)
	body, err := message(s.owner.Connection(h))
	if err != nil {
		return err
	}
	connection, err := parameters(name, body)
	if err != nil {
		return err
	}
	made := s.made(h, connection)
	keys.used[made] = true
	if err := keys.doubt(ctx, h, made); err != nil {
		return err
	}
	old, known := s.loaded[name]
	if known {
		aged := old
		aged.stale = true
		s.loaded[name] = aged
	}
	now, err := keys.load(ctx, h)
	if err != nil {
		return err
	}
	if _, err := s.session.call(ctx, "load-conn", connection); err != nil {
		return err
	}
	now.digest = digestOf(connection, h.IKE)
	same := old.digest == now.digest
	if !known {
		same = slices.Contains(keys.shared, made)
	}
	if !same {
		// They may still be listed for a while.
		sas, err := s.sas(ctx)
		if err != nil {
			return err
		}
		for i := range sas {
			if sas[i].Hop == h.Name {
				s.outdated[sas[i].ID] = true
			}
		}
		if err := s.terminate(ctx, name); err != nil {
			return err
		}
	}
	s.loaded[name] = now
	return keys.vouch(ctx, made)
}

func digestOf(connection *vici.Message, i *hop.IKE) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range []string{connection.String(), string(i.PSK), string(i.Key)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// unloadConnection removes a connection and its traps. Its SAs stay.
func (s *Strongswan) unloadConnection(ctx context.Context, name string) error {
	delete(s.loaded, name)
	in, err := parameters("name", name)
	if err != nil {
		return err
	}
	_, err = s.session.call(ctx, "unload-conn", in)
	return unlessGone(err)
}

// unlessGone turns a refusal into success, where what was to be removed may not be there.
func unlessGone(err error) error {
	if isRefusal(err) {
		return nil
	}
	return err
}

// terminate ends all SAs of a hop at once, without waiting for the peer.
func (s *Strongswan) terminate(ctx context.Context, name string) error {
	in, err := parameters("ike", name, "force", "yes", "timeout", "-1")
	if err != nil {
		return err
	}
	_, err = s.session.call(ctx, "terminate", in)
	return unlessGone(err) // there may be none
}

// Terminate ends IKE SAs, by the numbers that Observe gave them. It does not wait for the peer.
func (s *Strongswan) Terminate(ctx context.Context, ike ...uint32) error {
	return s.alone(ctx, func() error {
		for _, id := range ike {
			in, err := parameters("ike-id", strconv.FormatUint(uint64(id), 10), "force", "yes", "timeout", "-1")
			if err != nil {
				return err
			}
			if _, err := s.session.call(ctx, "terminate", in); unlessGone(err) != nil {
				return err
			}
		}
		return nil
	})
}

// Reinstall ends all SAs of a hop and loads its connection again, so that its policies are in the
// kernel again.
func (s *Strongswan) Reinstall(ctx context.Context, h *hop.Hop) error {
	return s.alone(ctx, func() error {
		name := s.owner.ConnectionName(h.Name)
		if err := s.terminate(ctx, name); err != nil {
			return err
		}
		if err := s.unloadConnection(ctx, name); err != nil {
			return err
		}
		keys, err := s.openRing(ctx)
		if err != nil {
			return err
		}
		if err := s.put(ctx, keys, h); err != nil {
			return fmt.Errorf("hop %s: %w", h.Name, err)
		}
		return nil
	})
}

// Initiate has strongSwan negotiate an SA for one selector of a hop. It does not wait for the
// result: Events and Observe tell it.
func (s *Strongswan) Initiate(ctx context.Context, h *hop.Hop, selector string) error {
	return s.alone(ctx, func() error {
		in, err := parameters("ike", s.owner.ConnectionName(h.Name), "child", selector, "timeout", "-1")
		if err != nil {
			return err
		}
		if _, err := s.session.call(ctx, "initiate", in); err != nil {
			return fmt.Errorf("hop %s: %w", h.Name, err)
		}
		return nil
	})
}
