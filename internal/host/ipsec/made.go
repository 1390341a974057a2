package ipsec

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/strongswan/govici/vici"

	"fairlead/internal/core/hop"
)

// After a restart we must still know which credentials the SAs of a connection were made with,
// because SAs that an old key made must end. charon does not tell secrets, but it tells the names
// of shared keys. So we load a label for each connection whose SAs were all made with what is
// loaded now: a shared key that is random and has no other use. Its name says what the SAs were
// made with. The name has a digest of the connection with its certificates, and of the edition of
// a pre-shared key. It has no digest of the key itself, which would let everybody who sees the
// name try keys.
//
// We unload the label before we change anything, and load it once the old SAs have ended. So a
// label that is there is true, wherever we were interrupted. When charon ends, the label is gone,
// and so are the SAs.

// madeTail separates the owner from the connection; the name ends with this many digits of the
// digest.
const (
	madeTail     = "~made~"
	digestLength = 32
)

// made is the name of the label that says what a hop's SAs are made with; empty where that cannot
// be said.
func (s *Strongswan) made(h *hop.Hop, connection *vici.Message) string {
	if !h.IKE.Public() && h.IKE.Edition == "" {
		return ""
	}
	sum := sha256.New()
	for _, part := range []string{connection.String(), h.IKE.Edition} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return s.madeOf(h) + hex.EncodeToString(sum.Sum(nil))[:digestLength]
}

// madeOf is the beginning of every such name of a hop.
func (s *Strongswan) madeOf(h *hop.Hop) string {
	return s.owner.Prefix() + madeTail + strings.TrimPrefix(s.owner.ConnectionName(h.Name), s.owner.Prefix()) + "~"
}

// doubt unloads the labels which say that a hop's SAs are made with something else.
func (r *ring) doubt(ctx context.Context, h *hop.Hop, made string) error {
	begins := r.s.madeOf(h)
	for _, name := range r.shared {
		if name == made || !strings.HasPrefix(name, begins) || len(name) != len(begins)+digestLength {
			continue
		}
		if err := r.remove(ctx, "unload-shared", name); err != nil {
			return err
		}
	}
	return nil
}

// vouch loads the label which says that all SAs of a hop are made with what is loaded.
func (r *ring) vouch(ctx context.Context, made string) error {
	if made == "" || slices.Contains(r.shared, made) {
		return nil
	}
	return r.loadLabel(ctx, made)
}

// loadLabel loads a random shared key that no peer uses. Only its name matters.
func (r *ring) loadLabel(ctx context.Context, name string) error {
	octets := make([]byte, 32)
	if _, err := rand.Read(octets); err != nil {
		return fmt.Errorf("strongswan: random octets: %w", err)
	}
	return r.put(ctx, name, "PPK", string(octets), []string{name})
}
