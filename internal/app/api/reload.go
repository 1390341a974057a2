package api

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// ReloadRequest asks the process to read its configuration file again.
type ReloadRequest struct {
	DryRun bool `json:"dry_run,omitempty"` // tell what would change, and change nothing
	Force  bool `json:"force,omitempty"`   // reload even where links with delegations lose their rule
}

// ReloadResult is what a reload has changed, or would change.
type ReloadResult struct {
	Reloaded bool `json:"reloaded"` // false: it was a dry run
	// Refused is set by a dry run: why the reload would be refused unless it is forced. Empty: it
	// would not be refused.
	Refused  string       `json:"refused,omitempty"`
	Peers    []PeerChange `json:"peers"`
	Links    []LinkChange `json:"links"`
	Settings []string     `json:"settings"` // other keys of the file whose values differ
	// Unmatched are links with delegations that no rule matches afterwards.
	Unmatched []LinkHoldings `json:"unmatched"`
	Warnings  []string       `json:"warnings"` // of the configuration, each with its place in the file
}

// PeerChange tells what happens to a peer: it is "added", "removed" or "changed".
type PeerChange struct {
	Peer   string `json:"peer"`
	Change string `json:"change"`
}

// LinkChange tells what happens to a link. It is "gained" where it faces clients from now on,
// "lost" where it does so no longer, and "changed" where its rule has changed.
type LinkChange struct {
	LinkHoldings
	Role   string      `json:"role"` // role whose clients are on the link
	Change string      `json:"change"`
	Keys   []KeyChange `json:"keys,omitempty"` // keys of the rule that have changed
}

// The values of LinkChange.Change.
const (
	LinkGained  = "gained"
	LinkLost    = "lost"
	LinkChanged = "changed"
)

// KeyChange is a key of a rule with its value before and after.
type KeyChange struct {
	Key string `json:"key"`
	Old string `json:"old"`
	New string `json:"new"`
}

// LinkHoldings is how many delegations a link has.
type LinkHoldings struct {
	Link      string `json:"link"`
	Prefixes  int    `json:"prefixes"`
	Addresses int    `json:"addresses"`
}

func (h LinkHoldings) String() string {
	var words []string
	for _, w := range []struct {
		n         int
		one, many string
	}{{h.Prefixes, "prefix", "prefixes"}, {h.Addresses, "address", "addresses"}} {
		switch {
		case w.n == 1:
			words = append(words, "1 "+w.one)
		case w.n > 1:
			words = append(words, fmt.Sprintf("%d %s", w.n, w.many))
		}
	}
	if words == nil {
		return h.Link
	}
	return fmt.Sprintf("%s (%s)", h.Link, strings.Join(words, ", "))
}

// maxNamed bounds the links that one text names.
const maxNamed = 16

// HoldingsText names links with the number of their delegations. Where there are very many links,
// it names the first ones.
func HoldingsText(links []LinkHoldings) string {
	var words []string
	for i, l := range links {
		if i == maxNamed {
			words = append(words, fmt.Sprintf("%d more links", len(links)-i))
			break
		}
		words = append(words, l.String())
	}
	return strings.Join(words, ", ")
}

// LossError refuses a reload by which links with delegations would lose their rule, and their
// delegations would lose route and filter with it.
type LossError struct{ Links []LinkHoldings }

func (e *LossError) Error() string {
	return fmt.Sprintf("no rule would match these links with delegations any more, which would lose their routes and filters: %s (correct match; or use \"fairlead reload --force\" if it is meant)", HoldingsText(e.Links))
}

// Check refuses a request that contradicts itself.
func (r ReloadRequest) Check() error {
	if r.DryRun && r.Force {
		return errors.New("dry_run and force: one of them")
	}
	return nil
}

// Attrs is the request for logs.
func (r ReloadRequest) Attrs() []slog.Attr {
	var a []slog.Attr
	if r.DryRun {
		a = append(a, slog.Bool("dry_run", true))
	}
	if r.Force {
		a = append(a, slog.Bool("force", true))
	}
	return a
}

// Attrs are the figures of a reload for logs. Where Links is nil, because the process has no
// links, they are only the number of peers that have changed.
func (r *ReloadResult) Attrs() []slog.Attr {
	a := []slog.Attr{slog.Int("peers_changed", len(r.Peers))}
	if r.Links == nil {
		return a
	}
	for _, change := range []string{LinkGained, LinkLost, LinkChanged} {
		n := 0
		for i := range r.Links {
			if r.Links[i].Change == change {
				n++
			}
		}
		a = append(a, slog.Int("links_"+change, n))
	}
	return append(a, slog.Int("settings_changed", len(r.Settings)), slog.Int("links_unmatched", len(r.Unmatched)))
}
