package control

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"fairlead/internal/app/api"
)

func noFilter(r *http.Request) (struct{}, error) { return struct{}{}, only(r) }

// only parses the query. It refuses a name that is not among names, or that is there twice.
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

func parseFilter(r *http.Request) (api.Filter, error) {
	if err := only(r, "client", "prefix", "link"); err != nil {
		return api.Filter{}, err
	}
	return filterOf(r.URL.Query())
}

func filterOf(q url.Values) (f api.Filter, err error) {
	f.Link = q.Get("link")
	if text := q.Get("client"); text != "" {
		if f.Client, err = api.ParseIdentifier(text); err != nil {
			return f, fmt.Errorf("%w: client: %w", ErrInvalid, err)
		}
	}
	if text := q.Get("prefix"); text != "" {
		if f.Prefix, err = api.ParsePrefix(text); err != nil {
			return f, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	return f, nil
}

func parseHistoryFilter(r *http.Request) (f api.HistoryFilter, err error) {
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
	f.Limit = api.MaxHistory
	if text := q.Get("limit"); text != "" {
		if f.Limit, err = strconv.Atoi(text); err != nil || f.Limit < 1 || f.Limit > api.MaxHistory {
			return f, fmt.Errorf("%w: limit: %q is not from 1 to %d", ErrInvalid, text, api.MaxHistory)
		}
	}
	return f, nil
}

func parseWhy(r *http.Request) (of api.WhyQuestion, err error) {
	if err := only(r, "client", "link", "link_address", "class", "prefix"); err != nil {
		return of, err
	}
	q := r.URL.Query()
	f, err := filterOf(q)
	if err != nil {
		return of, err
	}
	of.Client, of.Link, of.Prefix, of.Class = f.Client, f.Link, f.Prefix, q.Get("class")
	if text := q.Get("link_address"); text != "" {
		if of.LinkAddress, err = netip.ParseAddr(text); err != nil {
			return of, fmt.Errorf("%w: link_address: %w", ErrInvalid, err)
		}
	}
	switch {
	case of.Client == "":
		return of, fmt.Errorf("%w: why needs a client", ErrInvalid)
	case of.Prefix.IsValid() && of.Prefix.Addr().Is4():
		return of, fmt.Errorf("%w: prefix: only the DHCPv6 server explains", ErrInvalid)
	case of.Link != "" && of.LinkAddress.IsValid():
		return of, fmt.Errorf("%w: why: a link or a link_address, not both", ErrInvalid)
	}
	return of, nil
}

func parseTraceFilter(r *http.Request) (api.TraceFilter, error) {
	if err := only(r, "client", "link"); err != nil {
		return api.TraceFilter{}, err
	}
	f, err := filterOf(r.URL.Query())
	if err != nil {
		return api.TraceFilter{}, err
	}
	if (f.Client == "") == (f.Link == "") {
		return api.TraceFilter{}, fmt.Errorf("%w: trace needs a client or a link", ErrInvalid)
	}
	return api.TraceFilter{Client: f.Client, Link: f.Link}, nil
}
