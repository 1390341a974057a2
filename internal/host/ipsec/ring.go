package ipsec

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fairlead/internal/core/hop"
)

// ring has the credentials of the owner in charon.
//
// In charon, shared keys have names, and private keys have only a number, the digest of the
// public key. To know later, and after a restart of ours, that we loaded a private key, we load a
// label: a shared key whose name has that number. The key of a label is random, and no peer uses
// it. A private key that was there before us has no label, and stays.
type ring struct {
	s      *Strongswan
	shared []string // names of all shared keys, whoever has loaded them
	keys   []string // numbers of all private keys, whoever has loaded them
	used   map[string]bool
}

// keyTail separates the owner from the number of the key in the name of a label.
const keyTail = "~key~"

func (s *Strongswan) openRing(ctx context.Context) (*ring, error) {
	r := &ring{s: s, used: make(map[string]bool)}
	out, err := s.session.call(ctx, "get-shared", nil)
	if err != nil {
		return nil, err
	}
	r.shared = list(out, "keys")
	if out, err = s.session.call(ctx, "get-keys", nil); err != nil {
		return nil, err
	}
	r.keys = list(out, "keys")
	return r, nil
}

// label is the name of the label for a private key.
func (r *ring) label(key string) string { return r.s.owner.Prefix() + keyTail + key }

// spare has sweep keep the credentials of a hop.
func (r *ring) spare(h *hop.Hop) {
	if shared, is := r.s.owner.Shared(h); is {
		r.used[shared.ID] = true
	} else if key, err := h.IKE.KeyID(); err == nil {
		r.used[r.label(key)] = true
	}
}

// has reports whether the credentials of a connection are still there. Other administrators'
// programs may remove all that they do not know: swanctl's --load-creds does.
func (r *ring) has(l *loaded) bool {
	if l.key != "" {
		return slices.Contains(r.keys, l.key)
	}
	return slices.Contains(r.shared, l.shared)
}

// load gives charon a hop's pre-shared or private key, in place of the one that the hop had
// before.
func (r *ring) load(ctx context.Context, h *hop.Hop) (loaded, error) {
	if shared, is := r.s.owner.Shared(h); is {
		return loaded{shared: shared.ID}, r.put(ctx, shared.ID, "IKE", string(shared.Key), shared.Owners)
	}
	key, err := h.IKE.KeyID()
	if err != nil {
		return loaded{}, err
	}
	if err := r.own(ctx, key); err != nil {
		return loaded{}, err
	}
	return loaded{shared: r.label(key), key: key}, r.putKey(ctx, key, h.IKE.Key)
}

func (r *ring) putKey(ctx context.Context, key string, secret hop.Secret) error {
	in, err := parameters("type", "any", "data", string(secret))
	if err != nil {
		return err
	}
	out, err := r.s.session.call(ctx, "load-key", in)
	if err != nil {
		return err
	}
	got := text(out, "id")
	if got == key {
		return nil
	}
	if !slices.Contains(r.keys, got) {
		err = r.remove(ctx, "unload-key", got)
	}
	return errors.Join(fmt.Errorf("private key: is not that of the certificate: its identifier is %s, not %s", got, key), err)
}

// own labels a private key as ours, unless another program has loaded it.
func (r *ring) own(ctx context.Context, key string) error {
	if slices.Contains(r.keys, key) && len(r.labels(key)) == 0 {
		return nil
	}
	return r.loadLabel(ctx, r.label(key))
}

// labels are the labels of a private key, those of other owners included.
func (r *ring) labels(key string) []string {
	return slices.DeleteFunc(slices.Clone(r.shared), func(n string) bool { return !strings.HasSuffix(n, keyTail+key) })
}

func (r *ring) put(ctx context.Context, name, kind, data string, owners []string) error {
	in, err := parameters("id", name, "type", kind, "data", data, "owners", owners)
	if err != nil {
		return err
	}
	_, err = r.s.session.call(ctx, "load-shared", in)
	return err
}

// sweep removes the credentials that no hop uses any more.
func (r *ring) sweep(ctx context.Context) error {
	for _, name := range r.shared {
		if !r.s.ours(name) || r.used[name] {
			continue
		}
		_, key, is := strings.Cut(name, keyTail)
		if is && len(r.labels(key)) == 1 {
			if err := r.remove(ctx, "unload-key", key); err != nil {
				return err
			}
		}
		if err := r.remove(ctx, "unload-shared", name); err != nil {
			return err
		}
	}
	return nil
}

func (r *ring) remove(ctx context.Context, command, id string) error {
	in, err := parameters("id", id)
	if err != nil {
		return err
	}
	_, err = r.s.session.call(ctx, command, in)
	return unlessGone(err)
}
