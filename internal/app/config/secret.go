package config

import (
	"errors"
	"io/fs"
	"regexp"
	"syscall"
)

// A key may stand in the file by mistake: where the path of its file belongs,
// under a key of the mapping that does not exist, or after a colon without a
// space. What is said of the file goes to terminals, logs and tickets, so nothing
// that may be a key is ever repeated.
const (
	unrepeated = "not repeated here, because it may be a secret"
	ownFile    = "a key is in a file that its owner alone may read; the path of that file belongs here"
)

// keyForm finds what a key looks like wherever it stands: the spellings of key
// files, PEM, and the keys of mappings whose values are paths of key files.
var keyForm = regexp.MustCompile(`0[sS][A-Za-z0-9+/_-]{12,}|0[xX][0-9a-fA-F]{12,}|-----BEGIN|` +
	`(psk|psk-file|key|key-file|certificate|ca|client-ca|password|secret)\s*:|(encryption|integrity)\s`)

// hides reports whether a text must not be repeated.
func (v Value) hides(text string) bool { return v.secret || keyForm.MatchString(text) }

// hidden marks a field whose value is never repeated.
func (f Field) hidden() Field {
	f.secret = true
	return f
}

// unopened reports a file that could not be read. Its path is repeated only where
// a file was found, and never here: "/" begins one in 64 keys in Base64.
func (v Value) unopened(err error) {
	var errno syscall.Errno
	if errors.As(err, &errno) || errors.Is(err, fs.ErrNotExist) {
		v.Problem("%v (the path of a file that can be read; it is %s)", err, unrepeated)
		return
	}
	v.Problem("%v", err)
}

var quotation = regexp.MustCompile(`:? "(\\.|[^"\\])*"`)

// unquoted is a parser's message without what it quotes of the text.
func unquoted(message string) string { return quotation.ReplaceAllString(message, "") }
