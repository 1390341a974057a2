package control

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

func noFilter(r *http.Request) (struct{}, error) { return struct{}{}, only(r) }

// only parses the query and refuses what is not among names, or there twice.
func only(r *http.Request, names ...string) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("%w: query: %w", ErrInvalid, err)
	}
next:
	for given, v := range values {
		for _, n := range names {
			if given == n && len(v) == 1 {
				continue next
			}
		}
		return fmt.Errorf("%w: query: %q is unknown here, or there twice", ErrInvalid, given)
	}
	return nil
}

func parseFilter(r *http.Request) (Filter, error) {
	if err := only(r, "client", "prefix", "link"); err != nil {
		return Filter{}, err
	}
	return filterOf(r.URL.Query())
}

func filterOf(q url.Values) (f Filter, err error) {
	f.Link = q.Get("link")
	if text := q.Get("client"); text != "" {
		if f.Client, err = ParseDUID(text); err != nil {
			return f, fmt.Errorf("%w: client: %w", ErrInvalid, err)
		}
	}
	if text := q.Get("prefix"); text != "" {
		if f.Prefix, err = ParsePrefix(text); err != nil {
			return f, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return f, nil
}

// ParsePrefix reads an IPv6 prefix, or an address, which stands for its /128.
// Bits beyond the length are refused: they are mistakes.
func ParsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, errAddr := netip.ParseAddr(text)
		if errAddr != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("prefix %q: neither a prefix nor an address", text)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if !p.Addr().Is6() || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("prefix %q: not IPv6", text)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("prefix %q: bits are set beyond its length (%s?)", text, p.Masked())
	}
	return p, nil
}

func parseHistoryFilter(r *http.Request) (f HistoryFilter, err error) {
	if err := only(r, "client", "prefix", "link", "from", "to", "limit"); err != nil {
		return f, err
	}
	q := r.URL.Query()
	if f.Filter, err = filterOf(q); err != nil {
		return f, err
	}
	for name, into := range map[string]*time.Time{"from": &f.From, "to": &f.To} {
		if text := q.Get(name); text != "" {
			if *into, err = time.Parse(time.RFC3339, text); err != nil {
				return f, fmt.Errorf("%w: %s: %w", ErrInvalid, name, err)
			}
		}
	}
	f.Limit = MaxHistory
	if text := q.Get("limit"); text != "" {
		if f.Limit, err = strconv.Atoi(text); err != nil || f.Limit < 1 || f.Limit > MaxHistory {
			return f, fmt.Errorf("%w: limit: %q is not from 1 to %d", ErrInvalid, text, MaxHistory)
		}
	}
	return f, nil
}

func parseTraceFilter(r *http.Request) (TraceFilter, error) {
	if err := only(r, "client", "link"); err != nil {
		return TraceFilter{}, err
	}
	f, err := filterOf(r.URL.Query())
	if err != nil {
		return TraceFilter{}, err
	}
	if (f.Client == "") == (f.Link == "") {
		return TraceFilter{}, fmt.Errorf("%w: trace needs a client or a link", ErrInvalid)
	}
	return TraceFilter{Client: f.Client, Link: f.Link}, nil
}

// check refuses a request that names nothing, or everything by accident.
func (r ClearRequest) check() error {
	named := r.Prefix.IsValid() || r.Client != "" || r.Link != ""
	switch {
	case r.Prefix.IsValid() && r.Prefix != r.Prefix.Masked():
		return fmt.Errorf("%w: prefix: bits are set beyond its length", ErrInvalid)
	case r.All && named:
		return fmt.Errorf("%w: all goes with nothing else", ErrInvalid)
	case r.All && r.Block: // a Reply is no less forwarded for it (G-1): every client would have a prefix and no route
		return fmt.Errorf("%w: all cannot be blocked", ErrInvalid)
	case !r.All && !named:
		return fmt.Errorf("%w: clear needs a prefix, a client, a link or all", ErrInvalid)
	}
	return nil
}

func (r ClearRequest) attrs() []slog.Attr {
	a := selectionAttrs(r.Prefix, r.Client, r.Link)
	if r.All {
		a = append(a, slog.Bool("all", true))
	}
	if r.Block {
		a = append(a, slog.Bool("block", true))
	}
	return a
}

func (r ClearResult) attrs() []slog.Attr { return []slog.Attr{slog.Int("cleared", r.Cleared)} }

func (b Block) check() error {
	if !b.Prefix.IsValid() && b.Client == "" && b.Link == "" {
		return fmt.Errorf("%w: unblock needs a prefix, a client or a link", ErrInvalid)
	}
	return nil
}

func (b Block) attrs() []slog.Attr { return selectionAttrs(b.Prefix, b.Client, b.Link) }

func selectionAttrs(p netip.Prefix, client DUID, link string) []slog.Attr {
	var a []slog.Attr
	if p.IsValid() {
		a = append(a, slog.String("prefix", p.String()))
	}
	if client != "" {
		a = append(a, slog.String("client", client.String()))
	}
	if link != "" {
		a = append(a, slog.String("link", link))
	}
	return a
}
