package hop

import (
	"fmt"
	"strconv"
	"strings"
)

// words are how nft writes a field in a rule, and its type in a set.
var words = map[GuardField][2]string{
	FieldFamily:     {"meta nfproto"},
	FieldEther:      {"meta protocol"},
	FieldProtocol:   {"meta l4proto"},
	FieldSource4:    {"ip saddr", "ipv4_addr"},
	FieldDest4:      {"ip daddr", "ipv4_addr"},
	FieldSource6:    {"ip6 saddr", "ipv6_addr"},
	FieldDest6:      {"ip6 daddr", "ipv6_addr"},
	FieldSourcePort: {"th sport", "inet_service"},
	FieldDestPort:   {"th dport", "inet_service"},
	FieldLinkIn:     {"iifname", "ifname"},
	FieldSlaveIn:    {"meta sdifname", "ifname"},
	FieldLinkOut:    {"oifname", "ifname"},
	FieldIndexIn:    {"iif"},
	FieldUser:       {"meta skuid"},
	FieldESPOut:     {"rt ipsec"},
	FieldESPIn:      {"meta ipsec"},
	FieldFirst:      {"@th,64,8"},
	FieldGiaddr:     {"@th,256,32"},

	FieldICMPType:        {"@th,0,8"},
	FieldQuotedProtocol4: {"@th,136,8"},
	FieldQuotedSource4:   {"@th,224,16"},
	FieldQuotedDest4:     {"@th,240,16"},
	FieldQuotedProtocol6: {"@th,112,8"},
	FieldQuotedSource6:   {"@th,384,16"},
	FieldQuotedDest6:     {"@th,400,16"},
}

var hookWords = map[Hook]string{HookInput: "input", HookOutput: "output", HookPostrouting: "postrouting", HookEgress: "egress"}

var familyWords = map[TableFamily]string{Inet: "inet", Netdev: "netdev"}

// String is the table as nft reads it: a transaction that makes it anew.
func (t *GuardTable) String() string {
	var b strings.Builder
	// The first line is for the second, which fails where there is no table.
	name := familyWords[t.Family] + " " + t.Name
	fmt.Fprintf(&b, "table %s\ndelete table %s\ntable %s {\n", name, name, name)
	for _, c := range t.Counters {
		fmt.Fprintf(&b, "\tcounter %s {\n\t}\n", c)
	}
	for i := range t.Sets {
		t.Sets[i].write(&b)
	}
	for i := range t.Chains {
		t.Chains[i].write(&b)
	}
	b.WriteString("}\n")
	return b.String()
}

func (s *GuardSet) write(b *strings.Builder) {
	kind, value := "set", ""
	if s.Map {
		kind, value = "map", " : counter"
	}
	fmt.Fprintf(b, "\t%s %s {\n\t\ttype %s%s\n", kind, s.Name, joined(s.Key, 1), value)
	for i := range s.Elements {
		opening := "\t\t             "
		if i == 0 {
			opening = "\t\telements = { "
		}
		closing := ",\n"
		if i == len(s.Elements)-1 {
			closing = " }\n"
		}
		b.WriteString(opening + s.element(&s.Elements[i]) + closing)
	}
	b.WriteString("\t}\n")
}

func (s *GuardSet) element(e *GuardElement) string {
	var parts []string
	for _, f := range s.Key {
		switch f {
		case FieldLinkIn, FieldLinkOut:
			parts = append(parts, strconv.Quote(e.Link))
		case FieldSourcePort, FieldDestPort:
			parts = append(parts, strconv.Itoa(int(e.Port)))
		default:
			parts = append(parts, e.Address.String())
		}
	}
	text := strings.Join(parts, " . ")
	if s.Map {
		text += ` : "` + e.Counter + `"`
	}
	return text
}

func (c *GuardChain) write(b *strings.Builder) {
	fmt.Fprintf(b, "\tchain %s {\n", c.Name)
	if c.Hook != NoHook {
		hook := hookWords[c.Hook]
		if c.Device != "" {
			hook += " device " + strconv.Quote(c.Device)
		}
		fmt.Fprintf(b, "\t\ttype filter hook %s priority %d; policy accept;\n", hook, c.Priority)
	}
	for _, r := range c.Rules {
		fmt.Fprintf(b, "\t\t%s\n", r)
	}
	b.WriteString("\t}\n")
}

// String is the rule as nft writes it.
func (r GuardRule) String() string {
	var parts []string
	for _, m := range r.Match {
		parts = append(parts, m.String())
	}
	if r.Counter != "" {
		parts = append(parts, "counter name "+strconv.Quote(r.Counter))
	}
	switch r.Verdict {
	case VerdictAccept:
		parts = append(parts, "accept")
	case VerdictDrop:
		parts = append(parts, "drop")
	case VerdictGoto:
		parts = append(parts, "goto "+r.Chain)
	}
	return strings.Join(parts, " ")
}

// String is the match as nft writes it.
func (m GuardMatch) String() string {
	key := joined(m.Fields, 0)
	switch {
	case m.Count:
		return "counter name " + key + " map @" + m.Set
	case m.Set != "":
		return key + " @" + m.Set
	case m.Prefix.IsValid():
		return key + " " + m.Prefix.String()
	case m.Link != "":
		return key + " " + strconv.Quote(m.Link)
	case m.Not:
		return key + " != " + strconv.FormatUint(uint64(m.Value), 10)
	}
	return key + " " + value(m.Fields[0], m.Value)
}

// value is a value in words where nft has some.
func value(f GuardField, v uint32) string {
	switch {
	case f == FieldFamily && v == FamilyIPv4:
		return "ipv4"
	case f == FieldFamily && v == FamilyIPv6:
		return "ipv6"
	case f == FieldEther && v == EtherIPv4:
		return "ip"
	case f == FieldEther && v == EtherIPv6:
		return "ip6"
	case f == FieldProtocol && v == UDP:
		return "udp"
	case f == FieldProtocol && v == TCP:
		return "tcp"
	case f == FieldProtocol && v == icmp4:
		return "icmp"
	case f == FieldProtocol && v == icmp6:
		return "ipv6-icmp"
	case f == FieldESPIn || f == FieldESPOut:
		return "exists"
	}
	return strconv.FormatUint(uint64(v), 10)
}

func joined(fields []GuardField, which int) string {
	var parts []string
	for _, f := range fields {
		parts = append(parts, words[f][which])
	}
	return strings.Join(parts, " . ")
}
