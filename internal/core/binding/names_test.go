package binding

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// Each text is kept once, for as long as somebody holds it, and there is room for no more
// texts than were ever held at once.
func TestNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, held, most := newNames(), map[string]int{}, 0
		text := func(t *rapid.T) string { return strconv.Itoa(rapid.IntRange(1, 9).Draw(t, "text")) }
		t.Repeat(map[string]func(*rapid.T){
			"hold": func(t *rapid.T) {
				s := text(t)
				if id := n.acquire(s); n.text(id) != s {
					t.Fatalf("%q is kept as %q", s, n.text(id))
				}
				held[s]++
				most = max(most, len(held))
			},
			"release": func(t *rapid.T) {
				s := text(t)
				if held[s] == 0 {
					t.Skip("nobody holds it")
				}
				n.release(n.find(s))
				if held[s]--; held[s] == 0 {
					delete(held, s)
				}
			},
			"": func(t *rapid.T) {
				for i := range 10 {
					s := strconv.Itoa(i)
					if id := n.find(s); (id != none) != (held[s] > 0) || id != none && n.text(id) != s {
						t.Fatalf("%q has the number %d, and is held %d times", s, id, held[s])
					}
				}
				if len(n.ids) != len(held) || len(n.texts) > 1+most {
					t.Fatalf("%d texts with room for %d; %d are held, %d at the most", len(n.ids), len(n.texts), len(held), most)
				}
			},
		})
		if n.acquire(""); n.find("") != 0 {
			t.Fatal("the empty text has another number than 0")
		}
	})
}
