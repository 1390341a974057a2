package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/token"
)

// layout reports mistakes with spaces, which the parser would report in another place or in other
// words. It returns whether the parser may be asked.
func (d *decoder) layout(text string, tokens token.Tokens) bool {
	before := len(d.problems)
	lines := strings.Split(text, "\n")
	words := slices.DeleteFunc(slices.Clone(tokens), func(t *token.Token) bool { return t.Type == token.CommentType })
	d.oddSpaces(lines, words)
	d.missingSpaces(words)
	if len(d.problems) == before {
		d.indentation(lines, words)
	}
	return len(d.problems) == before
}

// oddSpaces reports characters that look like a space, or cannot be seen, and are text for YAML.
func (d *decoder) oddSpaces(lines []string, words token.Tokens) {
	for i, t := range words {
		if !isPlain(t) || strings.IndexFunc(t.Value, isOddSpace) < 0 {
			continue
		}
		last := len(lines)
		if i+1 < len(words) {
			last = min(last, words[i+1].Position.Line)
		}
		for line := t.Position.Line; line <= last; line++ {
			from := 1
			if line == t.Position.Line {
				from = t.Position.Column
			}
			if column, r := oddSpaceIn(lines[line-1], from); r != 0 {
				d.add(line, column, "", "the character U+%04X, which looks like a space or like nothing and is neither (a space, or quotes around the text)", r)
				break
			}
		}
	}
}

// oddSpaceIn returns the first such character of a line from a column on, and column 0 if there
// is none.
func oddSpaceIn(line string, from int) (column int, r rune) {
	for _, r := range line {
		column++
		if column >= from && isOddSpace(r) {
			return column, r
		}
	}
	return 0, 0
}

func isOddSpace(r rune) bool {
	return r > unicode.MaxASCII && (unicode.IsSpace(r) || unicode.Is(unicode.Zs, r) || unicode.Is(unicode.Cf, r))
}

var (
	// joined matches a key without a space after its colon; dashed matches a key without a space
	// between a dash and the key.
	joined = regexp.MustCompile(`^([a-z][a-z0-9-]*):[^\s:\p{Z}\p{Cf}]`)
	dashed = regexp.MustCompile(`^-([a-z][a-z0-9-]*)(:|$)`)
)

// missingSpaces reports keys without a space after the colon. YAML takes them for a text that
// continues in the next line.
func (d *decoder) missingSpaces(words token.Tokens) {
	for i, t := range words {
		if t.Type != token.StringType || !keyMayStart(words, i) {
			continue
		}
		if m := dashed.FindStringSubmatch(t.Value); m != nil && slices.Contains(knownKeys, m[1]) {
			d.at(t, "no space between the dash and %q", m[1])
		} else if m := joined.FindStringSubmatch(t.Value); m != nil && slices.Contains(knownKeys, m[1]) {
			d.at(t, "no space after the colon of %q (%s: and a space before the value)", m[1], m[1])
		}
	}
}

// keyMayStart reports whether a key could stand in the place of the word. A text that is the
// value of a key is no key, even if it looks like one.
func keyMayStart(words token.Tokens, i int) bool {
	if i == 0 {
		return true
	}
	switch before := words[i-1]; before.Type {
	case token.SequenceEntryType, token.MappingStartType, token.CollectEntryType, token.DocumentHeaderType:
		return true
	case token.MappingValueType:
		return before.Position.Line < words[i].Position.Line && i > 1 && slices.ContainsFunc(sectionKeys, func(key string) bool {
			return key == words[i-2].Value || strings.HasSuffix(words[i-2].Value, " "+key) // after a text that contains the key
		})
	default:
		return before.Position.Line < words[i].Position.Line
	}
}

// indentation reports a key in a column where no other key is: it belongs to no mapping.
func (d *decoder) indentation(lines []string, words token.Tokens) {
	flow := 0
	var columns []int // columns of the keys of the mappings that are open
	for i, t := range words {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.DocumentHeaderType:
			columns = nil
		case token.SequenceEntryType:
			for len(columns) > 0 && columns[len(columns)-1] > t.Position.Column {
				columns = columns[:len(columns)-1]
			}
		case token.MappingValueType:
			if flow > 0 || i == 0 {
				continue
			}
			key := words[i-1]
			if key.Position.Line < t.Position.Line { // the key was taken for a part of the value before it
				if i > 2 && words[i-2].Type == token.MappingValueType {
					line := lines[t.Position.Line-1]
					word := strings.TrimLeft(line, " ")
					d.misplaced(t.Position.Line, len(line)-len(word)+1, word, words[i-3].Position.Column)
				}
				return
			}
			column, left := key.Position.Column, 0
			for len(columns) > 0 && columns[len(columns)-1] > column {
				left = columns[len(columns)-1]
				columns = columns[:len(columns)-1]
			}
			if n := len(columns); n > 0 && columns[n-1] == column {
				continue
			}
			if i > 1 && words[i-2].Type != token.MappingValueType && words[i-2].Type != token.SequenceEntryType && words[i-2].Type != token.DocumentHeaderType {
				if left == 0 && len(columns) > 0 {
					left = columns[len(columns)-1]
				}
				d.misplaced(t.Position.Line, column, key.Value, left)
				return
			}
			columns = append(columns, column)
		}
	}
}

