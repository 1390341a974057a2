package config

import (
	"errors"
	"io/fs"
	"regexp"
	"syscall"
)

// A key may stand in the file by mistake: in the place of the path of its file, below an unknown
// key of the mapping, or after a colon without a space. Messages about the file go to terminals,
// logs and tickets, so they never repeat anything that may be a key.
const (
	unrepeated = "not repeated here, because it may be a secret"
	ownFile    = "a key is in a file that its owner alone may read; the path of that file belongs here"
)

// keyForm matches what looks like a key, wherever it stands: the spellings of key files, PEM, and
// the keys of mappings whose values are paths of key files.
var keyForm = regexp.MustCompile(`0[sS][A-Za-z0-9+/_-]{12,}|0[xX][0-9a-fA-F]{12,}|-----BEGIN|` +
	`(psk|psk-file|key|key-file|certificate|ca|client-ca|password|secret)\s*:|(encryption|integrity)\s`)

// hides reports whether a text must not be repeated.
func (v Value) hides(text string) bool { return v.secret || keyForm.MatchString(text) }

// hidden marks a field whose value is never repeated.
func (f Field) hidden() Field {
	f.secret = true
	return f
}

// unopened reports a file that could not be read. Here its path is not repeated, because it may
// be a key: one key of 64 in Base64 begins with "/". A path is only repeated if a file was found
// there.
func (v Value) unopened(err error) {
	var errno syscall.Errno
	if errors.As(err, &errno) || errors.Is(err, fs.ErrNotExist) {
		v.Problem("%v (the path of a file that can be read; it is %s)", err, unrepeated)
		return
	}
	v.Problem("%v", err)
}

var quotation = regexp.MustCompile(`:? "(\\.|[^"\\])*"`)

// unquoted returns a message of the parser without its quotations of the text.
func unquoted(message string) string { return quotation.ReplaceAllString(message, "") }
