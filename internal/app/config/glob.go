package config

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// regexpSigns finds signs that have a meaning in a regular expression, in a list of the shell or
// in SQL, and none in a glob. A digit before ".*" is accepted: VLANs are named so.
var regexpSigns = regexp.MustCompile(`^\^|[^0-9]\.\*|^\.\*|\.\+|\\[dwsDWS]|[$()|+{},;%]|\[!`)

// checkGlob warns of a name or glob that does not mean what it seems to mean.
func (v Value) checkGlob(glob string) {
	if i := strings.IndexFunc(glob, func(r rune) bool { return r > unicode.MaxASCII }); i >= 0 {
		r := []rune(glob[i:])[0]
		v.warn(fmt.Sprintf("%q has %q (U+%04X), which stands for itself alone (* for any text, ? for one character)", glob, r, r))
		return
	}
	if sign := regexpSigns.FindString(glob); sign != "" {
		v.warn(fmt.Sprintf("%q has %q, which stands for itself in a glob (* for any text, ? for one character, [a-z] for one of several, [^a-z] for any other)", glob, sign))
	}
}

// checkCover warns of a glob for client-facing links that covers uplinks, or every interface.
func (v Value) checkCover(f Family, glob string) {
	if strings.Trim(glob, "*") == "" && glob != "" {
		there := "filters and rates would hold"
		if f == DHCPv4 {
			there = "whoever asks would be served"
		}
		v.warn(fmt.Sprintf("%q matches every interface that no server is heard on, one for management too: %s there (name the links)", glob, there))
		return
	}
	for _, uplink := range slices.Sorted(maps.Keys(v.d.uplinks)) {
		if covers, _ := path.Match(glob, uplink); covers && glob != uplink { // the glob was parsed before: no error
			v.warn(fmt.Sprintf("%q covers %s, on which peer %q is heard: clients are not served there (a narrower glob)", glob, uplink, v.d.uplinks[uplink]))
		}
	}
}