// misplaced reports a key in a column where no key of its mapping starts. The first word of the
// line names the key.
func (d *decoder) misplaced(line, column int, word string, others int) {
	key, _, _ := strings.Cut(word, ":")
	if !slices.Contains(knownKeys, key) {
		key = "a key"
	} else {
		key = fmt.Sprintf("%q", key)
	}
	d.add(line, column, "", "%s starts in column %d, and the keys before it in column %d (all keys of a mapping start in the same column)", key, column, others)
}

// sectionKeys are the keys whose values are mappings, or lists of mappings. A word below one of
// them that has no space after its colon is therefore a key.
var sectionKeys = []string{
	"access-network", "agent-information", "aggregates", "audit", "circuit-id", "client-classes", "control", "defaults", "delegable", "giaddr", "giaddrs", "history", "hook", "hops", "host", "ike", "in", "ipsec", "lifetimes", "limits", "link-selection", "links", "listen", "log", "loop-exempt", "manual", "max-size", "metrics", "options", "out", "pd-pools", "peers", "pools", "ports", "privacy", "rate", "raw", "relay-flags", "relay-id", "relay-options", "relay4", "relay6", "remote-id", "reservations", "routes", "secs", "server-id-override", "server6", "shared-networks", "store", "subnets", "v4", "vendor-class", "vss",
}

// knownKeys are all keys of all files.
var knownKeys = []string{
	"access-network", "access-point-bssid", "access-point-name", "address", "address-registration", "addresses", "agent-information", "aggregates", "algorithm", "always", "architecture", "assignment-option", "assignments", "audit", "boot-file-url", "ca", "certificate", "circuit-id", "class", "client", "client-ca", "client-classes", "client-link-layer", "clients", "code", "compare", "contains", "control", "crash", "data", "defaults", "delegable", "delegated-length", "delegated-lengths", "destinations", "dns-servers", "domain-search", "duid", "enterprise", "entries", "esp", "events", "every", "exclude", "file", "filter", "format", "forward", "giaddr", "giaddrs", "group", "heard-by", "hex", "history", "hook", "hops", "host", "host-routes", "id", "ike", "in", "inf-max-rt", "information-refresh-time", "interface-id", "interface-ids", "interfaces", "ipsec", "keep", "key", "key-file", "lease-move", "leasequery", "lengths", "level", "lifetime", "lifetimes", "limits", "link", "link-address", "link-addresses", "link-burst", "link-layer-address", "link-selection", "links", "listen", "local", "local-id", "log", "loop-drop", "loop-exempt", "manual", "match", "max-size", "metric", "metrics", "name", "network-name", "newcomers", "ntp-servers", "on-limit", "on-stop", "operator-id", "operator-realm", "operators", "options", "orphans", "others", "out", "pd-pools", "peers", "per-mac", "permit", "permit-routed", "pool", "pools", "ports", "preference", "preferred", "prefix", "prefixes", "privacy", "program", "proposals", "protection", "protocol", "psk-file", "queue", "rapid-commit", "rate", "raw", "readers", "relay-flags", "relay-id", "relay-options", "relay4", "relay6", "remote-id", "required", "reservations", "reserve", "reserved-prefixes", "reuse", "role", "router", "routes", "salt", "secs", "sensitive", "server-id", "server-id-override", "server6", "shared", "shared-networks", "sntp-servers", "socket", "sol-max-rt", "source", "source-burst", "source-port", "spi", "state", "store", "subnet", "subnets", "subscriber-id", "t1", "t2", "table", "technology", "text", "timeout", "tls", "trace", "trusted", "unique-duid", "unnumbered", "user-class", "v4", "valid", "value", "vendor-class", "vici-socket", "vss",
}
