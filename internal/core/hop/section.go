package hop

import (
	"slices"
	"strings"
)

// Section is a section of strongSwan's configuration in the order in which it is
// written: the same tree is printed for swanctl.conf and sent by VICI.
type Section []Entry

// Entry is one line of a section. Exactly one of Text, List, Blobs and Section
// is set.
type Entry struct {
	Key     string
	Text    string
	List    []string // no element has a comma
	Blobs   []Blob
	Section Section
}

// Blob is a certificate: its octets go by VICI, its name stands in swanctl.conf.
type Blob struct {
	File string // in swanctl's folder of such files
	DER  []byte
}

// String is the section as swanctl.conf has it (strongswan.conf(5)), two spaces
// for each depth.
func (s Section) String() string {
	var b strings.Builder
	s.print(&b, "")
	return b.String()
}

func (s Section) print(b *strings.Builder, indent string) {
	for _, e := range s {
		if e.Section != nil {
			b.WriteString(indent + sectionName(e.Key) + " {\n")
			e.Section.print(b, indent+"  ")
			b.WriteString(indent + "}\n")
			continue
		}
		b.WriteString(indent + sectionName(e.Key) + " = " + e.value() + "\n")
	}
}

// value is the text after the key. swanctl separates lists at commas.
func (e *Entry) value() string {
	list := e.List
	for i := range e.Blobs {
		list = append(list, e.Blobs[i].File)
	}
	if len(list) > 0 && !slices.ContainsFunc(list, needsQuotes) {
		return strings.Join(list, ", ")
	}
	return quoted(e.Text + strings.Join(list, ", "))
}

// sectionName is a name as it may stand in front of a brace or an equals sign. It cannot
// be quoted there, so characters that would end it become tildes; our own sections' names
// have none of them.
func sectionName(name string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune(`#{}:.,="`, r) {
			return '~'
		}
		return r
	}, name)
}

// quoted is a value as it may stand behind an equals sign: in quotation marks,
// unless it is plain. In them strongSwan takes a backslash as C does.
func quoted(value string) string {
	if !needsQuotes(value) {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(value) + `"`
}

func needsQuotes(value string) bool {
	return value == "" || strings.ContainsFunc(value, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune("._:%/[]@*+|~-", r)
	})
}
