package privacy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// pseudonym returns the name of the only client in the log, after a run of the relay.
func (r *network) pseudonym(number int) string {
	r.T.Helper()
	c := r.Play(1, somebody(1).duid())
	defer c.Close()
	c.Obtain(uint32(number))
	var got []string
	r.Until("the log has the client", func() bool {
		got = regexp.MustCompile(`msg="delegation granted".* client=(#[0-9a-f]{12}) `).FindStringSubmatch(r.Fairlead.Log())
		return got != nil
	})
	return got[1]
}

// With salt: kept, a client has the same name after a restart; with boot, it has another one.
// Going back to boot leaves no key on the disk.
func TestSalt(t *testing.T) {
	r := build(t, 1, 1)
	r.become(1)
	again := func(number int, salt string) string {
		r.start(r.config("privacy: {log: hashed, salt: "+salt+"}\n", ""))
		name := r.pseudonym(number)
		r.Fairlead.Stop()
		_, err := os.Stat(filepath.Join(r.Fairlead.State, "privacy-key"))
		if kept := err == nil; kept != (salt == "kept") {
			t.Errorf("salt: %s, and the key is kept: %v", salt, kept)
		}
		return name
	}
	first, second, third, fourth := again(1, "kept"), again(2, "kept"), again(5, "boot"), again(6, "boot")
	if first != second {
		t.Errorf("kept: %s became %s", first, second)
	}
	if third == second || fourth == third {
		t.Errorf("boot: %s, %s and %s, want different names", second, third, fourth)
	}
}
